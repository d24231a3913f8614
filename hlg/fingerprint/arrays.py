"""Read .npz files that anybody may have made. NumPy alone."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from hlg.files import read_plain

LARGEST = 256 << 20  # bytes of such a file, and of all its arrays; the golden one has less than one


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file; no array takes more memory than the bytes that are there for it.

    Raises:
        OSError: it can't be read, is no plain file, or has more than LARGEST bytes.
        ValueError: it is no .npz of plain arrays, or its arrays have more than LARGEST bytes.
    """
    content = io.BytesIO(read_plain(path, LARGEST))
    try:
        with zipfile.ZipFile(content) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > LARGEST:
                raise ValueError(f"its arrays have more than {LARGEST:,} bytes")
            return {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}
    except ValueError:
        raise
    except Exception as error:  # zipfile and NumPy raise whatever a broken header makes them stumble over
        raise ValueError(" ".join(str(error).split()) or repr(error)) from None


def _array(content: bytes) -> np.ndarray:
    """Parse a .npy file."""
    file = io.BytesIO(content)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in read:
        raise ValueError(f"found version {version} of the format .npy, expected 1.0 or 2.0")
    shape, columns_first, kind = read[version](file)
    size = math.prod(shape) * kind.itemsize
    if kind.hasobject or not 0 <= size == len(content) - file.tell():
        raise ValueError(f"found an array of {shape} and {kind} with {len(content) - file.tell():,} bytes")
    array = np.frombuffer(content, kind, math.prod(shape), file.tell())
    return array.reshape(shape, order="F" if columns_first else "C").copy()

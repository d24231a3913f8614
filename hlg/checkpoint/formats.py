"""Read checkpoint files, MindSpore's and safetensors, and verify every tensor in them. No MindSpore.

MindSpore's own reader takes the shape, the type and the bytes of a tensor as they come: where they disagree, it gives
weights that nobody trained, or ends the process. So nothing but this module reads a checkpoint, and it trusts nothing.

A ``.ckpt`` is a protobuf message of these fields, by number::

    file    1: entry, once for each tensor; a large one has several in a row, each with a piece of its bytes
    entry   1: name   2: tensor
    tensor  1: size, once for each axis; [0] is a scalar   2: type   3: bytes

``crc_num`` and the CRC-32 of all that comes before, in 10 bytes, may stand behind it. A ``.safetensors`` file is the
length of its header in 8 bytes, the header in JSON, and the bytes of all tensors.
"""

import math
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hlg.errors import UserError
from hlg.files import parse_json, read_plain

LARGEST = 2**31 - 1  # bytes of a file: a protobuf message has no more
MOST = 20_000  # tensors of a file, or pieces of them; the network and its optimizer have a thousand
MOST_FIELDS = 16  # of one tensor
LONGEST_NAME = 1000  # bytes
LONGEST_HEADER = 16 * 2**20  # bytes
ENCRYPTED = b"\xd8\x5e\x3a\x7f"  # how a file begins that MindSpore wrote with enc_key
CRC, CRC_BYTES = b"crc_num", 10

_VARINT, _BYTES = 0, 2  # protobuf's wire types
# Type -> how NumPy calls it. It has no bfloat16, which is the upper half of a float32.
_BFLOAT16 = "BFloat16", "BF16"
_CKPT_TYPES = {
    f"{kind}{bits}": f"<{kind[0].lower()}{bits // 8}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)
}
_CKPT_TYPES |= {"Float16": "<f2", "Float32": "<f4", "Float64": "<f8", "BFloat16": "<u2", "Bool": "?"}
_SAFETENSORS_TYPES = {f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)}
_SAFETENSORS_TYPES |= {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "BOOL": "?"}
_TYPES = _CKPT_TYPES | _SAFETENSORS_TYPES


class StoredTensors(NamedTuple):
    """The content of a checkpoint file, by name; bfloat16 is widened to float32, which is exact."""

    arrays: dict[str, np.ndarray]
    texts: dict[str, str]


def read_file(path: Path) -> bytes:
    """Read the bytes of a checkpoint file.

    Raises:
        UserError: it can't be read, or is larger than any checkpoint.
    """
    try:
        return read_plain(path, LARGEST)
    except OSError as error:
        raise UserError(f"checkpoint {path}: can't be read: {error.strerror}") from None


def parse_tensors(path: Path, content: bytes) -> StoredTensors:
    """Parse the bytes of the file ``path``, whose name says which format it has.

    Raises:
        UserError: it is no such file, or what it says of a tensor does not fit the tensor's bytes.
    """
    parse = _parse_safetensors if path.suffix == ".safetensors" else _parse_ckpt
    try:
        found = parse(memoryview(content))
        if not found.arrays:
            raise ValueError("it holds no tensor")
        return found
    except ValueError as error:
        raise UserError(f"checkpoint {path}: damaged or not a checkpoint ({error})") from None


def _array(name: str, kind: str, shape: tuple[int, ...], content: bytes | memoryview) -> np.ndarray:
    """View the bytes of a tensor as an array, if they are as many as its shape and type take."""
    if kind not in _TYPES:
        raise ValueError(f"{name} has the unknown type {kind[:40]!r}")
    if min(shape, default=1) < 1:
        raise ValueError(f"{name} has the shape {shape}")
    dtype = np.dtype(_TYPES[kind])
    size = math.prod(shape) * dtype.itemsize
    if len(content) != size:
        raise ValueError(f"{name} has {len(content):,} bytes; {kind} of shape {shape} takes {size:,}")
    found = np.frombuffer(content, dtype).reshape(shape)
    return (found.astype("<u4") << 16).view("<f4") if kind in _BFLOAT16 else found


def _text(name: str, content: bytes | memoryview) -> str:
    try:
        return bytes(content).decode("utf-32-le", "surrogatepass").rstrip("\0")
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not text") from None


# ------------------------------------------------------------------------------------------------- .ckpt

_Field = int | memoryview
_Piece = tuple[str, tuple[int, ...], memoryview]  # of a tensor: its type, its whole shape, some of its bytes


def _parse_ckpt(content: memoryview) -> StoredTensors:
    if content[: len(ENCRYPTED)] == ENCRYPTED:
        raise ValueError("it is encrypted: save it again without enc_key")
    end = len(content) - CRC_BYTES
    if content[max(end - len(CRC), 0) : end] == CRC:
        code, content = content[end:], content[: end - len(CRC)]
        if int.from_bytes(code, "big") != zlib.crc32(content):
            raise ValueError("its CRC does not match")
    arrays: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}
    for name, pieces in _tensors(content):
        if name in arrays or name in texts:
            raise ValueError(f"{name} appears twice")
        kinds, shapes, parts = zip(*pieces, strict=True)
        if len({*kinds}) > 1 or len({*shapes}) > 1:
            raise ValueError(f"{name} has pieces of several types or shapes")
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        if kinds[0] == "str":
            texts[name] = _text(name, whole)
        else:
            arrays[name] = _array(name, kinds[0], shapes[0], whole)
    return StoredTensors(arrays, texts)


def _tensors(content: memoryview) -> Iterator[tuple[str, list[_Piece]]]:
    """Take the entries apart; those of one name that stand in a row are pieces of one tensor."""
    last: tuple[str, list[_Piece]] = "", []
    for count, (number, entry) in enumerate(_fields(content), 1):
        if number != 1 or count > MOST:
            raise ValueError(f"an unknown field {number}" if number != 1 else f"it has more than {MOST:,} entries")
        (raw, tensor), _ = _message(entry, 1, 2)
        if not 0 < len(raw) <= LONGEST_NAME:
            raise ValueError(f"a name has {len(raw):,} bytes")
        name = bytes(raw).decode()
        if name != last[0]:
            if last[1]:
                yield last
            last = name, []
        (kind, part), sizes = _message(tensor, 2, 3, many=1)
        shape = tuple(size - (size >> 63 << 64) for size in sizes)  # they have a sign
        last[1].append((bytes(kind[:LONGEST_NAME]).decode(), () if shape == (0,) else shape, part))
    if last[1]:
        yield last


def _message(content: _Field, *once: int, many: int = 0) -> tuple[list[memoryview], list[int]]:
    """Read the fields of these numbers: those of bytes, empty if they are not there, and the one of many numbers."""
    found = dict.fromkeys(once, memoryview(b""))
    numbers: list[int] = []
    if isinstance(content, int):
        raise ValueError("a number stands where a message belongs")
    for count, (number, value) in enumerate(_fields(content), 1):
        if count > MOST_FIELDS:
            raise ValueError(f"an entry has more than {MOST_FIELDS} fields")
        if isinstance(value, int) and number == many:
            numbers.append(value)
        elif not isinstance(value, int) and number in found and not found[number]:
            found[number] = value
        else:
            raise ValueError(f"an entry has an unknown field {number}")
    return list(found.values()), numbers


def _fields(content: memoryview) -> Iterator[tuple[int, _Field]]:
    """Split a message into its fields: the number of each, and what it holds, a number or bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        value, at = _varint(content, at)
        if key & 7 == _VARINT:
            yield key >> 3, value
        elif key & 7 == _BYTES and value <= len(content) - at:
            yield key >> 3, content[at : at + value]
            at += value
        else:
            raise ValueError("it ends too early" if key & 7 == _BYTES else "its bytes are not a protobuf message")


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """Read a number, seven bits a byte, the lowest first; returns it and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at + shift // 7 == len(content):
            raise ValueError("it ends too early")
        byte = content[at + shift // 7]
        value |= (byte & 127) << shift
        if byte < 128 and value < 2**64:
            return value, at + shift // 7 + 1
    raise ValueError("it has a number of more than 64 bits")


# ------------------------------------------------------------------------------------------------- .safetensors


def _parse_safetensors(content: memoryview) -> StoredTensors:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(LONGEST_HEADER, len(content) - 8):
        raise ValueError("its header does not fit")
    header = parse_json(bytes(content[8 : 8 + size]).decode())
    if not isinstance(header, dict) or len(header) > MOST:
        raise ValueError(f"its header is not a list of at most {MOST:,} tensors")
    texts = header.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("its __metadata__ is not text")
    data = content[8 + size :]
    arrays: dict[str, np.ndarray] = {}
    spans = [(0, 0), (len(data), len(data))]
    for name, told in header.items():
        kind, shape, span = _told(name, told)
        arrays[name] = _array(name, kind, shape, data[slice(*span)])
        spans.append(span)
    for (_, end), (start, _) in pairwise(sorted(spans)):
        if start != end:  # a name twice leaves such a gap too
            raise ValueError(f"the bytes {end:,} to {start:,} belong to no tensor, or to two")
    return StoredTensors(arrays, texts)


def _told(name: str, told: object) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """Read what the header says of one tensor: its type, its shape, and where its bytes begin and end."""
    match told:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(start), int(end)]} if (
            0 < len(name.encode()) <= LONGEST_NAME
            and all(type(size) is int for size in shape)
            and len(shape) < MOST_FIELDS
            and 0 <= start <= end
        ):
            return kind, tuple(shape), (start, end)
    raise ValueError(f"its header says nothing useful of {name[:LONGEST_NAME]}")

"""Archives of images, unpacked where they lie and then removed, so that a disk never holds a data set twice."""

import gzip
import lzma
import shutil
import tarfile
import time
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from hlg.errors import UserError

ARCHIVES = (".tar", ".tar.gz", ".tgz")
IMAGES = (".jpeg", ".jpg", ".png")
BLOCK = 512  # bytes: of these a tar consists, and one of zeros ends it

DAMAGED = (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeError, ValueError)


def unpack_all(folder: Path) -> int:
    """Unpack every archive directly in ``folder``, and every one that comes out of these; returns how many there were.

    ``imagenet_train.tar`` may hold a folder a class or, as ImageNet itself is published, an archive a class.

    Raises:
        UserError: a damaged or hostile archive, or too little room; it is named.
    """
    start, count = time.monotonic(), 0
    for _ in range(2):  # no deeper: what unpacks to itself must come to an end
        for archive in archives(folder):
            unpack(archive)
            count += 1
    if count:
        print(f"{folder}: {count} archives unpacked in {time.monotonic() - start:.1f}s", flush=True)
    return count


def archives(folder: Path) -> list[Path]:
    """The archives directly in ``folder``, by name."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(ARCHIVES) and path.is_file())


def unpack(archive: Path) -> None:
    """Unpack one archive and remove it: into its folder or, if it is that of a class, into one of its own name.

    Raises:
        UserError: as :func:`unpack_all`. The archive stays; what came out so far does too.
    """
    size, free = archive.stat().st_size, shutil.disk_usage(archive.parent).free
    if size > free:
        raise UserError(
            f"{archive}: can't be unpacked, it has {size / 1e9:.1f} GB and the disk {free / 1e9:.1f} GB left; take a "
            "node with a larger disk, or fewer images"
        )
    try:
        with tarfile.open(archive) as tar:
            into = archive.parent / _stem(archive) if _is_a_class(tar) else archive.parent
            tar.extractall(into, filter="data")  # refuses what would lie, or point, outside
            _check_end(tar)
    except tarfile.FilterError as error:
        raise UserError(f"{archive}: refused ({error}); an archive of images has no such entry") from None
    except DAMAGED as error:
        raise UserError(f"{archive}: damaged or no tar archive ({error}); upload it anew") from None
    except OSError as error:  # a full disk among them
        raise UserError(f"{archive}: can't be unpacked ({error.strerror or error})") from None
    archive.unlink()


def _is_a_class(tar: tarfile.TarFile) -> bool:
    """Whether its images lie at its top, in no folder. The first file tells: ImageNet's has more than a million."""
    first = next((PurePosixPath(member.name) for member in tar if not member.isdir()), PurePosixPath())
    return len(first.parts) == 1 and first.suffix.lower() in IMAGES


def _stem(archive: Path) -> str:
    ending = next(ending for ending in ARCHIVES[::-1] if archive.name.lower().endswith(ending))
    return archive.name[: -len(ending)]


def _check_end(tar: tarfile.TarFile) -> None:
    """tarfile takes half an archive, cut between two files, for a whole one: look for the block that ends it."""
    file: IO[bytes] = tar.fileobj  # type: ignore[assignment]
    file.seek(tar.offset)
    if file.read(BLOCK) != bytes(BLOCK):
        raise tarfile.ReadError("its end is missing")
    while file.read(1 << 20):  # to the end: gzip's checksum stands there
        pass

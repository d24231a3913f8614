"""Archives of images: unpacked where they lie and then removed, or read piece by piece; a disk never holds them twice.

What comes from elsewhere is not trusted: an archive of images holds folders and files of a sane size and name, and
anything else in it is refused by name.
"""

import gzip
import lzma
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

from hlg.errors import UserError

ARCHIVES = (".tar", ".tar.gz", ".tgz")
IMAGES = (".jpeg", ".jpg", ".png")
BLOCK = 512  # bytes: of these a tar consists, and one of zeros ends it
PADDING = 1 << 20  # bytes: no more than this follows the end of a tar, which is filled up to a record
HEADER = 1 << 16  # bytes: no header, with a long name in it, is larger
LARGEST = 64 << 20  # bytes of an image: ImageNet's largest has a quarter of that
MOST = 3_000_000  # files in an archive: all of ImageNet has 1.4 million

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
            while tar.fileobj.read(1 << 20):  # to the end: gzip's checksum stands there
                pass
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


# ------------------------------------------------------------------------------------------- piece by piece


class Piece(NamedTuple):
    """A file in an archive: its name, and where its content lies in the archive, in bytes."""

    name: str
    start: int
    size: int


def pieces(archive: Path, within: Piece | None = None) -> Iterator[Piece]:
    """The files of a plain tar in their order, or of a tar that is itself a file ``within`` one; no content is read.

    Names are relative, with ``/`` and without ``.``. Folders are passed over.

    Raises:
        UserError: the archive is damaged or cut off, or holds what no archive of images does (links, devices, sparse
            files, absolute names, ``..``, a name twice, sizes beyond all bounds): archive and member are named.
    """
    title = f"{archive}: {within.name}" if within else str(archive)
    last = "its start"
    try:
        with archive.open("rb") as file:
            whole = archive.stat().st_size
            start, size = (within.start, within.size) if within else (0, whole)
            part = _Part(file, start, size)
            with tarfile.open(fileobj=part, mode="r:") as tar:  # type: ignore[call-overload]
                seen: set[str] = set()
                while (member := tar.next()) is not None:
                    tar.members.clear()  # it keeps all that it has read: a gigabyte of a million
                    last = member.name
                    if fault := _fault(member, size):
                        raise UserError(f"{title}: {member.name!r}: refused, {fault}")
                    if member.isdir():
                        continue
                    name = PurePosixPath(member.name).as_posix()
                    if name in seen:
                        raise UserError(f"{title}: {member.name!r}: refused, the name is there twice")
                    seen.add(name)
                    if len(seen) > MOST:
                        raise UserError(f"{title}: refused, it holds more than {MOST:,} files")
                    yield Piece(name, start + member.offset_data, member.size)
                _check_end(tar)
                if size - tar.offset > PADDING:
                    raise tarfile.ReadError(f"it ends {size - tar.offset:,} bytes before its file does")
    except DAMAGED as error:
        raise UserError(
            f"{title}: damaged after {last!r} ({' '.join(str(error).split())}): compare its checksum with the "
            "published one, and fetch it anew"
        ) from None
    except OSError as error:
        raise UserError(f"{title}: can't be read ({error.strerror or error})") from None


def _fault(member: tarfile.TarInfo, size: int) -> str:
    """Why this entry of an archive of ``size`` bytes is refused; empty where it is not."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or (not path.parts and not member.isdir()):
        return "its name leads out of the folder"
    if any(sign < " " or sign in "\\\x7f" for sign in member.name) or any(_length(part) > 240 for part in path.parts):
        return "its name is none for a file"
    if member.isdir():
        return ""
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
        kinds = {tarfile.SYMTYPE: "a link", tarfile.LNKTYPE: "a link", tarfile.FIFOTYPE: "a pipe"}
        kinds |= {tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device"}
        return f"it is {kinds.get(member.type, 'no plain file')}"
    if member.size == 0:
        return "it is empty"
    if member.offset_data + member.size > size:
        there = max(0, size - member.offset_data)
        return f"it is cut off: {there:,} of its {member.size:,} bytes are there"
    if member.size > LARGEST and path.suffix.lower() != ".tar":
        return f"it has {member.size:,} bytes, and no image more than {LARGEST:,}"
    return ""


def _length(name: str) -> int:
    return len(name.encode("utf-8", "surrogateescape"))


class _Part:
    """A part of an open file as a file of its own, of which tarfile reads nothing but headers."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.file, self.start, self.size = file, start, size
        self.seek(0)

    def seek(self, place: int) -> int:
        self.place = place
        return place

    def tell(self) -> int:
        return self.place

    def read(self, size: int) -> bytes:
        if size > HEADER:  # a name that would fill the memory
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self.file.seek(self.start + self.place)
        content = self.file.read(max(0, min(size, self.size - self.place)))
        self.place += len(content)
        return content


# ------------------------------------------------------------------------------------------- what both need


def _check_end(tar: tarfile.TarFile) -> None:
    """tarfile takes half an archive, cut between two files, for a whole one: look for the block that ends it."""
    file: IO[bytes] = tar.fileobj  # type: ignore[assignment]
    file.seek(tar.offset)
    if file.read(BLOCK) != bytes(BLOCK):
        raise tarfile.ReadError("its end is missing")

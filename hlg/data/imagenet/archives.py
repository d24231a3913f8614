"""Unpack archives of images in place, or list their members to be read one by one; no disk holds the images twice.

Archives are not trusted: one of images holds folders and files of a sane size and name, and anything else in it is
refused by name.
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

from hlg.data.listing import IMAGE_SUFFIXES
from hlg.errors import UserError

ARCHIVES = (".tar", ".tar.gz", ".tgz")
BLOCK = 512  # bytes: a tar consists of these, and one of zeros ends it
PADDING = 1 << 20  # bytes that may follow the end of a tar, which is filled up to a record
HEADER = 1 << 16  # bytes of a header at most, with a long name in it
LARGEST = 64 << 20  # bytes of an image at most: ImageNet's largest has a quarter of that
MOST = 3_000_000  # files in an archive at most: all of ImageNet has 1.4 million

DAMAGED = (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeError, ValueError)


def unpack_archives(folder: Path) -> int:
    """Unpack and remove every archive directly in ``folder``, and every one in them; returns how many there were.

    ``imagenet_train.tar`` may hold a folder for each class or, as ImageNet is published, an archive for each class.

    Raises:
        UserError: a damaged or hostile archive, or too little room; it is named.
    """
    start, count = time.monotonic(), 0
    for _ in range(2):  # no deeper, so that an archive that contains itself comes to an end
        for archive in _find_archives(folder):
            _unpack_archive(archive)
            count += 1
    if count:
        print(f"{folder}: {count} archives unpacked in {time.monotonic() - start:.1f}s", flush=True)
    return count


def _find_archives(folder: Path) -> list[Path]:
    """List the archives directly in ``folder``, sorted by name."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(ARCHIVES) and path.is_file())


def _unpack_archive(archive: Path) -> None:
    """Unpack one archive and remove it: into its folder or, if it is that of a class, into a folder of its name.

    Raises:
        UserError: as :func:`unpack_archives`. The archive stays, and so does what came out so far.
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
        reason = str(error).partition(":\n")[0]  # behind it, a line for each kind of compression that was tried
        raise UserError(f"{archive}: damaged or no tar archive ({reason}); upload it anew") from None
    except OSError as error:  # a full disk among them
        raise UserError(f"{archive}: can't be unpacked ({error.strerror or error})") from None
    archive.unlink()


def _is_a_class(tar: tarfile.TarFile) -> bool:
    """Whether its images lie in no folder. Only the first file is looked at: ImageNet's archive has over a million."""
    first = next((PurePosixPath(member.name) for member in tar if not member.isdir()), PurePosixPath())
    return len(first.parts) == 1 and first.suffix.lower() in IMAGE_SUFFIXES


def _stem(archive: Path) -> str:
    ending = next(ending for ending in ARCHIVES[::-1] if archive.name.lower().endswith(ending))
    return archive.name[: -len(ending)]


# ------------------------------------------------------------------------------------------- member by member


class ArchiveMember(NamedTuple):
    """A file in an archive: its name, and where its content lies in the archive, in bytes."""

    name: str
    start: int
    size: int


def list_members(archive: Path, within: ArchiveMember | None = None) -> Iterator[ArchiveMember]:
    """List the files of a plain tar in their order, or of a tar that is a file ``within`` one; no content is read.

    Names are relative, with ``/`` and without ``.``. Folders are passed over.

    Raises:
        UserError: the archive is damaged or cut off, or holds what no archive of images does (links, devices, sparse
            files, absolute names, ``..``, a name twice, sizes out of bounds); archive and member are named.
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
                    tar.members.clear()  # it would keep all that it has read: a gigabyte for a million files
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
                    yield ArchiveMember(name, start + member.offset_data, member.size)
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
    """Say why this entry of an archive of ``size`` bytes is refused, or nothing."""
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
    """A part of an open file as a file of its own, from which tarfile reads only headers."""

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
    """Look for the block that ends an archive: tarfile takes one that is cut off between two files for whole."""
    file: IO[bytes] = tar.fileobj  # type: ignore[assignment]
    file.seek(tar.offset)
    if file.read(BLOCK) != bytes(BLOCK):
        raise tarfile.ReadError("its end is missing")

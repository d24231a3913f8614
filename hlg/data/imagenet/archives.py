"""Read archives of images member by member, in plain tar or gzip; no disk holds the images twice.

Archives are not trusted: one of images holds folders and files of a sane size and name, and anything else in it is
refused by name. Headers are walked here, since Python's tarfile runs in a circle at a negative size, recurses at each
long name, and reads the whole rest of an archive for a header of size -1.
"""

import gzip
import re
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

from hlg.data.class_names import NAMES_FILE
from hlg.data.index import MANIFEST, REPORT
from hlg.data.listing import IMAGE_SUFFIXES
from hlg.errors import UserError

CLASS = re.compile(r"n\d{8}", re.ASCII)  # one of ImageNet's class folders
RECORD = ".prepared.json"  # in a split that was unpacked: what it was made of
OURS = (MANIFEST, NAMES_FILE, REPORT, Path(REPORT).with_suffix(".md").name, RECORD)  # what the suite puts beside images
BLOCK = 512  # bytes: a tar consists of these, and one of zeros ends it
PADDING = 1 << 20  # bytes that may follow the end of a tar, which is filled up to a record
HEADER = 1 << 16  # bytes of a header at most, with a long name in it
LARGEST = 64 << 20  # bytes of an image at most: ImageNet's largest has a quarter of that
BEYOND = 1 << 50  # bytes that no disk has
MOST = 3_000_000  # files in an archive at most: all of ImageNet has 1.4 million

DAMAGED = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError, ValueError)
_PAX_RECORD = re.compile(rb"(\d{1,6}) ([^=]{1,99})=")


class ArchiveMember(NamedTuple):
    """A file in an archive: its name, and where its content lies in the uncompressed archive, in bytes."""

    name: str
    start: int
    size: int


def is_compressed(archive: Path) -> bool:
    """Tell whether an archive is compressed by gzip, whatever its name, so that it can be read only from its start."""
    with archive.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def open_members(archive: Path) -> Iterator[Callable[[ArchiveMember], bytes]]:
    """Open an archive to read the content of its members, in their order; or a folder of images, to read any."""
    if archive.is_dir():
        yield lambda member: (archive / member.name).read_bytes()
        return
    with _open(archive) as file:

        def read(member: ArchiveMember) -> bytes:
            file.seek(member.start)
            content = file.read(member.size)
            if len(content) != member.size:
                raise UserError(f"{archive}: {member.name!r}: is cut off; was the archive changed just now?")
            return content

        yield read


def list_members(archive: Path, within: ArchiveMember | None = None) -> Iterator[ArchiveMember]:
    """List the files of a tar in their order, or of a tar that is a file ``within`` a plain one.

    Names are relative, with ``/`` and without ``.``. Folders are passed over.

    Raises:
        UserError: the archive is damaged or cut off, or holds what no archive of images does (links, devices, sparse
            files, scripts, absolute names, ``..``, a name twice, sizes out of bounds); archive and member are named.
    """
    title = f"{archive}: {within.name}" if within else str(archive)
    seen: set[str] = set()
    for header, start, end in _named_entries(archive, within, title):
        if fault := _fault_of_kind(header) or fault_of(header.name, header.size, header.isdir()):
            raise UserError(f"{title}: {header.name!r}: refused, {fault}")
        if header.isdir():
            continue
        if start + header.size > end:
            there = max(0, end - start)
            raise UserError(
                f"{title}: {header.name!r}: refused, it is cut off: {there:,} of its {header.size:,} bytes are there"
            )
        name = PurePosixPath(header.name).as_posix()
        if name in seen:
            raise UserError(f"{title}: {header.name!r}: refused, the name is there twice")
        seen.add(name)
        if len(seen) > MOST:
            raise UserError(f"{title}: refused, it holds more than {MOST:,} files")
        yield ArchiveMember(name, start, header.size)


def read_files(archive: Path, wanted: Callable[[str], bool], largest: int) -> dict[str, bytes]:
    """Read the files of a small archive whose names are ``wanted``; it has ``largest`` bytes at most.

    Raises:
        UserError: the archive is damaged, or has more; it is named.
    """
    found = []
    for header, start, _ in _named_entries(archive, None, str(archive)):
        if start + header.size > largest:
            raise UserError(f"{archive}: {header.name!r}: refused, such an archive has no more than {largest:,} bytes")
        if header.isreg() and wanted(header.name):
            found.append(ArchiveMember(header.name, start, header.size))
    with open_members(archive) as read:
        return {member.name: read(member) for member in found}


# ------------------------------------------------------------------------------------------- what is refused


def fault_of(name: str, size: int, folder: bool = False) -> str:
    """Say why a file (or folder) of this name and size is refused in a set of images, or nothing."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or (not path.parts and not folder):
        return "its name leads out of the folder"
    if any(sign < " " or sign in "\\\x7f" for sign in name) or any(_length(part) > 240 for part in path.parts):
        return "its name is none for a file"
    if folder:
        return ""
    if path.name not in OURS:
        if any(part.startswith(".") for part in path.parts):
            return "it would be hidden"
        if path.suffix.lower() not in (*IMAGE_SUFFIXES, ".tar"):
            return "it is neither an image nor the archive of a class"
        if size == 0:
            return "it is empty"
    if size > LARGEST and path.suffix.lower() != ".tar":
        return f"it has {size:,} bytes, and no image more than {LARGEST:,}"
    return ""


def _fault_of_kind(header: tarfile.TarInfo) -> str:
    if header.isdir() or header.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
        return ""
    kinds = {tarfile.SYMTYPE: "a link", tarfile.LNKTYPE: "a link", tarfile.FIFOTYPE: "a pipe"}
    kinds |= {tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device"}
    return f"it is {kinds.get(header.type, 'no plain file')}"


def _length(name: str) -> int:
    return len(name.encode("utf-8", "surrogateescape"))


# ------------------------------------------------------------------------------------------- headers


def _open(archive: Path) -> BinaryIO:
    """Open an archive; one that is compressed is read forward only, for each step back starts anew."""
    return cast(BinaryIO, gzip.open(archive)) if is_compressed(archive) else archive.open("rb")


def _named_entries(
    archive: Path, within: ArchiveMember | None, title: str
) -> Iterator[tuple[tarfile.TarInfo, int, int]]:
    """Walk the headers of an archive: each, the place of its content, and that of the archive's end.

    Raises:
        UserError: the archive is damaged, or can't be read; the last member before that is named.
    """
    last = ""
    try:
        with _open(archive) as file:
            whole = sys.maxsize if is_compressed(archive) else archive.stat().st_size
            start, size = (within.start, within.size) if within else (0, whole)
            for header, place in _walk(file, start, start + size):
                last = header.name
                yield header, place, start + size
    except DAMAGED as error:
        where = f"damaged after {last!r}" if last else "damaged, or no tar archive"
        raise UserError(
            f"{title}: {where} ({' '.join(str(error).split())}): compare its checksum with the published one, and "
            "fetch it anew"
        ) from None
    except OSError as error:
        raise UserError(f"{title}: can't be read ({error.strerror or error})") from None


def _walk(file: BinaryIO, place: int, end: int) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Read the headers from ``place`` to ``end``, each with the place of its content; none of the content is read."""
    about: dict[str, str] = {}  # the next header, from those in front of it
    while (block := _read(file, place, BLOCK, end)) != bytes(BLOCK):
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        place += BLOCK
        if not 0 <= header.size < BEYOND:
            raise tarfile.ReadError(f"a size of {header.size:,} bytes")
        if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE):
            if header.size > HEADER:
                raise tarfile.ReadError(f"a header of {header.size:,} bytes")
            content = _read(file, place, header.size, end)
            if header.type == tarfile.GNUTYPE_LONGNAME:
                about["path"] = content.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            elif header.type != tarfile.XGLTYPE:
                about |= _pax_records(content)
            elif _pax_records(content).keys() & {"path", "size"}:
                raise tarfile.ReadError("one name or size for all files")
        elif header.type != tarfile.GNUTYPE_LONGLINK:  # that is of a link, which follows
            header.name = about.get("path", header.name)
            header.size = int(about.get("size", header.size))
            if any(key.startswith("GNU.sparse") for key in about):
                header.type = tarfile.GNUTYPE_SPARSE
            about = {}
            yield header, place
        if not header.isdir():
            place += -(-header.size // BLOCK) * BLOCK
    place += BLOCK
    left = len(file.read(PADDING + 1)) if end == sys.maxsize else end - place  # gzip's checksum is at the end
    if left > PADDING:
        raise tarfile.ReadError(f"it ends {left:,} bytes or more before its file does")


def _read(file: BinaryIO, place: int, size: int, end: int) -> bytes:
    file.seek(place)
    content = file.read(max(0, min(size, end - place)))
    if len(content) < size:
        raise tarfile.ReadError("its end is missing")
    return content


def _pax_records(content: bytes) -> dict[str, str]:
    """Read the records of an extended header, each ``length key=value``."""
    records = {}
    while content:
        found = _PAX_RECORD.match(content)
        if not found or not found.end() < int(found[1]) <= len(content):
            raise tarfile.ReadError("a broken extended header")
        value = content[found.end() : int(found[1]) - 1]
        records[found[2].decode()] = value.decode("utf-8", "surrogateescape")
        content = content[int(found[1]) :]
    if not re.fullmatch(r"\d{1,15}", records.get("size", "0"), re.ASCII):
        raise tarfile.ReadError("a size that is no number")
    return records

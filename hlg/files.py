"""Write files and links atomically, flush and lock them, and read files that anybody may have made.

What is read is a plain file of a bounded size: a pipe or a device in its place is an error, for it might never end.
Not every storage has all that POSIX promises. Where it has no symbolic links, a small file that names the target stands
in the place of each; where it can't flush a folder or lock a file, the work goes on without. The user is told once.
"""

import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Sequence
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import Any

from hlg.console import note_once
from hlg.errors import UserError

PARTIAL = ".partial-"  # how the name of a file begins that is not complete yet
POINTER = b"hlg-link: "  # how a file begins that stands for a link; then come the target's name and a line break
LONGEST = 300  # bytes of such a file: a file system takes 255 for a name
MOST = 64 << 20  # bytes of a file that is read as a whole, where its reader says nothing else
DEEPEST = 50  # levels of JSON; nothing that is read here has ten
# How a storage says that it can't do something at all: CIFS, vboxsf, NFS, Lustre, FUSE.
_CANNOT = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EBADF, errno.ENOLCK}
_CANNOT |= {errno.EPERM, errno.EACCES, errno.EISDIR}


def partial_name(path: Path) -> Path:
    """Choose the name of what is to become ``path``: no other process has it, and nobody can foresee it."""
    return path.with_name(f"{PARTIAL}{secrets.token_hex(8)}")


def remove_partials(folder: Path) -> None:
    """Remove the incomplete files of killed processes from a folder that nobody else writes to."""
    for path in folder.rglob(f"{PARTIAL}*"):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    r"""Write a file in the place of an older one, which stays until the new one is complete and on the disk.

    Half characters, as names that are no UTF-8 have, are written as \udcff, which JSON reads back.

    Raises:
        OSError: it can't be written; ``filename`` is that of the file.
    """
    partial = partial_name(path)
    try:
        with partial.open("xb") as file:
            file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        flush_to_disk(partial)
        partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def write_result(path: Path, text: str) -> None:
    """Write the file that a user asked for, and the folder that it is to lie in.

    Raises:
        UserError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror or error}") from error


def link_atomic(link: Path, target: str) -> None:
    """Make a symbolic link in the place of an older one; several processes may do so at once."""
    partial = partial_name(link)
    try:
        partial.symlink_to(target)
        partial.replace(link)
    finally:
        partial.unlink(missing_ok=True)


def link_or_point(link: Path, name: str) -> None:
    """Make a symbolic link to a name in its folder or, on a storage that has none, a file that stands for it.

    Raises:
        OSError: neither can be made, or the disk is full or fails.
    """
    try:
        link_atomic(link, name)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        write_atomic(link, POINTER + os.fsencode(name) + b"\n")
        note_once(f"this storage has no symbolic links ({error.strerror}): small files that name a target replace them")


def link_target(path: Path) -> str | None:
    """Return what a symbolic link, or a file that stands for one, leads to; None where the path is neither."""
    return str(path.readlink()) if path.is_symlink() else _pointed_name(path)


def follow_links(path: Path) -> Path:
    """Replace the files on a path that stand for links by what they lead to; symbolic links stay as they are."""
    found = Path()
    for part in path.parts:
        found /= part
        if name := _pointed_name(found):
            found = found.resolve().with_name(name)
    return found


def _pointed_name(path: Path) -> str | None:
    try:
        content = read_plain(path, LONGEST)
    except (OSError, ValueError):  # the second: a name with a zero byte
        return None
    name = os.fsdecode(content.removeprefix(POINTER).removesuffix(b"\n"))
    return name if content.startswith(POINTER) and name.strip(".") and "/" not in name else None


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, safe from a power cut, if the storage can tell.

    Raises:
        OSError: they can't be written there, as on a disk that is full.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        kind = "folders" if path.is_dir() else "files"
        note_once(f"this storage can't flush {kind} ({error.strerror}): a power cut may cost the newest of them")


def lock_alone(file: int) -> None:
    """Lock an open file or folder for this process, if the storage can lock.

    Raises:
        BlockingIOError: another process has locked it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        note_once(f"this storage has no locks ({error.strerror}): never let two processes write to the same folder")


def open_plain(path: str | Path) -> BufferedReader:
    """Open a file to read its bytes; never wait for a pipe, or open a device.

    Raises:
        OSError: it can't be opened, or is no plain file.
    """
    return open(path, "rb", opener=_only_plain)


def _only_plain(path: str, flags: int) -> int:
    file = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return file
    os.close(file)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "a pipe or a device, expected a plain file", path)


def read_plain(path: str | Path, most: int = MOST) -> bytes:
    """Read the whole of a plain file.

    Raises:
        OSError: it can't be read, is no plain file, or has more than ``most`` bytes; ``strerror`` says which.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= most else b""  # room for ``most`` would cost more than the reading
        if len(content) > size:  # it grows
            content += file.read(most)
        if max(size, len(content)) <= most:
            return content
    raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))


def load_json(path: Path, most: int = MOST) -> Any:
    """Read a JSON file in UTF-8.

    Raises:
        OSError: see :func:`read_plain`.
        ValueError: see :func:`parse_json`.
    """
    return parse_json(read_plain(path, most).decode("utf-8-sig"))


def parse_json(text: str) -> Any:
    """Parse JSON that anybody may have written.

    Raises:
        ValueError: it is none, has a key twice, or is nested more than DEEPEST levels deep.
    """
    too_deep = ValueError(f"it is nested more than {DEEPEST} levels deep")
    try:
        found = _JSON.decode(text)
    except RecursionError:
        raise too_deep from None
    level, levels = _inner([found]), 0
    while level:
        level, levels = [part for whole in level for part in _inner(whole)], levels + 1
        if levels > DEEPEST:
            raise too_deep
    return found


def _inner(whole: dict[str, Any] | list[Any]) -> list[Any]:
    """List the objects and lists right inside of one."""
    return [part for part in (whole.values() if isinstance(whole, dict) else whole) if isinstance(part, _CONTAINERS)]


def _each_key_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = sorted(key for key, _ in pairs)
        raise ValueError(f"the key {next(key for key, other in pairwise(keys) if key == other)!r} is there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_each_key_once, parse_constant=_refuse)
_CONTAINERS = dict, list


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a plain file, in hexadecimal."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Write files and links atomically, flush them to the disk, and identify files by their SHA-256."""

import hashlib
import os
from pathlib import Path

from hlg.errors import UserError

PARTIAL = ".partial-"  # how the name of a file begins that is not complete yet


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file in the place of an older one, which stays until the new one is complete.

    Raises:
        OSError: it can't be written.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
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
    partial = link.with_name(f"{PARTIAL}{link.name}-{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(link)


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, safe from a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

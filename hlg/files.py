"""Files that are there whole or not at all."""

from pathlib import Path

from hlg.errors import UserError


def write_whole(path: Path, text: str) -> None:
    """Put ``text`` in the place of an older file, which stays until the new one is complete.

    Raises:
        OSError: it can't be written.
    """
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_result(path: Path, text: str) -> None:
    """As :func:`write_whole`, in a folder that is made if need be.

    Raises:
        UserError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror or error}") from error

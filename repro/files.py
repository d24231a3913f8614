"""Read text, JSON and the fields of records, with errors that name file, line and key; write files atomically.

A file that is read as a whole is a plain one of a bounded size: a pipe or a device in its place might never end.
Where a storage has no symbolic links, hlg writes a small file in the place of each, which names its target.
`make cluster-files` writes files too, with whatever Python 3.8 or newer a machine has.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from repro.errors import ReproError

BEYOND = 2.0**1000  # no number of a record is so large, and not every int is a float from there on
COUNTED = 10**15  # nothing that is counted here has so many
LONGEST = 1_000_000  # characters of a line; no event has a thousandth of them
MOST = 64 << 20  # bytes of a file that is read as a whole, where its reader says nothing else
DEEPEST = 50  # levels of JSON; nothing that is read here has ten
_POINTER = b"hlg-link: "  # how a file begins that stands for a link; then come the target's name and a line break
_LONGEST_POINTER = 300  # bytes of such a file


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON, write it as a text")


_JSON = json.JSONDecoder(parse_constant=_refuse)
_CONTAINERS = dict, list
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_MISSING = "missing, expected in a run folder"
_TYPES = {int: "a whole number from 0 to 10^15", float: "a number", str: "text", bool: "true or false"}
_TYPES.update({dict: "an object", list: "a list"})


def read_json(path: Path) -> dict[str, Any]:
    """Read the one object of a JSON file."""
    return json_object(str(path), read_text(path))


def json_object(where: str, text: str) -> dict[str, Any]:
    """Parse one JSON object.

    Raises:
        ReproError: it is none; `where` names its file and line.
    """
    text = text.strip(" \t\r\n")
    try:
        found, end = _JSON.raw_decode(text)  # twice as fast as decode, which does just what is done here
        if end < len(text):
            raise ValueError(f"extra data after character {end}")
        level, levels = _inner([found]), 0
        while level:
            level, levels = [part for whole in level for part in _inner(whole)], levels + 1
            if levels > DEEPEST:
                raise RecursionError
    except RecursionError:
        raise ReproError(f"{where}: found more than {DEEPEST} levels of JSON, expected one flat object") from None
    except ValueError as error:
        raise ReproError(f"{where}: found {text[:100]!r}, expected one JSON object: {error}") from None
    if not isinstance(found, dict):
        raise ReproError(f"{where}: found {text[:100]!r}, expected one JSON object")
    return found


def _inner(whole: dict[str, Any] | list[Any]) -> list[Any]:
    """List the objects and lists right inside of one."""
    return [part for part in (whole.values() if isinstance(whole, dict) else whole) if isinstance(part, _CONTAINERS)]


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file to read its bytes; never wait for a pipe, or open a device.

    Raises:
        OSError: it can't be opened, or is no plain file.
    """
    return open(path, "rb", opener=_only_regular)


def _only_regular(path: str, flags: int) -> int:
    file = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return file
    os.close(file)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "a pipe or a device, expected a plain file", path)


def read_regular(path: Path, most: int = MOST) -> bytes:
    """Read the whole of a plain file.

    Raises:
        OSError: it can't be read, is no plain file, or has more than `most` bytes; ``strerror`` says which.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= most else b""  # room for ``most`` would cost more than the reading
        if len(content) > size:  # it grows
            content += file.read(most)
        if max(size, len(content)) <= most:
            return content
    raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a file of a run folder one at a time, numbered from 1.

    Raises:
        ReproError: the file cannot be read, or a line is absurdly long.
    """
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            while line := file.readline(LONGEST):
                number += 1
                if len(line) == LONGEST:
                    raise ReproError(f"{path}:{number}: found a line of {LONGEST:,} characters or more")
                yield number, line
    except FileNotFoundError:
        raise ReproError(f"{path}: {_MISSING}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def read_text(path: Path, most: int = MOST) -> str:
    """Read the text of a file of a run folder. Raises ReproError naming the file."""
    try:
        return read_regular(path, most).decode("utf-8")
    except FileNotFoundError:
        raise ReproError(f"{path}: {_MISSING}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ReproError:
    return ReproError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}")


def field(where: str, record: Mapping[str, Any], key: str, kind: type, *, optional: bool = False) -> Any:
    """Return `record[key]` if it has this type; records write numbers that are not finite as text.

    Raises:
        ReproError: it is missing and not optional, or of another type; `where` names the record.
    """
    value = record.get(key)
    if value is None and optional:
        return None
    if kind is float and isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if kind is float and _is_number(value):
        return float(value)  # type: ignore[arg-type]
    if kind is float or type(value) is not kind or (isinstance(value, int) and not 0 <= value <= COUNTED):
        found = repr(value)[:100] if key in record else "nothing"
        raise ReproError(f"{where}: {key}: found {found}, expected {_TYPES[kind]}")
    return value


def number_list(where: str, values: object, advice: str) -> tuple[float, ...]:
    """Return a list of numbers, one or more. Raises ReproError with `where` and `advice` if it is none."""
    if not isinstance(values, list) or not values or not all(map(_is_number, values)):
        raise ReproError(f"{where}: expected a list of numbers; {advice}")
    return tuple(map(float, values))


def _is_number(value: Any) -> bool:
    """Tell whether it is a finite number of JSON, where 1e999 is infinite."""
    return type(value) in (int, float) and abs(value) < BEYOND


def replace_file(path: Path, content: str | bytes) -> None:
    r"""Write a file atomically in the place of an older one, and make its folder if need be.

    Half characters, as names that are no UTF-8 have, are written as \udcff.

    Raises:
        OSError: it can't be written; ``filename`` is that of the file.
    """
    real = path.resolve()  # a link stays one
    real.parent.mkdir(parents=True, exist_ok=True)
    partial = real.with_name(f".partial-{secrets.token_hex(8)}")  # no other process has it, and nobody can foresee it
    try:
        with partial.open("xb") as file:
            file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        with contextlib.suppress(OSError):  # there is none yet, or the storage has no permissions
            shutil.copymode(real, partial)
        partial.replace(real)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def pointed_path(path: Path) -> Path:
    """Replace the files on a path that stand for links by what they lead to; symbolic links stay as they are."""
    found = Path()
    for part in path.parts:
        found /= part
        with contextlib.suppress(OSError):
            content = read_regular(found, _LONGEST_POINTER)
            name = os.fsdecode(content.removeprefix(_POINTER).removesuffix(b"\n"))
            if content.startswith(_POINTER) and name.strip(".") and "/" not in name:
                found = found.resolve().with_name(name)
    return found

"""Reads text, JSON and the fields of records, and says what is wrong by file, line and key."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro.schema import ReproError

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_TYPES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_TYPES |= {dict: "an object", list: "a list"}


def read_json(path: Path) -> dict[str, Any]:
    """The one object of a JSON file. Raises ReproError naming the file."""
    return json_object(str(path), read_text(path))


def json_object(where: str, text: str) -> dict[str, Any]:
    """One JSON object; `where` names file and line in the ReproError if it is none."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON, write it as a text")

    try:
        found = json.loads(text, parse_constant=refuse)
    except ValueError as error:
        raise ReproError(f"{where}: found {text[:100]!r}, expected one JSON object: {error}") from None
    if not isinstance(found, dict):
        raise ReproError(f"{where}: found {text[:100]!r}, expected one JSON object")
    return found


def read_text(path: Path) -> str:
    """The text of a file of a run folder. Raises ReproError naming the file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReproError(f"{path}: missing, expected in a sealed run folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ReproError(f"{path}: cannot be read: {error}") from None


def field(where: str, record: Mapping[str, Any], key: str, kind: type, *, optional: bool = False) -> Any:
    """`record[key]`, of this type; numbers that are not finite are written as text. None where optional."""
    value = record.get(key)
    if value is None and optional:
        return None
    if kind is float and isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        found = repr(value)[:100] if key in record else "nothing"
        raise ReproError(f"{where}: {key}: found {found}, expected {_TYPES[kind]}")
    return value

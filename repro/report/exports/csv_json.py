"""Write records as CSV and as JSON."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What a spreadsheet takes for the beginning of a formula; the apostrophe is here, so that it can be undone.
_ACTIVE = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "'")
# Control characters but tab and line breaks, and halves of characters, which no UTF-8 can hold.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$')


def csv_text(columns: Sequence[str], records: Iterable[Mapping[str, Any]], end: str = "\r\n") -> str:
    """Write records as CSV of RFC 4180, one line a record below the line of column names.

    Numbers have a point and no thousands separators, and are nan, inf or -inf if they are not finite; true and false
    are words, lists are joined by "; ", and what is absent is an empty cell. A text that a spreadsheet could take for a
    formula, or that begins with an apostrophe, gets an apostrophe in front: whoever reads a text that begins with one
    takes one away and has the text. Control characters stand as their number, such as \\u0000.
    """
    lines = [columns, *([_cell(record[column]) for column in columns] for record in records)]
    return "".join(",".join(cells) + end for cells in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    found = _json_value(value)
    text = "; ".join(map(str, found)) if isinstance(found, list) else str(found)
    text = _UNWRITABLE.sub(lambda character: f"\\u{ord(character[0]):04x}", text)
    if text.lstrip().startswith(_ACTIVE) or text.startswith(("\t", "\r", "\n")):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def json_text(value: object) -> str:
    """Write a value as JSON in ASCII; numbers that are not finite are texts, as in metrics.jsonl."""
    return json.dumps(_json_value(value), indent=1) + "\n"


def json_line(value: object) -> str:
    """Write a value as `json_text` does, on one line and without its end."""
    return json.dumps(_json_value(value))


def _json_value(value: object) -> Any:
    """Convert to JSON's types: "nan", "inf" or "-inf" for such a number, text for what only YAML has."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _json_value(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(found) for found in value]
    if isinstance(value, set):
        return sorted(map(str, value))
    return str(value)

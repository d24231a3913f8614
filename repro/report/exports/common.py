"""How records become CSV and JSON, and what the formats read of a run besides."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from repro.published.figures import MEASURES
from repro.records.schema import Run

# What a spreadsheet takes for the beginning of a formula; the apostrophe is here, so that it can be undone.
_ACTIVE = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "'")
# Control characters but tab and line breaks, and halves of characters, which no UTF-8 can hold.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LARGEST = 2**63  # that a number of a configuration can be meant to be
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$')


def csv_text(columns: Sequence[str], records: Iterable[Mapping[str, Any]], end: str = "\r\n") -> str:
    """The records as CSV of RFC 4180, one line a record below the line of column names.

    Numbers have a point and no thousands separators, and are nan, inf or -inf where they are not finite; true and
    false are words, lists are joined by "; ", and what is absent is an empty cell. A text that a spreadsheet could
    take for a formula, or that begins with an apostrophe, has an apostrophe in front: whoever reads a text that begins
    with one takes one away and has the text. Control characters stand as their number, such as \\u0000.
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
    found = plain(value)
    text = "; ".join(map(str, found)) if isinstance(found, list) else str(found)
    text = _UNWRITABLE.sub(lambda character: f"\\u{ord(character[0]):04x}", text)
    if text.lstrip().startswith(_ACTIVE) or text.startswith(("\t", "\r", "\n")):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def json_text(value: object) -> str:
    """The value as JSON in ASCII, texts to the character, numbers that are not finite as texts as in metrics.jsonl."""
    return json.dumps(plain(value), indent=1) + "\n"


def json_line(value: object) -> str:
    """As `json_text`, on one line and without its end."""
    return json.dumps(plain(value))


def plain(value: object) -> Any:
    """What JSON can hold of this value: "nan", "inf" or "-inf" for such a number, and text for what YAML has beyond."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [plain(found) for found in value]
    if isinstance(value, set):
        return sorted(map(str, value))
    return str(value)


def tidy(value: float | None) -> float | None:
    """The number at twelve digits, more than any log holds: 75.502, not the 75.50200000000001 of 100 * 0.75502."""
    return None if value is None else float(f"{value:.12g}")


def measured(run: Run, measure: str) -> float | None:
    """One of figures.MEASURES, in percent, milliseconds, images/s or seconds; None where the log has none."""
    found = MEASURES[measure](run.log)
    return tidy(found.value) if found else None


def setting(run: Run, key: str) -> int | float | None:
    """The number that the configuration has for `key`, also where it stands as text; None where there is none."""
    value = run.config.get(key)
    try:
        number = int(value) if isinstance(value, int) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if abs(number) < _LARGEST else None  # which nan is not, either


def word(run: Run, key: str) -> str | None:
    """The text that the configuration has for `key`, or None."""
    value = run.config.get(key)
    return value if isinstance(value, str) and value else None


def global_batch(run: Run) -> int | float | None:
    """Images in one step on all devices: batch_size is that of one."""
    size = setting(run, "batch_size")
    return None if size is None else size * run.env.device_count


def millions(count: int | None) -> float | None:
    """Parameters as tables give them: in millions, with two digits."""
    return None if count is None else round(count / 1e6, 2)


def recipe(run: Run) -> str | None:
    """The name of the configuration file; None for a run that did not record it."""
    found = run.env.facts.get("recipe")
    return found if isinstance(found, str) and found else None

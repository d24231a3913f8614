"""Read what the published text says, number by number, also where no run can be compared with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from repro.errors import ReproError
from repro.published.figures import PUBLISHED


@dataclass(frozen=True)
class Statement:
    """One number or setting that the text gives, and the conditions under which it holds.

    `value` is text for a setting such as ``cosine``. `decimals`: as it was printed, None where it is not rounded.
    `statistic`, `hardware` and `software` are empty where the text does not say.
    """

    says: str
    value: float | str
    decimals: int | None
    source: str
    unit: str = ""
    statistic: str = ""
    hardware: str = ""
    software: str = ""


def read_statements(path: Path = PUBLISHED) -> dict[str, Statement]:
    """Read the statements by key: the text's own, those of its configuration, ``<key>, line <line>`` of its log.

    Raises:
        ReproError: the file is malformed; file and key are named.
    """
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        statements = {key: Statement(**statement) for key, statement in found["statements"].items()}
        return statements | dict(_configuration(found["configuration"])) | dict(_log(found["log"]))
    except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise ReproError(f"{path}: {' '.join(str(error).split())}") from None
    except KeyError as error:
        raise ReproError(f"{path}: found no {error.args[0]!r}") from None


def _configuration(found: Mapping[str, Any]) -> Iterator[tuple[str, Statement]]:
    """Read the statements of the printed configuration; none is rounded."""
    for key, entry in found.items():
        rest = {name: entry[name] for name in entry if name not in ("value", "line")}
        shown = entry["value"] if entry["value"] != "" else "''"
        defaults = {"says": f"{key} = {shown}", "decimals": None, "source": f"configuration, line {entry['line']}"}
        yield key, Statement(value=entry["value"], **(defaults | rest))


def _log(found: Mapping[str, Any]) -> Iterator[tuple[str, Statement]]:
    """Read the statements of the log: one for each of the `values`, which are listed by line."""
    for key, series in found.items():
        rest = {name: series[name] for name in series if name != "values"}
        for line, value in series["values"].items():
            yield f"{key}, line {line}", Statement(value=value, source=f"training log, line {line}", **rest)

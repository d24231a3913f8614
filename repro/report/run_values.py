"""Take single values from a run, as tables and other projects' formats need them: None for what it does not say."""

from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from repro.published.figures import MEASURES
from repro.records.schema import Run

_LARGEST = 2**63  # that a number of a configuration can be meant to be


def log_value(run: Run, measure: str) -> float | None:
    """Return one of figures.MEASURES, in percent, milliseconds, images/s or seconds."""
    found = MEASURES[measure](run.log)
    return tidy(found.value) if found else None


def config_number(run: Run, key: str) -> int | float | None:
    """Return the number that the configuration has for `key`, also if it stands there as text."""
    value = run.config.get(key)
    try:
        number = int(value) if isinstance(value, int) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if abs(number) < _LARGEST else None  # which nan is not, either


def config_text(run: Run, key: str) -> str | None:
    """Return the text that the configuration has for `key`."""
    value = run.config.get(key)
    return value if isinstance(value, str) and value else None


def shareable(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out paths of the run's machine, and addresses: they say nothing about the result."""
    return {key: value for key, value in facts.items() if not _elsewhere(value)}


def _elsewhere(value: object) -> bool:
    """Tell whether this names a place on the machine of the run, or an address."""
    if not isinstance(value, str):
        return False
    return "://" in value or PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()


def global_batch(run: Run) -> int | float | None:
    """Return the images of one step on all devices: batch_size is that of one."""
    size = config_number(run, "batch_size")
    return None if size is None else size * run.env.device_count


def millions(count: int | None) -> float | None:
    """Convert a number of parameters to millions with two digits, as tables give them."""
    return None if count is None else round(count / 1e6, 2)


def config_name(run: Run) -> str | None:
    """Return the name of the configuration file."""
    found = run.env.facts.get("recipe")
    return found if isinstance(found, str) and found else None


def tidy(value: float | None) -> float | None:
    """Round to twelve digits, more than any log holds: 75.502, not the 75.50200000000001 of 100 * 0.75502."""
    return None if value is None else float(f"{value:.12g}")

"""Read a measurement that `python -m hlg.bench` has written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.files import field, read_json


@dataclass(frozen=True)
class BenchFile:
    """A file that hlg.bench has written, whose values are checked as they are read."""

    path: Path
    found: Mapping[str, Any]

    def number(self, key: str) -> float:
        """Return a number above 0. Raises ReproError."""
        value = field(str(self.path), self.found, key, float)
        if not 0 < value < float("inf"):
            raise ReproError(f"{self.path}: {key}: found {value}, expected a number above 0")
        return float(value)

    def of(self, *keys: str) -> Any:
        """Return an entry of the environment, by its nested keys. Raises ReproError."""
        record, where = self.found, str(self.path)
        for key in ("environment", *keys[:-1]):
            record = field(where, record, key, dict)
        if keys[-1] not in record:
            raise ReproError(f"{where}: environment: found no {'.'.join(keys)}, expected what hlg.bench writes")
        return record[keys[-1]]

    def count(self, *keys: str) -> int:
        """Return a whole number above 0 of the environment. Raises ReproError."""
        value = self.of(*keys)
        if type(value) is not int or value < 1:
            raise ReproError(f"{self.path}: {'.'.join(keys)}: found {value!r}, expected a whole number from 1 on")
        return value


def read_bench(path: Path, what: str) -> BenchFile:
    """Read a measurement of `what`. Raises ReproError if the file is none."""
    if not path.is_file():
        raise ReproError(f"{path}: no such file; python -m hlg.bench {what} --json {path} writes it")
    found = read_json(path)
    if found.get("what") != what:
        is_ = f"a measurement of {found['what']!r}" if isinstance(found.get("what"), str) else "no measurement"
        raise ReproError(f"{path}: found {is_}, expected what python -m hlg.bench {what} --json {path} writes")
    return BenchFile(path, found)

"""Read and write the kept file of a release: `results/releases/2.7.0.json`.

It names code, processor, lock and variables that it was measured with, so that a measurement is made once.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.files import field, number_list, read_json, replace_file
from repro.records.fingerprint import VERDICTS

FOLDER = Path("results/releases")
FORMAT = 1
MODES = ("graph", "PyNative")
WORKLOADS = ("step", "forward")
DIGITS = 4  # of an error and a bound, in the file


@dataclass(frozen=True)
class ModeRows:
    """A fingerprint in one mode: error and verdict of each row by its label, and the cause of the first one out."""

    rows: Mapping[str, tuple[float | None, str]]
    cause: str

    @property
    def done(self) -> int:
        """The rows that were computed."""
        return sum(verdict != "not done" for _, verdict in self.rows.values())

    @property
    def first_out(self) -> str | None:
        """The first row out of bounds."""
        return next((label for label, (_, verdict) in self.rows.items() if verdict == "out"), None)


@dataclass(frozen=True)
class ShortRun:
    """The training of `make check`. `seconds`: from start to end of the program."""

    losses: tuple[float, ...]
    seconds: float
    workload: Mapping[str, Any]


@dataclass(frozen=True)
class PacedSpeed:
    """A step or forward pass by turns with the default release: `ratios` of the times in each round.

    For the default they are its ratios to itself in another process: what noise does.
    """

    ratios: tuple[float, ...]
    median_s: float
    compile_s: float
    peak_bytes: int


@dataclass(frozen=True)
class KeptRelease:
    """What was measured of a release. What could not be is in `failed`, with the last line that it said."""

    path: Path
    release: str
    key: Mapping[str, Any]
    commit: str
    size_bytes: int | None
    fingerprints: Mapping[str, ModeRows]
    short_run: ShortRun | None
    speeds: Mapping[str, PacedSpeed]
    failed: Mapping[str, str]

    @property
    def machine(self) -> str:
        """The processor, its cores, and variables that change numbers, in words."""
        variables = "".join(f", {name}={value}" for name, value in self.key["variables"].items())
        return f"{self.key['cpu']}, {self.key['cores']} cores{variables}"


def kept_path(folder: Path, release: str) -> Path:
    """Return where the file of a release is."""
    return folder / f"{release}.json"


def write_kept(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the file of a release atomically, a row of a fingerprint on each line."""
    rows = {mode: found["rows"] for mode, found in facts["fingerprint"].items()}
    plain = dict(facts) | {"fingerprint": {m: {**f, "rows": f"@{m}"} for m, f in facts["fingerprint"].items()}}
    text = json.dumps(plain, indent=1, allow_nan=False)
    for mode, lines in rows.items():
        listed = ",\n".join(json.dumps(line, allow_nan=False) for line in lines)
        text = text.replace(f'"@{mode}"', f"[\n{listed}\n]")
    replace_file(path, text + "\n")


def read_kept_release(path: Path) -> KeptRelease | None:
    """Read the file of a release; None if there is none.

    Raises:
        ReproError: it is damaged; the message says how to make it again.
    """
    if not path.exists():
        return None
    try:
        return _parse(path, read_json(path))
    except ReproError as error:
        advice = f'remove it and make it again: make releases VERSIONS="{path.stem}"'
        raise ReproError(f"{error}; {advice}") from None


def read_kept_releases(folder: Path, releases: Mapping[str, object]) -> dict[str, KeptRelease | None]:
    """Read the files of these releases, oldest release first; None for what was not measured."""
    return {release: read_kept_release(kept_path(folder, release)) for release in reversed(list(releases))}


def _parse(path: Path, found: Mapping[str, Any]) -> KeptRelease:
    where = str(path)
    if field(where, found, "format", int) != FORMAT:
        raise ReproError(f"{where}: format: found {found['format']}, expected {FORMAT}")
    if field(where, found, "release", str) != path.stem:
        raise ReproError(f"{where}: release: found {found['release']!r}, expected {path.stem!r}")
    key = field(where, found, "key", dict)
    for name, kind in {"cpu": str, "cores": int, "variables": dict, "lock": str, "code": str}.items():
        field(f"{where}: key", key, name, kind)
    run = field(where, found, "short_run", dict, optional=True)
    return KeptRelease(
        path=path,
        release=path.stem,
        key=key,
        commit=field(where, found, "commit", str),
        size_bytes=field(where, found, "size_bytes", int, optional=True),
        fingerprints={name: _mode_rows(at, part) for name, at, part in _parts(where, found, "fingerprint", MODES)},
        short_run=run and _short_run(f"{where}: short_run", run),
        speeds={name: _paced_speed(at, part) for name, at, part in _parts(where, found, "speed", WORKLOADS)},
        failed={name: str(line) for name, line in field(where, found, "failed", dict).items()},
    )


def _parts(where: str, found: Mapping[str, Any], key: str, names: tuple[str, ...]) -> list[tuple[str, str, Any]]:
    parts = field(where, found, key, dict)
    return [
        (name, f"{where}: {key}: {name}", field(f"{where}: {key}", parts, name, dict))
        for name in names
        if name in parts
    ]


def _mode_rows(where: str, found: Mapping[str, Any]) -> ModeRows:
    rows: dict[str, tuple[float | None, str]] = {}
    for number, row in enumerate(field(where, found, "rows", list)):
        at = f"{where}: rows[{number}]"
        if not isinstance(row, list) or len(row) != 4 or not isinstance(row[0], str) or row[3] not in VERDICTS:
            raise ReproError(f"{at}: found {row!r:.100}, expected a label, an error, a bound and a verdict")
        rows[row[0]] = (field(at, {"error": row[1]}, "error", float, optional=True), row[3])
    if not rows:
        raise ReproError(f"{where}: rows: found none")
    return ModeRows(rows, field(where, found, "cause", str, optional=True) or "")


def _short_run(where: str, found: Mapping[str, Any]) -> ShortRun:
    losses = [field(where, {"losses": loss}, "losses", float) for loss in field(where, found, "losses", list)]
    if not losses:
        raise ReproError(f"{where}: losses: found none")
    return ShortRun(tuple(losses), field(where, found, "seconds", float), field(where, found, "workload", dict))


def _paced_speed(where: str, found: Mapping[str, Any]) -> PacedSpeed:
    ratios = number_list(f"{where}: ratios", field(where, found, "ratios", list), "expected one of each round")
    numbers = {key: field(where, found, key, float) for key in ("median_s", "compile_s")}
    if min(*ratios, numbers["median_s"]) <= 0:
        raise ReproError(f"{where}: found a time that is not above 0")
    return PacedSpeed(ratios, **numbers, peak_bytes=field(where, found, "peak_bytes", int))


def compact_rows(rows: Mapping[str, Any]) -> list[list[Any]]:
    """Return the rows of a fingerprint as the kept file has them: label, error, bound, verdict."""
    return [[label, _short(row.error), _short(row.bound), row.verdict] for label, row in rows.items()]


def _short(value: float | None) -> float | str | None:
    if value is None:
        return None
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)

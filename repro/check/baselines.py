"""The kept baselines: what short runs of one recipe gave on one machine. One JSON file each."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repro.check.short_run import Speed
from repro.errors import ReproError
from repro.files import field, number_list, read_json, replace_file

AGAIN = "make it again: make baseline"


@dataclass(frozen=True)
class Band:
    """How far losses part when nothing but rounding differs, measured by so many `variants`.

    `losses` is the largest difference up to each step, `top1_points` that of the accuracies.
    """

    losses: tuple[float, ...]
    top1_points: float
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Baseline:
    """The kept numbers. `workload` must be the same for a comparison, `environment` for an exact one."""

    path: Path
    recipe: str
    commit: str
    runs: tuple[str, ...]  # the repetitions
    workload: Mapping[str, Any]
    environment: Mapping[str, Any]
    losses: tuple[float, ...]
    top1_pct: float
    images: int
    speeds: tuple[Speed, ...]
    band: Band | None

    @property
    def slowest(self) -> float:
        """Of the repetitions, in calibrations a step."""
        return max(kept.ratio for kept in self.speeds)

    @property
    def fastest(self) -> float:
        """Of the repetitions, in calibrations a step."""
        return min(kept.ratio for kept in self.speeds)


def write(baseline: Baseline) -> None:
    """To its path, whole or not at all."""
    found = {key: value for key, value in asdict(baseline).items() if key != "path"}
    replace_file(baseline.path, json.dumps(found, indent=1, allow_nan=False) + "\n")


def read(path: Path) -> Baseline:
    """Raises ReproError naming the file and the key."""
    found, where = read_json(path), str(path)
    losses = number_list(f"{where}: losses", field(where, found, "losses", list), AGAIN)
    return Baseline(
        path=path,
        recipe=field(where, found, "recipe", str),
        commit=field(where, found, "commit", str),
        runs=tuple(map(str, field(where, found, "runs", list))),
        workload=field(where, found, "workload", dict),
        environment=field(where, found, "environment", dict),
        losses=losses,
        top1_pct=_within(where, found, "top1_pct", 0, 100),
        images=int(_within(where, {"images": field(where, found, "images", int)}, "images", 1, math.inf)),
        speeds=_speeds(where, field(where, found, "speeds", list)),
        band=_band(f"{where}: band", field(where, found, "band", dict, optional=True), len(losses)),
    )


def read_all(folder: Path) -> list[Baseline]:
    """Every baseline in a folder, which may be missing."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def _speeds(where: str, found: list[Any]) -> tuple[Speed, ...]:
    speeds = []
    for number, speed in enumerate(found):
        at = f"{where}: speeds: {number}"
        if not isinstance(speed, dict):
            raise ReproError(f"{at}: found {speed!r}, expected an object; {AGAIN}")
        times = {key: _within(at, speed, key, 1e-6, math.inf) for key in ("ratio", "step_ms", "calibration_ms")}
        speeds.append(Speed(**times, steps=field(at, speed, "steps", int)))
    if not speeds:
        raise ReproError(f"{where}: speeds: found none; {AGAIN}")
    return tuple(speeds)


def _band(where: str, found: Mapping[str, Any] | None, steps: int) -> Band | None:
    if found is None:
        return None
    losses = number_list(f"{where}: losses", field(where, found, "losses", list), AGAIN)
    if len(losses) != steps:
        raise ReproError(f"{where}: losses: found {len(losses)}, expected {steps} as there are losses; {AGAIN}")
    variants = tuple(map(str, field(where, found, "variants", list)))
    return Band(losses, _within(where, found, "top1_points", 0, 100), variants)


def _within(where: str, found: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value: float = field(where, found, key, float)
    if not low <= value <= high:
        raise ReproError(f"{where}: {key}: found {value}, expected {low:g} to {high:g}; {AGAIN}")
    return value

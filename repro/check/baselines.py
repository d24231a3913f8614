"""Make, write and read baselines: what short runs of one recipe gave on one machine, a JSON file each.

The runs with the most common environment are the repetitions: their losses and accuracies must be the same, and their
speeds tell the noise of the machine. Runs whose environment differs, by another instruction set for example, round
differently: how far their losses part from the others' is the measured band.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repro.check.measurements import Speed, last_top1, step_speed
from repro.check.workload import differing_keys, environment_of, file_stem, in_words, recipe_name, workload_of
from repro.errors import ReproError
from repro.files import field, number_list, read_json, replace_file
from repro.published.seeds import unfit
from repro.records.schema import Run

REPEATS = 2  # fewer runs than these say nothing about noise
NOISIEST = 1.3  # the slowest repetition over the fastest: beyond it a slower step could not be told from noise
AGAIN = "make it again: make baseline"


@dataclass(frozen=True)
class Band:
    """The band of losses that rounding alone explains, as measured by the runs in `variants`.

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
        """The slowest repetition, in calibrations a step."""
        return max(kept.ratio for kept in self.speeds)

    @property
    def fastest(self) -> float:
        """The fastest repetition, in calibrations a step."""
        return min(kept.ratio for kept in self.speeds)


# ------------------------------------------------------------------------------------------------- making


def make_baseline(runs: Sequence[Run], folder: Path) -> Baseline:
    """Make the baseline of these runs, to be kept in `folder`.

    Raises:
        ReproError: they do not belong together, do not repeat each other, or are too noisy.
    """
    if not runs:
        raise ReproError("no finished training run; record some: make baseline")
    for run in runs:
        _fit(run, runs[0])
    places = [json.dumps(environment_of(run)) for run in runs]
    usual = max(places, key=places.count)
    repetitions = [run for run, place in zip(runs, places, strict=True) if place == usual]
    if len(repetitions) < REPEATS:
        raise ReproError(
            f"found {len(repetitions)} run in one environment, expected {REPEATS} or more, to measure the noise"
        )
    first = repetitions[0]
    for run in repetitions[1:]:
        _repeats(run, first)
    commit, accuracy = first.env.commit, last_top1(first)
    assert commit is not None  # _fit has seen to both
    assert accuracy is not None
    baseline = Baseline(
        path=folder / f"{_file_name(first)}.json",
        recipe=recipe_name(first),
        commit=commit,
        runs=tuple(run.folder.name for run in repetitions),
        workload=workload_of(first),
        environment=environment_of(first),
        losses=tuple(first.steps.loss),
        top1_pct=accuracy,
        images=first.eval_images,
        speeds=tuple(measured for run in repetitions if (measured := step_speed(run))),
        band=_band_of(first, [run for run, place in zip(runs, places, strict=True) if place != usual]),
    )
    if baseline.slowest > NOISIEST * baseline.fastest:
        found = f"a step takes {baseline.fastest:.1f} to {baseline.slowest:.1f} calibrations"
        raise ReproError(
            f"{first.folder.parent}: {found}, which is too much noise to detect a slower step; "
            "repeat the runs on an idle machine"
        )
    return baseline


def _fit(run: Run, first: Run) -> None:
    """Raise ReproError unless the run can be part of the baseline that `first` is in."""
    if run.kind != "train" or not run.steps.loss:
        raise ReproError(f"{run.folder}: found a run of kind {run.kind}, expected trainings")
    if reason := unfit(run):
        raise ReproError(f"{run.folder}: {reason}; repeat the runs from a clean commit, without interruption")
    if run.env.commit != first.env.commit:
        raise ReproError(f"{run.folder}: its commit is not that of {first.folder}; take runs of one commit")
    for key, (expected, found) in differing_keys(workload_of(first), workload_of(run)).items():
        raise ReproError(f"{run.folder}: {key}: found {found}, but {expected} in {first.folder}")
    if len(run.steps.loss) != len(first.steps.loss):
        lengths = f"{len(run.steps.loss)} steps, but {len(first.steps.loss)}"
        raise ReproError(f"{run.folder}: found {lengths} in {first.folder}")
    if not np.isfinite(run.steps.loss).all():
        raise ReproError(f"{run.folder}: found a loss that is not finite")
    speed, top1 = step_speed(run), last_top1(run)
    if speed is None or not 0 < speed.ratio < math.inf:  # which nan is not, either
        raise ReproError(f"{run.folder}: found no speed: too few steps, no number, or calibration_interval was 0")
    if top1 is None or math.isnan(top1) or not run.eval_images:
        raise ReproError(f"{run.folder}: found no accuracy")


def _repeats(run: Run, first: Run) -> None:
    """Raise ReproError unless both have the same numbers."""
    apart = np.flatnonzero(np.array(run.steps.loss) != np.array(first.steps.loss))
    what = f"loss of step {apart[0]}" if len(apart) else "accuracy"
    if len(apart) or (last_top1(run), run.eval_images) != (last_top1(first), first.eval_images):
        raise ReproError(
            f"{run.folder}: its {what} is not that of {first.folder}: the stack is not repeatable; find out why before "
            "you compare anything with it"
        )


def _file_name(run: Run) -> str:
    """Name a baseline by recipe, device, versions and a hash of the workload: ``check_cpux1_amd-epyc_..._1a2b3c4d``."""
    where = environment_of(run)
    chip = run.env.cpu if run.env.target == "CPU" else " ".join(sorted(set(run.env.device_names)))
    cores = [f"{where['cores']}cores"] if "cores" in where else []
    words = (
        recipe_name(run),
        f"{run.env.target}x{run.env.device_count}",
        *(chip, *cores),
        f"mindspore {where['mindspore']}",
    )
    return file_stem(words, workload_of(run))


def _band_of(reference: Run, variants: Sequence[Run]) -> Band | None:
    """Return the largest differences so far, step by step; None without variants."""
    if not variants:
        return None
    losses = np.array(reference.steps.loss)
    apart = np.max([np.abs(np.array(run.steps.loss) - losses) for run in variants], axis=0)
    scores = [(last_top1(run) or 0.0) - (last_top1(reference) or 0.0) for run in variants]
    return Band(
        tuple(np.maximum.accumulate(apart).tolist()),
        max(map(abs, scores)),
        tuple(in_words(differing_keys(environment_of(reference), environment_of(run))) for run in variants),
    )


# ------------------------------------------------------------------------------------------------- keeping


def write_baseline(baseline: Baseline) -> None:
    """Write a baseline to its path, atomically."""
    found = {key: value for key, value in asdict(baseline).items() if key != "path"}
    replace_file(baseline.path, json.dumps(found, indent=1, allow_nan=False) + "\n")


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        ReproError: something in it is missing or impossible; file and key are named.
    """
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


def read_baselines(folder: Path) -> list[Baseline]:
    """Read every baseline in a folder, which may be missing."""
    return [read_baseline(path) for path in sorted(folder.glob("*.json"))]


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

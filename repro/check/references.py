"""Make, write and read reference runs of one recipe over many seeds, and the intervals that a new run must meet.

A point is the mean of the losses over a quarter of the steps, or the accuracy at the end. A new run, of any seed and on
any device, passes where each of its points lies in the interval in which a further run of the kept kind lies with a
probability of 95 % for all points together: mean ± t s sqrt(1 + 1/n), Student's t with n - 1 degrees of freedom, its
level divided by the number of points (Bonferroni). It is the test for where nothing can be the same bit for bit.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from repro.check.measurements import last_top1
from repro.check.workload import differing_keys, environment_of, file_stem, recipe_name, workload_of
from repro.errors import ReproError
from repro.files import field, number_list, read_json, replace_file
from repro.published.seeds import group_seeds, unfit
from repro.records.schema import Run
from repro.statistics import prediction_interval

STRETCHES = 4  # of the steps, each with the mean of its losses
FEWEST = 10  # seeds
LEVEL = 0.05  # at which a run of the kept kind fails by chance, all points together
PLACE = ("seed", "device_target", "device", "device names")  # what a reference is not tied to
AGAIN = "make it again: make convergence"


@dataclass(frozen=True)
class Point:
    """One number of a training over many seeds; a further run lies between `low` and `high`."""

    title: str
    mean: float
    deviation: float
    least: float
    largest: float
    low: float
    high: float
    more_is_better: bool


@dataclass(frozen=True)
class Reference:
    """The kept runs of one recipe. A run that is compared with them must have their `workload`.

    `losses` has those of every step, for each of the `seeds`; `top1_pct` the accuracies of the last epoch.
    """

    path: Path
    recipe: str
    commit: str
    runs: tuple[str, ...]
    workload: Mapping[str, Any]
    environment: Mapping[str, Any]
    images: int
    seeds: tuple[int, ...]
    losses: tuple[tuple[float, ...], ...]
    top1_pct: tuple[float, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points, in the order of `run_points`."""
        each = [run_points(losses, top1) for losses, top1 in zip(self.losses, self.top1_pct, strict=True)]
        *losses, accuracy = zip(*each, strict=True)
        steps = _stretches(len(self.losses[0]))
        points = [
            _point(f"loss, mean of steps {first} to {last}", v, False)
            for (first, last), v in zip(steps, losses, strict=True)
        ]
        return (*points, _point("top-1 accuracy at the end, %", accuracy, True))


def run_points(losses: Sequence[float], top1: float) -> tuple[float, ...]:
    """Return the points of one run: the mean losses of stretches of its steps, and its accuracy in percent."""
    means = (sum(losses[first : last + 1]) / (last + 1 - first) for first, last in _stretches(len(losses)))
    return (*means, top1)


def _stretches(steps: int) -> list[tuple[int, int]]:
    """Return the first and last step of each stretch."""
    ends = [steps * part // STRETCHES for part in range(STRETCHES + 1)]
    return [(first, end - 1) for first, end in pairwise(ends)]


def _point(title: str, values: Sequence[float], more_is_better: bool) -> Point:
    bounds = prediction_interval(values, LEVEL / (STRETCHES + 1))
    return Point(title, mean(values), stdev(values), min(values), max(values), *bounds, more_is_better)


def reference_of(run: Run, references: Sequence[Reference]) -> Reference | None:
    """Find the reference whose recipe this run repeats with another seed, on any device."""
    trained = _trained(run)
    alike = (
        kept for kept in references if kept.recipe == recipe_name(run) and not differing_keys(kept.workload, trained)
    )
    return next(alike, None)


def _trained(run: Run) -> dict[str, Any]:
    return {key: value for key, value in workload_of(run).items() if key not in PLACE}


# ------------------------------------------------------------------------------------------------- making, keeping


def make_reference(runs: Sequence[Run], folder: Path) -> Reference:
    """Make the reference of these runs, to be kept in `folder`.

    Raises:
        ReproError: they do not differ in their seeds alone, or are too few.
    """
    for run in runs:
        if reason := unfit(run):
            raise ReproError(f"{run.folder}: {reason}; repeat the runs from a clean commit, without interruption")
        top1 = last_top1(run)
        if top1 is None or not all(map(math.isfinite, (top1, *run.steps.loss))):
            raise ReproError(f"{run.folder}: found no accuracy, or a loss that is not finite")
    groups = group_seeds(runs)
    if len(groups) != 1 or len(groups[0].runs) != len(runs) or len(runs) < FEWEST:
        found = " and ".join(str(len(group.runs)) for group in groups) or "no two"
        raise ReproError(
            f"found {len(runs)} runs, of which {found} differ in their seeds alone; expected {FEWEST} or more, and all"
        )
    group = groups[0].runs
    commit, trained = group[0].env.commit, _trained(group[0])
    assert commit is not None  # unfit has seen to it
    return Reference(
        path=folder / f"{file_stem([recipe_name(group[0])], trained)}.json",
        recipe=recipe_name(group[0]),
        commit=commit,
        runs=tuple(run.folder.name for run in group),
        workload=trained,
        environment=environment_of(group[0]),
        images=group[0].eval_images,
        seeds=groups[0].seeds,
        losses=tuple(tuple(run.steps.loss) for run in group),
        top1_pct=tuple(last_top1(run) or 0.0 for run in group),
    )


def write_reference(reference: Reference) -> None:
    """Write a reference to its path, atomically."""
    found = {key: value for key, value in asdict(reference).items() if key != "path"}
    replace_file(reference.path, json.dumps(found, allow_nan=False) + "\n")


def read_reference(path: Path) -> Reference:
    """Read a reference.

    Raises:
        ReproError: something in it is missing or impossible; file and key are named.
    """
    found, where = read_json(path), str(path)
    seeds = field(where, found, "seeds", list)
    losses = [number_list(f"{where}: losses", each, AGAIN) for each in field(where, found, "losses", list)]
    top1 = number_list(f"{where}: top1_pct", field(where, found, "top1_pct", list), AGAIN)
    lengths = {len(seeds), len(losses), len(top1)}
    if len(lengths) > 1 or len(seeds) < FEWEST or len({len(each) for each in losses}) > 1:
        raise ReproError(f"{where}: expected losses and accuracies of {FEWEST} seeds or more, as many of each; {AGAIN}")
    if len(losses[0]) < STRETCHES:
        raise ReproError(f"{where}: losses: found {len(losses[0])} steps, expected {STRETCHES} or more; {AGAIN}")
    return Reference(
        path=path,
        recipe=field(where, found, "recipe", str),
        commit=field(where, found, "commit", str),
        runs=tuple(map(str, field(where, found, "runs", list))),
        workload=field(where, found, "workload", dict),
        environment=field(where, found, "environment", dict),
        images=field(where, found, "images", int),
        seeds=tuple(seeds),
        losses=tuple(losses),
        top1_pct=top1,
    )


def read_references(folder: Path) -> list[Reference]:
    """Read every reference in a folder, which may be missing."""
    return [read_reference(path) for path in sorted(folder.glob("*.json"))]

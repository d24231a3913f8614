"""Reference convergence points: how one recipe converges over many seeds, and the test that a new run must pass.

    python -m repro.check.convergence build/convergence --update README.md      # also: make convergence

A point is the mean of the losses over a quarter of the steps, or the accuracy at the end. A new run, of any seed and on
any device, passes where each of its points lies in the interval in which a further run of the kept kind lies with a
probability of 95 % for all points together: mean ± t s sqrt(1 + 1/n), Student's t with n - 1 degrees of freedom, its
level divided by the number of points (Bonferroni). It is the test for where nothing can be the same bit for bit. Exit
codes: 0 written, 2 the runs make no reference.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from repro.check.short_run import differences, environment, file_stem, recipe, top1_pct, workload
from repro.errors import ReproError
from repro.files import field, number_list, read_json, replace_file
from repro.markdown import columns, grid, write_table
from repro.published.seeds import group_seeds, unfit
from repro.records.run_folder import read_runs
from repro.records.schema import Run
from repro.statistics import prediction_interval

NAME = "convergence"  # of the table in the README
STRETCHES = 4  # of the steps, each with the mean of its losses
FEWEST = 10  # seeds
LEVEL = 0.05  # at which a run of the kept kind fails by chance, all points together
PLACE = ("seed", "device_target", "device", "device names")  # what a reference is not tied to
AGAIN = "make it again: make convergence"
HEADER = ("Point", "Mean", "Deviation", "Least", "Largest", "A new run passes from", "to")


@dataclass(frozen=True)
class Point:
    """One number of a training over n seeds: `low` and `high` bound what a further run gives."""

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
    """The kept runs of one recipe. A run that is held against them must not differ from their `workload`.

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
        """In the order of `numbers`."""
        each = [numbers(losses, top1) for losses, top1 in zip(self.losses, self.top1_pct, strict=True)]
        *losses, accuracy = zip(*each, strict=True)
        steps = _stretches(len(self.losses[0]))
        points = [
            _point(f"loss, mean of steps {first} to {last}", v, False)
            for (first, last), v in zip(steps, losses, strict=True)
        ]
        return (*points, _point("top-1 accuracy at the end, %", accuracy, True))


def numbers(losses: Sequence[float], top1: float) -> tuple[float, ...]:
    """The points of one run: the mean losses of stretches of its steps, and its accuracy in per cent."""
    means = (sum(losses[first : last + 1]) / (last + 1 - first) for first, last in _stretches(len(losses)))
    return (*means, top1)


def _stretches(steps: int) -> list[tuple[int, int]]:
    """First and last step of each."""
    ends = [steps * part // STRETCHES for part in range(STRETCHES + 1)]
    return [(first, end - 1) for first, end in pairwise(ends)]


def _point(title: str, values: Sequence[float], more_is_better: bool) -> Point:
    bounds = prediction_interval(values, LEVEL / (STRETCHES + 1))
    return Point(title, mean(values), stdev(values), min(values), max(values), *bounds, more_is_better)


def reference_of(run: Run, references: Sequence[Reference]) -> Reference | None:
    """The reference of which this run is another seed, be it on another device."""
    trained = _trained(run)
    alike = (kept for kept in references if kept.recipe == recipe(run) and not differences(kept.workload, trained))
    return next(alike, None)


def _trained(run: Run) -> dict[str, Any]:
    return {key: value for key, value in workload(run).items() if key not in PLACE}


# ------------------------------------------------------------------------------------------------- making, keeping


def make(runs: Sequence[Run], folder: Path) -> Reference:
    """The reference of these runs, to be kept in `folder`. Raises ReproError where they do not belong together."""
    for run in runs:
        if reason := unfit(run):
            raise ReproError(f"{run.folder}: {reason}; make the runs again from a commit, in one go")
        if top1_pct(run) is None or not all(map(math.isfinite, run.steps.loss)):
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
        path=folder / f"{file_stem([recipe(group[0])], trained)}.json",
        recipe=recipe(group[0]),
        commit=commit,
        runs=tuple(run.folder.name for run in group),
        workload=trained,
        environment=environment(group[0]),
        images=group[0].eval_images,
        seeds=groups[0].seeds,
        losses=tuple(tuple(run.steps.loss) for run in group),
        top1_pct=tuple(top1_pct(run) or 0.0 for run in group),
    )


def write(reference: Reference) -> None:
    """To its path, whole or not at all."""
    found = {key: value for key, value in asdict(reference).items() if key != "path"}
    replace_file(reference.path, json.dumps(found, allow_nan=False) + "\n")


def read(path: Path) -> Reference:
    """Raises ReproError naming the file and the key."""
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


def read_all(folder: Path) -> list[Reference]:
    """Every reference in a folder, which may be missing."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


# ------------------------------------------------------------------------------------------------- the program


def table(reference: Reference) -> str:
    """The points in Markdown."""
    return "\n".join(grid(HEADER, _rows(reference))) + "\n"


def _rows(reference: Reference) -> list[tuple[str, ...]]:
    return [
        (p.title, *(f"{value:.3f}" for value in (p.mean, p.deviation, p.least, p.largest, p.low, p.high)))
        for p in reference.points
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m repro.check.convergence", description=__doc__.splitlines()[0])
    parser.add_argument(
        "runs", metavar="FOLDER", type=Path, help="folder of run folders that differ in their seed alone"
    )
    parser.add_argument("--out", type=Path, default=Path("results/convergence"), help="folder of the references")
    parser.add_argument("--update", metavar="FILE", type=Path, help="also renew the table between the markers in FILE")
    options = parser.parse_args(argv)
    try:
        runs, unfinished = read_runs(options.runs)
        if unfinished:
            raise ReproError(
                f"{unfinished[0]}: not finished; remove it, or finish it: make train RESUME={unfinished[0]}"
            )
        reference = make(runs, options.out)
        write(reference)
        if options.update:
            write_table(options.update, NAME, table(reference))
    except (ReproError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{reference.path}: {len(reference.seeds)} seeds, {reference.images} images to evaluate")
    print(columns([tuple(name.lower() for name in HEADER), *_rows(reference)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure what two or more runs are compared by: accuracy, loss, times and speeds, the time to a target accuracy."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from repro.compare.chance import (
    Chance,
    Contrast,
    Estimate,
    contrast_shares,
    contrast_times,
    estimate_mean,
    estimate_median,
    estimate_share,
)
from repro.compare.parting import Parting
from repro.published.figures import LAST_EPOCHS, MEASURES
from repro.published.schema import SeedGroup
from repro.records.schema import Run
from repro.report.charts.step_times import counted_times
from repro.report.time_to_target import elapsed_s, target_of, time_to_target
from repro.statistics import Interval, share_interval


@dataclass(frozen=True)
class ComparedFigure:
    """One figure of all runs, None where a run does not have it; `against` the first one, whose own place is None.

    `ratio`: whether `against` holds ratios, and no differences.
    """

    title: str
    unit: str
    decimals: int
    values: tuple[Estimate | None, ...]
    against: tuple[Contrast | None, ...]
    ratio: bool = False


Measure = Callable[[Run], Estimate | None]


def compare_figures(
    runs: Sequence[Run],
    partings: Sequence[Parting | None],
    groups: Sequence[SeedGroup | None],
    target: float | None,
) -> list[ComparedFigure]:
    """Measure every figure that a run has. `groups`: the seeds of each run; `target`: an accuracy, in percent."""
    epoch = _last_common(runs)
    found = [
        _shares("Top-1, best epoch", runs, groups, _best, "best_accuracy"),
        *(
            [_shares(f"Top-1, epoch {epoch}", runs, groups, lambda run: _top1(run, epoch), "last_accuracy")]
            if epoch is not None
            else []
        ),
        _shares("Top-1, evaluation", runs, groups, _evaluated, ""),
        *([_plain(f"Loss, epoch {epoch}", "", 4, runs, lambda run: _loss(run, epoch))] if epoch is not None else []),
        _times("Step time", "ms", 1, runs, groups, _step_time, "step_time"),
        _plain("Wait for data", "ms", 2, runs, _wait),
        _times("Throughput", "images/s", 2, runs, groups, _throughput, "fps"),
        _plain("Evaluation step", "ms", 1, runs, _of_log("eval_step_time")),
        _plain("Compile time", "s", 1, runs, lambda run: _known(run.log.compile_time_s)),
        _plain("Training time", "s", 1, runs, _of_log("training_time")),
        *(_targets(one, runs) for one in _target_accuracies(runs, target)),
    ]
    kept = [figure for figure in found if any(figure.values)]
    return [_same_where_bits_are(figure, partings) for figure in kept]


def _same_where_bits_are(figure: ComparedFigure, partings: Sequence[Parting | None]) -> ComparedFigure:
    """Call an accuracy or loss the same where the two runs are so bit for bit; chance has no part in it."""
    if figure.unit not in ("%", ""):
        return figure
    against = [
        replace(contrast, chance=Chance.SAME, why="bit for bit")
        if contrast and contrast.value == 0 and parting and parting.same
        else contrast
        for contrast, parting in zip(figure.against, partings, strict=True)
    ]
    return replace(figure, against=tuple(against))


def _plain(title: str, unit: str, decimals: int, runs: Sequence[Run], measure: Measure) -> ComparedFigure:
    """Measure a figure whose chance is not known: the difference alone is told."""
    values = [measure(run) for run in runs]
    first = values[0]
    against = [Contrast(value.value - first.value) if value and first else None for value in values[1:]]
    return ComparedFigure(title, unit, decimals, tuple(values), (None, *against))


def _shares(
    title: str, runs: Sequence[Run], groups: Sequence[SeedGroup | None], measure: Measure, spread: str
) -> ComparedFigure:
    values = [measure(run) for run in runs]
    first = values[0]
    against = [
        contrast_shares((run, runs[0]), (value, first), (group, groups[0]), spread) if value and first else None
        for run, value, group in zip(runs[1:], values[1:], groups[1:], strict=True)
    ]
    return ComparedFigure(title, "%", 3, tuple(values), (None, *against))


def _times(
    title: str,
    unit: str,
    decimals: int,
    runs: Sequence[Run],
    groups: Sequence[SeedGroup | None],
    measure: Measure,
    spread: str,
) -> ComparedFigure:
    values = [measure(run) for run in runs]
    first = values[0]
    against = [
        contrast_times((value, first), (group, groups[0]), spread) if value and first else None
        for value, group in zip(values[1:], groups[1:], strict=True)
    ]
    return ComparedFigure(title, unit, decimals, tuple(values), (None, *against), ratio=True)


# ------------------------------------------------------------------------------------------------- measures


def _last_common(runs: Sequence[Run]) -> int | None:
    """Return the last epoch that all trainings have evaluated."""
    evaluated = [
        {epoch.epoch for epoch in run.log.epochs if epoch.accuracy is not None} for run in runs if run.kind == "train"
    ]
    return max(set.intersection(*evaluated), default=None) if evaluated else None


def _best(run: Run) -> Estimate | None:
    found = [epoch.accuracy for epoch in run.log.epochs if epoch.accuracy is not None]
    so_far = "" if run.sealed else " so far"
    return estimate_share(100 * max(found), run.eval_images, f"of {len(found)} epochs{so_far}") if found else None


def _top1(run: Run, number: int) -> Estimate | None:
    found = next((epoch.accuracy for epoch in run.log.epochs if epoch.epoch == number), None)
    return None if found is None else estimate_share(100 * found, run.eval_images, f"{run.eval_images:,} images")


def _evaluated(run: Run) -> Estimate | None:
    found = run.log.evaluation
    return estimate_share(100 * found.accuracy, run.eval_images, f"{run.eval_images:,} images") if found else None


def _loss(run: Run, number: int) -> Estimate | None:
    steps = run.steps_per_epoch or len(run.steps.loss) // max(1, len(run.log.epochs))
    losses = list(run.steps.loss[number * steps : (number + 1) * steps])
    return estimate_mean(losses, f"mean of {len(losses)} steps") if losses else None


def _step_time(run: Run) -> Estimate | None:
    times, _ = counted_times(run)
    return estimate_median(times.tolist(), f"median of {times.size:,} steps") if times.size else None


def _wait(run: Run) -> Estimate | None:
    waits = np.asarray(run.steps.data_wait_ms)
    waits = waits[np.isfinite(waits)]
    return estimate_median(waits.tolist(), f"median of {waits.size:,} steps") if waits.size else None


def _throughput(run: Run) -> Estimate | None:
    speeds = [epoch.fps for epoch in run.log.epochs if epoch.epoch > 0][-LAST_EPOCHS:]
    return estimate_mean(speeds, f"mean of the last {len(speeds)} epochs") if speeds else None


def _of_log(measure: str) -> Measure:
    def measured(run: Run) -> Estimate | None:
        found = MEASURES[measure](run.log)
        return Estimate(found.value, None, found.n) if found else None

    return measured


def _known(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value)


# ------------------------------------------------------------------------------------------------- target accuracy


def _target_accuracies(runs: Sequence[Run], asked: float | None) -> list[float]:
    """Return the target that was asked for, or else those that the runs have."""
    return [asked] if asked else sorted({target for run in runs if (target := target_of(run))})


def _targets(target: float, runs: Sequence[Run]) -> ComparedFigure:
    values = [_time_to(run, target) for run in runs]
    first = values[0]
    against = [_contrast_targets(value, first) if value and first else None for value in values[1:]]
    return ComparedFigure(f"Time to {target:g} %", "s", 1, tuple(values), (None, *against))


def _time_to(run: Run, target: float) -> Estimate | None:
    """Return the training time to an accuracy; infinity where it was not reached.

    Its interval begins at the last evaluation before one whose interval of the accuracy (Wilson's) has the target in it
    or below it, and ends at the first whose interval is above the target.
    """
    if run.kind != "train" or all(epoch.accuracy is None for epoch in run.log.epochs):
        return None
    found = time_to_target(run, target)
    place = [epoch.epoch for epoch in run.log.epochs].index(found.epoch) if found else 0
    factor = found.training_s / elapsed_s(run, place) if found and elapsed_s(run, place) else 1.0
    before, low, high = 0.0, math.inf, math.inf
    for number, epoch in enumerate(run.log.epochs):
        if epoch.accuracy is None or not run.eval_images:
            continue
        span, now = share_interval(100 * epoch.accuracy, run.eval_images), factor * elapsed_s(run, number)
        low = min(low, before) if span.high >= target else low
        high = min(high, now) if span.low >= target else high
        before = now
    of = f"epoch {found.epoch}" if found else f"best {100 * (run.log.best_accuracy or 0.0):.3f} %"
    return Estimate(found.training_s if found else math.inf, Interval(low, high), of)


def _contrast_targets(value: Estimate, first: Estimate) -> Contrast | None:
    if not (value.interval and first.interval and math.isfinite(value.value - first.value)):
        return None
    apart = value.interval.low > first.interval.high or value.interval.high < first.interval.low
    chance = Chance.BEYOND if apart else Chance.WITHIN
    return Contrast(value.value - first.value, None, chance, "by the images that were evaluated; seeds scatter more")

"""Say whether two measured values differ by more than chance: images, seeds, and how runs of the same code scatter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import mean, stdev

from repro.check.judge import SLOWER
from repro.published.figures import LAST_EPOCHS, read_published
from repro.published.schema import SeedGroup, Spread
from repro.records.schema import Run
from repro.statistics import Z_95, Interval, median_interval, share_difference, share_interval, student_t


class Chance(Enum):
    """Whether chance explains a difference."""

    SAME = "the same"
    WITHIN = "within chance"
    BEYOND = "beyond chance"


@dataclass(frozen=True)
class Estimate:
    """A measured value and its 95 % interval, None where there is no telling. `of`: what it is made of."""

    value: float
    interval: Interval | None = None
    of: str = ""


@dataclass(frozen=True)
class Contrast:
    """A value against that of the first run: the difference, or the ratio, and why chance explains it or does not."""

    value: float
    interval: Interval | None = None
    chance: Chance | None = None
    why: str = ""


def estimate_share(percent: float, images: int, of: str) -> Estimate:
    """Return an accuracy with Wilson's interval over the images."""
    return Estimate(percent, share_interval(percent, images) if images else None, of)


def estimate_mean(values: Sequence[float], of: str) -> Estimate:
    """Return a mean of what is never negative, with Student's interval."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return Estimate(mean(values), None, of)
    half = student_t(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Estimate(mean(values), Interval(max(0.0, mean(values) - half), mean(values) + half), of)


def estimate_median(values: Sequence[float], of: str) -> Estimate:
    """Return a median with the interval of the sign test."""
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return Estimate(middle, Interval(*median_interval(ordered)), of)


def contrast_shares(
    runs: tuple[Run, Run], values: tuple[Estimate, Estimate], groups: tuple[SeedGroup | None, ...], measure: str
) -> Contrast:
    """Compare the accuracies of a run and of the first one, by Newcombe's interval of the images and that of seeds."""
    run, first = runs
    value, other = (estimate.value for estimate in values)
    if not (run.eval_images and first.eval_images and math.isfinite(value - other)):
        return Contrast(value - other)
    images = share_difference(value, run.eval_images, other, first.eval_images)
    between, why = _between_runs(runs, groups, measure)
    allowed = math.hypot(images, between)
    chance = Chance.WITHIN if abs(value - other) <= allowed else Chance.BEYOND
    why = f"chance explains {allowed:.2f} points: the images {images:.2f}{why}"
    return Contrast(value - other, Interval(value - other - allowed, value - other + allowed), chance, why)


def _between_runs(runs: tuple[Run, Run], groups: tuple[SeedGroup | None, ...], measure: str) -> tuple[float, str]:
    """Return how far two trainings may differ by chance, in points, and what that rests on."""
    if any(run.kind != "train" for run in runs):
        return 0.0, ", as of one checkpoint each"
    measured = [_spread(group, measure) for group in groups]
    halves, told = [], []
    for run, own in zip(runs, measured, strict=True):
        found = own or next(filter(None, measured), None)
        if found:
            halves.append(student_t(found.n - 1) * found.deviation)
            told.append(f"s = {found.deviation:.2f} measured over {found.n} seeds")
        else:
            last = [100 * epoch.accuracy for epoch in run.log.epochs if epoch.accuracy is not None][-LAST_EPOCHS:]
            assumed = max(figure.rule.spread for figure in read_published())  # by make report, too
            s = max(assumed, stdev(last) if len(last) > 1 and all(map(math.isfinite, last)) else 0.0)
            halves.append(Z_95 * s)
            told.append(f"s = {s:.2f} assumed, one seed")
    return math.hypot(*halves), f", the seeds {math.hypot(*halves):.2f} ({'; '.join(dict.fromkeys(told))})"


def contrast_times(
    values: tuple[Estimate, Estimate], groups: tuple[SeedGroup | None, ...], measure: str
) -> Contrast | None:
    """Compare two times or speeds by their ratio; None where one of them is no time."""
    value, other = values
    if not (value.interval and other.interval and other.value > 0 and min(value.interval.low, other.interval.low) > 0):
        return None
    ratio, interval = value.value / other.value, value.interval / other.interval
    found = next(filter(None, (_spread(group, measure) for group in groups)), None)
    if found and found.mean > 0:
        noise = 1 + math.sqrt(2) * student_t(found.n - 1) * found.deviation / found.mean
        why = f"runs scatter by a factor of {noise:.2f}, measured over {found.n} seeds"
    else:
        noise = 1 + SLOWER
        why = f"runs scatter by a factor of up to {noise:.2f}, which is assumed: the same code was that far apart here"
    beyond = interval.low > noise or interval.high < 1 / noise
    return Contrast(ratio, interval, Chance.BEYOND if beyond else Chance.WITHIN, why)


def _spread(group: SeedGroup | None, measure: str) -> Spread | None:
    spreads = group.spreads if group else ()
    return next((one for one in spreads if one.measure == measure and math.isfinite(one.deviation)), None)

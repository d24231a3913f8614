"""Compute the distribution of the drawn runs' step times: bins, quantiles, and what is left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from repro.published.schema import Published
from repro.records.schema import Run
from repro.report.charts.curves import FAR, DrawnRun, Level, Series, Values, published_level

WARM_UP = 10  # steps after a start, in which caches fill and memory is allocated
_BINS = 60
_LONGEST = 1e9  # ms, more than a week; beyond it a number is no step's time


@dataclass(frozen=True)
class StepTimes:
    """The distribution of one run's step times, in milliseconds.

    `counts`: steps in each bin of the chart. `quantiles`: 5, 25, 50, 75 and 95 %. `wait`: the median wait for data,
    which is not in the times. `first`: the slowest of the `warm_up` steps, which are left out. `outside`: how many of
    the others are outside the bins, up to `slowest`. `lost`: numbers that are no time.
    """

    series: Series
    n: int
    counts: Values
    quantiles: tuple[float, float, float, float, float]
    wait: float
    warm_up: int
    first: float | None
    outside: int
    slowest: float
    lost: int


@dataclass(frozen=True)
class Distribution:
    """The chart of the step times: all runs over the same bins, between `edges`."""

    key: str
    title: str
    quantity: str
    explanation: str
    runs: tuple[StepTimes, ...]
    edges: Values
    level: Level | None
    logarithmic: bool


def step_time_distribution(shown: Sequence[DrawnRun], figures: Iterable[Published]) -> Distribution | None:
    """Chart the step times beside the published mean; None if no run has any."""
    step_time = next((f for f in figures if f.setting.kind == "train" and f.measure == "step_time"), None)
    kept = [(one, *counted_times(one.run)) for one in shown]
    kept = [found for found in kept if found[1].size]
    if not kept:
        return None
    mean = published_level("published mean", step_time)
    ends = np.concatenate([np.percentile(times, (0.5, 99.5)) for _, times, _ in kept])
    if mean:
        ends = np.append(ends, mean.value)
    low, high = float(ends.min()), float(ends.max())
    far = high > FAR * low
    margin = max(0.02 * (high - low), 0.001 * high)  # where all steps are alike: any room
    if far:
        edges = np.geomspace(low / 1.1, high * 1.1, _BINS + 1)
    else:
        edges = np.linspace(max(low - margin, 0.0), high + margin, _BINS + 1)
    return Distribution(
        key="step-times",
        title="Distribution of the step times",
        quantity="Time of a training step (ms)",
        explanation=f"Each step of the training, without its wait for data. The first {WARM_UP} steps after a start "
        "are left out, since caches fill in them and memory is laid out, and compilation is in no step's time; the "
        "table names the slowest of them. The thick bar holds the middle half of the steps, the thin one 90 % of them. "
        "The published mean is that of an epoch, wait for data included.",
        runs=tuple(_step_times(one, times, first, edges) for one, times, first in kept),
        edges=edges,
        level=mean,
        logarithmic=far,
    )


def counted_times(run: Run) -> tuple[Values, list[float]]:
    """Part the step times that count from those just after a start; a short run has none to spare."""
    times = np.asarray(run.steps.step_time_ms)
    starts = [0, *(resumption.step for resumption in run.resumptions)]
    counts = np.ones(times.size, dtype=bool)
    for start in starts if times.size >= 2 * WARM_UP * len(starts) else ():
        counts[start : start + WARM_UP] = False
    valid = (times > 0) & (times < _LONGEST)  # and so no nan
    return times[counts & valid], times[~counts & valid].tolist()


def _step_times(one: DrawnRun, times: Values, first: Sequence[float], edges: Values) -> StepTimes:
    waits = np.asarray(one.run.steps.data_wait_ms)
    waits = waits[np.isfinite(waits)]
    p5, q1, median, q3, p95 = (float(value) for value in np.percentile(times, (5, 25, 50, 75, 95)))
    counts = np.histogram(times, edges)[0].astype(np.float64)
    return StepTimes(
        series=one.series,
        n=times.size,
        counts=counts,
        quantiles=(p5, q1, median, q3, p95),
        wait=float(np.median(waits)) if waits.size else float("nan"),
        warm_up=len(first),
        first=max(first, default=None),
        outside=times.size - int(counts.sum()),
        slowest=float(times.max()),
        lost=len(one.run.steps.step_time_ms) - times.size - len(first),
    )

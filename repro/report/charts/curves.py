"""Compute the curves of the newest training runs, beside the published values.

The published training and a run of six epochs share one axis, the share of the training that is done. Only the last
epochs of the published training are known, and nothing is made up between them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repro.published.figures import LAST_EPOCHS
from repro.published.schema import Published
from repro.records.schema import Epoch, Log, Run

Values = NDArray[np.float64]

LETTERS = "ABCDEF"
MOST_RUNS = len(LETTERS)  # in one chart: as many as can be told apart without colors
SECTIONS = 100  # of a curve of single steps: so that the curves of several runs can be told from their noise
MOST_POINTS = 2000  # of any curve
_BEYOND = 1e30  # a value of this size can no more be drawn than infinity
_MANY = 10**9  # epochs; more are not believed
FAR = 10.0  # times: from this ratio on, an axis is logarithmic
QUARTERS = (0.0, 25.0, 50.0, 75.0, 100.0)  # of the training, for the table beside a chart

SHARE = "Share of the training (% of its epochs)"


@dataclass(frozen=True)
class Series:
    """The name of a run: `letter` in every chart, `label` in a legend."""

    letter: str
    label: str


@dataclass(frozen=True)
class DrawnRun:
    """A run that is drawn, and its name in the charts."""

    run: Run
    series: Series


@dataclass(frozen=True)
class Curve:
    """Values over the share of the training in percent: means of sections of steps, between their extremes.

    `lost`: how many values were not finite, or absurdly large. They are not drawn, and are in no mean.
    """

    series: Series
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None
    lost: int = 0


@dataclass(frozen=True)
class Level:
    """One published number, a line across a chart."""

    label: str
    value: float


@dataclass(frozen=True)
class Chart:
    """Curves of one quantity beside its published values `x`, `y`. `form` is how a number of it is written."""

    key: str
    title: str
    quantity: str
    form: str
    explanation: str
    curves: tuple[Curve, ...]
    x: Values
    y: Values
    level: Level | None = None
    logarithmic: bool = False


def newest_trainings(runs: Iterable[Run]) -> tuple[tuple[DrawnRun, ...], int]:
    """Return the newest training runs, oldest first, and how many older ones are left out."""
    training = sorted((run for run in runs if run.kind == "train"), key=lambda run: run.folder.name)
    newest = training[-MOST_RUNS:]
    return name_runs(newest), len(training) - len(newest)


def name_runs(runs: Iterable[Run]) -> tuple[DrawnRun, ...]:
    """Name up to MOST_RUNS runs, in their order."""
    return tuple(DrawnRun(run, Series(letter, _label(letter, run))) for letter, run in zip(LETTERS, runs, strict=False))


def training_charts(
    shown: Sequence[DrawnRun], figures: Iterable[Published], logs: Mapping[str, Log]
) -> tuple[Chart, ...]:
    """Chart accuracy, throughput, loss and learning rate of the runs; one without a value is left out."""
    published = {figure.measure: figure for figure in figures if figure.setting.kind == "train"}
    epochs = [epoch for log in logs.values() for epoch in log.epochs]
    planned = _planned(published.values())
    x = _ends(epochs, planned)
    found = (
        Chart(
            key="accuracy",
            title="Top-1 accuracy",
            quantity="Top-1 accuracy (%)",
            form=".3f",
            explanation="After each epoch that was evaluated, on the evaluation images of the run. The published "
            "value is that of the best epoch.",
            curves=by_epoch(shown, "accuracy", 100.0),
            x=x,
            y=100 * _of(epochs, "accuracy"),
            level=published_level("published", published.get("best_accuracy")),
        ),
        Chart(
            key="throughput",
            title="Throughput",
            quantity="Throughput (images/s)",
            form=",.2f",
            explanation="Images per second of each epoch on all devices together, wall clock with the wait for data, "
            f"without evaluation. The published mean is that of the last {LAST_EPOCHS} epochs.",
            curves=(speeds := by_epoch(shown, "fps", 1.0)),
            x=x,
            y=_of(epochs, "fps"),
            level=published_level("published mean", published.get("fps")),
            logarithmic=_are_far_apart([curve.y for curve in speeds] + [_of(epochs, "fps")]),
        ),
        Chart(
            key="loss",
            title="Training loss",
            quantity="Training loss",
            form=".4f",
            explanation=f"Where a run has more steps than {SECTIONS}: the mean of each section of steps, and from its "
            "lowest to its highest loss a band. A published value is that of the last step of an epoch, under label "
            "smoothing and mixup; the loss of a run without these is another quantity.",
            curves=_by_step(shown, "loss"),
            x=x,
            y=_of(epochs, "loss"),
        ),
        Chart(
            key="learning-rate",
            title="Learning rate",
            quantity="Learning rate",
            form=".2e",
            explanation=f"The rate of every step; where a run has more than {SECTIONS}, the mean of each section of "
            "them. The published log prints six decimals, so that a rate below 0.0000005 stands in it as 0.",
            curves=_by_step(shown, "lr"),
            x=x,
            y=_of(epochs, "lr"),
            level=_peak(published.values()),
        ),
    )
    return tuple(chart for chart in found if chart.curves)


def value_at(curve: Curve, share: float) -> float | None:
    """Return the last value of a curve at or before this share of the training in percent; at 0 the first one."""
    before = int(np.searchsorted(curve.x, share * (1 + 1e-9), side="right"))
    if before == 0:
        return float(curve.y[0]) if share == 0 else None
    return float(curve.y[before - 1])


def extremes(curve: Curve) -> tuple[float, float]:
    """Return the lowest and the highest value, also of single steps."""
    low, high = (curve.y if found is None else found for found in (curve.low, curve.high))
    return float(low.min()), float(high.max())


# ------------------------------------------------------------------------------------------------- runs


def _label(letter: str, run: Run) -> str:
    """Label a run by recipe and device, from the name of its folder, and by its seed."""
    name = run.folder.name.partition("_")[2].rpartition("_")[0] or run.folder.name
    text = f"{name[:24]}, seed {str(run.config.get('seed', 'not recorded'))[:12]}"
    # A legend is drawn in one font, which has ASCII for certain.
    return f"{letter}  " + "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text)


def _by_step(shown: Iterable[DrawnRun], name: str) -> tuple[Curve, ...]:
    """Draw a quantity of every step, in sections if there are many."""
    found = []
    for one in shown:
        values = np.asarray(getattr(one.run.steps, name))
        done = 100 * one.run.epochs_done / max_epoch(one.run)  # %
        x = done * np.arange(1, values.size + 1) / max(values.size, 1)
        found.append(thinned(one.series, x, values, SECTIONS))
    return tuple(curve for curve in found if curve.y.size)


def by_epoch(shown: Iterable[DrawnRun], name: str, factor: float) -> tuple[Curve, ...]:
    """Draw a quantity of every epoch that has it."""
    found = []
    for one in shown:
        epochs = [epoch for epoch in one.run.log.epochs if getattr(epoch, name) is not None]
        x = _ends(epochs, max_epoch(one.run))
        found.append(thinned(one.series, x, factor * _of(epochs, name), MOST_POINTS))
    return tuple(curve for curve in found if curve.y.size)


def thinned(series: Series, x: Values, y: Values, most: int) -> Curve:
    """Make a curve of at most `most` points, the means of sections of equal size.

    Values that are not finite are left out, and so is a section that holds nothing else.
    """
    finite = np.abs(y) < _BEYOND
    lost = int(y.size - finite.sum())
    if y.size <= most:
        return Curve(series, x[finite], y[finite], lost=lost)
    starts = np.linspace(0, y.size, most, endpoint=False).astype(np.intp)
    count = np.add.reduceat(finite.astype(np.float64), starts)
    some = count > 0
    mean = np.add.reduceat(np.where(finite, y, 0.0), starts)[some] / count[some]
    low = np.minimum.reduceat(np.where(finite, y, np.inf), starts)[some]
    high = np.maximum.reduceat(np.where(finite, y, -np.inf), starts)[some]
    middle = np.add.reduceat(x, starts)[some] / np.diff(np.append(starts, y.size))[some]
    return Curve(series, middle, mean, low, high, lost)


def max_epoch(run: Run) -> int:
    """Return how many epochs the training was to have: at least those that are in its log, and one."""
    planned, done = run.config.get("max_epoch"), run.log.epochs[-1].epoch + 1 if run.log.epochs else 1
    return max(planned, done) if isinstance(planned, int) and planned < _MANY else done


# ------------------------------------------------------------------------------------------------- published


def _planned(figures: Iterable[Published]) -> int:
    """Return how many epochs the published training had."""
    return next((int(f.setting.recipe["max_epoch"]) for f in figures if "max_epoch" in f.setting.recipe), 1)


def _peak(figures: Iterable[Published]) -> Level | None:
    rate = next((float(f.setting.recipe["lr_max"]) for f in figures if "lr_max" in f.setting.recipe), None)
    return None if rate is None else Level(f"published lr_max {rate:g}", rate)


def published_level(label: str, figure: Published | None) -> Level | None:
    """Make a line of a published figure, if there is one."""
    return Level(f"{label}, {figure.value:,} {figure.unit}", figure.value) if figure else None


def _of(epochs: Sequence[Epoch], name: str) -> Values:
    return np.array([getattr(epoch, name) for epoch in epochs], dtype=np.float64)


def _ends(epochs: Sequence[Epoch], planned: int) -> Values:
    """Return the share of the training that was done when each epoch ended, in percent."""
    return 100 * (np.array([min(epoch.epoch, _MANY) for epoch in epochs], dtype=np.float64) + 1) / planned


def _are_far_apart(groups: Iterable[Values]) -> bool:
    """Tell whether values are so far apart that a linear axis would show one of them as zero."""
    values = np.concatenate(list(groups))
    values = values[np.isfinite(values) & (values > 0)]
    return bool(values.size and values.max() > FAR * values.min())

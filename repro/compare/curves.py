"""Draw the curves of the compared trainings over each other: accuracy, loss, how far it parts, step times."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from repro.compare.comparison import Comparison
from repro.compare.parting import differences
from repro.report.charts.build import PageCharts, draw_page_charts
from repro.report.charts.curves import (
    MOST_POINTS,
    SECTIONS,
    Chart,
    DrawnRun,
    by_epoch,
    max_epoch,
    name_runs,
    thinned,
    training_charts,
)
from repro.report.charts.step_times import Distribution, step_time_distribution

_SECTIONS = f"where a run has more steps than {SECTIONS}, the mean of each section of them"
EXPLANATIONS = {
    "accuracy": "After each epoch that was evaluated, on the evaluation images of the run.",
    "loss": f"The loss of every step; {_SECTIONS}, and from its lowest to its highest loss a band.",
    "learning-rate": f"The rate of every step; {_SECTIONS}.",
    "throughput": "Images per second of each epoch on all devices together, wait for data included, evaluation not.",
}
NONE_DRAWN = np.empty(0)


def comparison_charts(comparison: Comparison) -> PageCharts:
    """Draw the charts of the trainings; none without one."""
    drawn = tuple(one for one in name_runs(comparison.runs) if one.run.kind == "train")
    charts: list[Chart | Distribution] = [
        replace(chart, explanation=EXPLANATIONS[chart.key]) for chart in training_charts(drawn, (), {})
    ]
    charts += [chart for chart in (_partings(drawn, comparison), _step_times(drawn)) if chart.curves]
    if distribution := step_time_distribution(drawn, ()):
        charts.append(replace(distribution, explanation=distribution.explanation.rpartition(" The published")[0]))
    return draw_page_charts(charts, drawn, 0)[0]


def _partings(drawn: Sequence[DrawnRun], comparison: Comparison) -> Chart:
    """Chart how far the losses of each run are from those of A; where they are the same number there is no point."""
    first, curves = comparison.runs[0], []
    for one in drawn:
        if one.run is first or first.kind != "train":
            continue
        steps = min(len(one.run.steps.loss), len(first.steps.loss))
        off = differences(np.asarray(one.run.steps.loss)[:steps], np.asarray(first.steps.loss)[:steps])
        done = 100 * one.run.epochs_done / max_epoch(one.run) / max(1, len(one.run.steps.loss))  # % a step
        apart = off > 0
        curves.append(thinned(one.series, done * (np.arange(steps) + 1)[apart], off[apart], MOST_POINTS))
    return Chart(
        key="parting",
        title="How far the losses are from A's",
        quantity="Difference of the loss",
        form=".1e",
        explanation="The difference of the losses of each step. A step whose losses are the same number has no point: "
        "the curve begins where the numbers part.",
        curves=tuple(curve for curve in curves if curve.y.size),
        x=NONE_DRAWN,
        y=NONE_DRAWN,
        logarithmic=True,
    )


def _step_times(drawn: Sequence[DrawnRun]) -> Chart:
    return Chart(
        key="step-time",
        title="Step time",
        quantity="Time of a step (ms)",
        form=",.1f",
        explanation="The mean of each epoch, with the wait for data, without evaluation.",
        curves=by_epoch(drawn, "step_time_s", 1000.0),
        x=NONE_DRAWN,
        y=NONE_DRAWN,
    )

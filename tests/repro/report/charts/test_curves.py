"""What the charts show, as numbers: the newest runs on one axis with what was published, and nothing made up."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.records.run_folder import read_run
from repro.records.schema import ResumeEvent, Run, Steps
from repro.report.charts import curves
from repro.report.charts.curves import newest_trainings
from repro.report.charts.description import describe_chart
from repro.report.charts.step_times import WARM_UP, Distribution, StepTimes, step_time_distribution
from tests.support.folders import tiny_eval_run
from tests.support.reports import FIGURES, LOGS


def stepped(run: Run, loss: Sequence[float], times: Sequence[float] | None = None) -> Run:
    """The run with these steps; without times each takes 100 ms."""
    n = len(loss)
    given_times = array("d", times if times is not None else [100.0] * n)
    steps = Steps(array("d", loss), array("d", [0.001] * n), given_times, array("d", [0.5] * n))
    return replace(run, steps=steps)


def charts(*runs: Run) -> dict[str, curves.Chart]:
    return {chart.key: chart for chart in curves.training_charts(newest_trainings(runs)[0], FIGURES, LOGS)}


def step_times(run: Run, times: Sequence[float]) -> tuple[Distribution, StepTimes]:
    found = step_time_distribution(newest_trainings([stepped(run, [1.0] * len(times), times)])[0], FIGURES)
    assert found
    return found, found.runs[0]


def test_the_newest_six_trainings_are_drawn_oldest_first_and_older_ones_counted(run: Run, tmp_path: Path) -> None:
    names = [f"2026112{day}T000000Z_tiny_cpux1_1a2b3c4d" for day in (5, 1, 3, 2, 8, 7, 4, 6)]
    evaluation = read_run(tiny_eval_run(tmp_path))
    series, more = newest_trainings([evaluation, *(replace(run, folder=Path(name)) for name in names)])
    assert [one.run.folder.name[7] for one in series] == list("345678")
    assert [one.series.letter for one in series] == list("ABCDEF")
    assert series[0].series.label == "A  tiny_cpux1, seed 1"
    assert more == 2


@given(st.text(), st.text())
def test_a_label_is_short_printable_ascii_whatever_the_names(run: Run, name: str, seed: str) -> None:
    (one,), _ = newest_trainings([replace(run, folder=Path("x") / f"_{name}_", config={"seed": seed})])
    assert one.series.label.isascii()
    assert one.series.label.isprintable()
    assert len(one.series.label) < 50


@pytest.mark.parametrize(
    ("planned", "end"), [(10, 100), (20, 50), ("10", 100), (None, 100), (True, 100), (10**400, 100), (-3, 100)]
)
def test_a_run_ends_where_its_last_epoch_is_among_the_planned_ones(run: Run, planned: object, end: int) -> None:
    found = charts(replace(stepped(run, [3.0, 2.0, 1.0, 0.5]), config={"max_epoch": planned}))
    assert found["loss"].curves[0].x.tolist() == [end / 4, end / 2, end * 3 / 4, end]
    assert found["accuracy"].curves[0].x[-1] == end


def test_values_far_apart_are_on_a_logarithmic_axis_and_others_are_not(run: Run) -> None:
    slow = replace(run, log=replace(run.log, epochs=tuple(replace(epoch, fps=20.0) for epoch in run.log.epochs)))
    assert [charts(one)["throughput"].logarithmic for one in (run, slow)] == [False, True]
    assert [step_times(run, [time] * 50)[0].logarithmic for time in (700.0, 4000.0)] == [False, True]


def test_a_long_run_is_drawn_as_means_between_its_extremes(run: Run) -> None:
    loss = np.linspace(9, 2, 375_000)
    loss[1000], loss[300_000] = 50.0, -1.0
    curve = charts(stepped(run, loss.tolist()))["loss"].curves[0]
    section = loss[:3750]
    assert (curve.y.size, curves.extremes(curve)) == (curves.SECTIONS, (-1.0, 50.0))
    assert (curve.y[0], curve.low[0], curve.high[0]) == (pytest.approx(section.mean()), section.min(), section.max())


def test_no_curve_has_more_points_than_can_be_seen(run: Run) -> None:
    epochs = tuple(replace(run.log.epochs[0], epoch=number) for number in range(5000))
    assert charts(replace(run, log=replace(run.log, epochs=epochs)))["accuracy"].curves[0].y.size == curves.MOST_POINTS


@given(st.lists(st.floats(width=64), min_size=1, max_size=60), st.integers(1, 40))
def test_what_is_drawn_is_finite_in_order_and_within_its_band(values: list[float], most: int) -> None:
    curve = curves.thinned(curves.Series("A", "A"), np.arange(1.0, len(values) + 1), np.array(values), most)
    assert curve.y.size <= most
    assert np.isfinite(curve.y).all()
    assert (np.diff(curve.x) > 0).all()
    assert curve.lost == sum(not abs(value) < 1e30 for value in values)
    if curve.low is not None and curve.high is not None:
        slack = 1e-9 * np.maximum(abs(curve.low), abs(curve.high))
        assert (curve.low <= curve.y + slack).all()
        assert (curve.y <= curve.high + slack).all()


def test_a_loss_that_is_not_finite_is_left_out_and_said(run: Run) -> None:
    found = charts(stepped(run, [3.0, math.nan, math.inf, 1.0, 1e300]))["loss"]
    assert found.curves[0].y.tolist() == [3.0, 1.0]
    assert "A  tiny_cpux1, seed 1: 3 values that are not finite are not drawn" in describe_chart(found).notes
    assert list(charts(stepped(run, [math.nan] * 3))) == ["accuracy", "throughput", "learning-rate"]


def test_the_first_steps_after_a_start_are_left_out_and_the_slowest_of_them_is_told(run: Run) -> None:
    _, found = step_times(run, [3600.0, 900.0] + [100.0] * 58)
    assert (found.n, found.warm_up, found.first, found.slowest) == (60 - WARM_UP, WARM_UP, 3600.0, 100.0)
    resumed = replace(run, resumptions=(ResumeEvent("2026-11-23T09:00:00Z", 30, 3, "a.ckpt", 0, (), None),))
    _, found = step_times(resumed, [100.0] * 30 + [5000.0] + [100.0] * 29)
    assert (found.n, found.first, found.slowest) == (40, 5000.0, 100.0)
    _, found = step_times(run, [100.0] * 19)  # a short run has none to spare
    assert (found.n, found.warm_up, found.first) == (19, 0, None)


def test_quantiles_and_bins_are_those_of_the_steps(run: Run) -> None:
    chart, found = step_times(run, [100.0] * 10 + list(np.linspace(300, 400, 101)))
    assert found.quantiles == pytest.approx((305, 325, 350, 375, 395))
    assert found.counts.sum() + found.outside == 101
    assert chart.edges[0] <= 300.5
    assert chart.edges[-1] >= 399.5


def test_numbers_that_can_be_no_time_are_left_out_and_counted(run: Run) -> None:
    chart, found = step_times(run, [100.0] * 40 + [math.nan, 0.0, -5.0, math.inf, 1e300])
    assert (found.n, found.lost) == (30, 5)
    assert "5 numbers that can be no time are left out" in describe_chart(chart).words


@given(st.lists(st.floats(width=64), min_size=1, max_size=80))
def test_any_recorded_times_can_be_spread(run: Run, times: list[float]) -> None:
    found = step_time_distribution(newest_trainings([stepped(run, [1.0] * len(times), times)])[0], FIGURES)
    if found:
        assert (np.diff(found.edges) > 0).all()
        assert found.runs[0].counts.max() > 0
        assert describe_chart(found).words


def test_where_a_curve_has_not_begun_there_is_no_value(run: Run) -> None:
    curve = charts(stepped(run, [9.0, 8.0]))["loss"].curves[0]
    assert [curves.value_at(curve, share) for share in (0, 25, 50, 99, 100)] == [9.0, None, 9.0, 9.0, 8.0]

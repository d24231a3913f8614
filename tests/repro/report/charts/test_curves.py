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

from repro.published.figures import read_published, verify_published
from repro.records.run_folder import read_run
from repro.records.schema import ResumeEvent, Run, Steps
from repro.report.charts.curves import (
    MOST_POINTS,
    SECTIONS,
    Chart,
    Series,
    extremes,
    newest_trainings,
    thinned,
    training_charts,
    value_at,
)
from repro.report.charts.description import describe_chart
from repro.report.charts.step_times import WARM_UP, Distribution, step_time_distribution
from tests.support import ROOT
from tests.support.folders import tiny_eval_run

FIGURES = read_published()
LOGS = verify_published(FIGURES, ROOT / "results" / "published")


def stepped(run: Run, loss: Sequence[float], times: Sequence[float] | None = None) -> Run:
    """The run with these steps; without times each takes 100 ms."""
    n = len(loss)
    given_times = array("d", times if times is not None else [100.0] * n)
    steps = Steps(array("d", loss), array("d", [0.001] * n), given_times, array("d", [0.5] * n))
    return replace(run, steps=steps)


def chart(key: str, *runs: Run) -> Chart:
    (found,) = [chart for chart in training_charts(newest_trainings(runs)[0], FIGURES, LOGS) if chart.key == key]
    return found


def step_times(*runs: Run) -> Distribution:
    found = step_time_distribution(newest_trainings(runs)[0], FIGURES)
    assert found
    return found


# ------------------------------------------------------------------------------------------------ which runs


def test_the_newest_six_training_runs_are_drawn_oldest_first_and_the_others_counted(run: Run) -> None:
    names = [f"2026112{day}T000000Z_tiny_cpux1_1a2b3c4d" for day in (5, 1, 3, 2, 8, 7, 4, 6)]
    series, more = newest_trainings([replace(run, folder=Path(name)) for name in names])
    assert [one.run.folder.name[7] for one in series] == list("345678")
    assert [one.series.letter for one in series] == list("ABCDEF")
    assert more == 2


def test_evaluations_are_not_drawn(run: Run, tmp_path: Path) -> None:
    series, more = newest_trainings([read_run(tiny_eval_run(tmp_path)), run])
    assert ([one.run.kind for one in series], more) == (["train"], 0)


def test_a_label_names_letter_recipe_device_and_seed(run: Run) -> None:
    assert newest_trainings([run])[0][0].series.label == "A  tiny_cpux1, seed 1"


@given(st.text(), st.text())
def test_a_label_is_short_printable_ascii_whatever_the_names(run: Run, name: str, seed: str) -> None:
    (one,), _ = newest_trainings([replace(run, folder=Path("x") / f"_{name}_", config={"seed": seed})])
    assert one.series.label.isascii()
    assert one.series.label.isprintable()
    assert len(one.series.label) < 50


def test_without_a_training_run_there_is_no_chart() -> None:
    assert training_charts((), FIGURES, LOGS) == ()
    assert step_time_distribution((), FIGURES) is None


# ------------------------------------------------------------------------------------------------ the axis


def test_a_run_and_the_published_training_stand_on_one_axis_of_shares(run: Run) -> None:
    found = chart("accuracy", run)
    np.testing.assert_allclose(found.curves[0].x, range(10, 101, 10))
    np.testing.assert_allclose(found.x, [99, 99 + 1 / 3, 99 + 2 / 3, 100])


def test_published_values_are_those_of_the_published_log_and_no_others(run: Run) -> None:
    assert chart("loss", run).y.tolist() == [2.671882, 4.155710, 2.258806, 2.325288]
    np.testing.assert_allclose(chart("accuracy", run).y, [75.520, 75.432, 75.530, 75.502])
    assert chart("throughput", run).y.tolist() == [2745.00, 2745.18, 2745.22, 2744.82]
    assert chart("learning-rate", run).y.tolist() == [0, 0, 0, 0]


def test_published_lines_are_the_published_figures(run: Run) -> None:
    levels = {key: chart(key, run).level for key in ("learning-rate", "loss", "accuracy", "throughput")}
    assert {key: level and level.value for key, level in levels.items()} == {
        "learning-rate": 0.001,
        "loss": None,
        "accuracy": 75.618,
        "throughput": 2745.055,
    }
    assert step_times(run).level.value == 373  # type: ignore[union-attr]


def test_the_last_step_of_all_ends_the_training(run: Run) -> None:
    curve = chart("loss", stepped(run, [3.0, 2.0, 1.0, 0.5])).curves[0]
    assert curve.x.tolist() == [25, 50, 75, 100]


def test_a_run_that_ended_before_its_last_epoch_ends_before_the_axis_does(run: Run) -> None:
    assert chart("loss", replace(run, config={"max_epoch": 20})).curves[0].x[-1] == 50


@pytest.mark.parametrize("planned", ["10", None, True, 10**400, -3])
def test_an_odd_number_of_planned_epochs_is_the_number_of_those_that_were_done(run: Run, planned: object) -> None:
    assert chart("accuracy", replace(run, config={"max_epoch": planned})).curves[0].x[-1] == 100


def test_speeds_far_apart_are_on_a_logarithmic_axis_and_others_are_not(run: Run) -> None:
    assert not chart("throughput", run).logarithmic
    slow = replace(run, log=replace(run.log, epochs=tuple(replace(epoch, fps=20.0) for epoch in run.log.epochs)))
    assert chart("throughput", slow).logarithmic
    assert step_times(stepped(run, [1.0] * 50, [4000.0] * 50)).logarithmic
    assert not step_times(stepped(run, [1.0] * 50, [700.0] * 50)).logarithmic


# ------------------------------------------------------------------------------------------------ many steps


def test_a_long_run_is_drawn_as_means_between_its_extremes(run: Run) -> None:
    loss = np.linspace(9, 2, 375_000)
    loss[1000], loss[300_000] = 50.0, -1.0
    curve = chart("loss", stepped(run, loss.tolist())).curves[0]
    assert curve.y.size == SECTIONS
    assert curve.low is not None
    assert curve.high is not None
    assert extremes(curve) == (-1.0, 50.0)
    section = loss[:3750]
    assert curve.y[0] == pytest.approx(section.mean())
    assert (curve.low[0], curve.high[0]) == (section.min(), section.max())


def test_no_curve_has_more_points_than_can_be_seen(run: Run) -> None:
    epochs = tuple(replace(run.log.epochs[0], epoch=number) for number in range(5000))
    assert chart("accuracy", replace(run, log=replace(run.log, epochs=epochs))).curves[0].y.size == MOST_POINTS


numbers_of_any_kind = st.lists(st.floats(width=64), min_size=1, max_size=60)


@given(numbers_of_any_kind, st.integers(1, 40))
def test_what_is_drawn_is_finite_in_order_and_within_its_band(run: Run, values: list[float], most: int) -> None:
    series = Series("A", "A")
    curve = thinned(series, np.arange(1.0, len(values) + 1), np.array(values), most)
    assert curve.y.size <= most
    assert np.isfinite(curve.y).all()
    assert (np.diff(curve.x) > 0).all()
    assert curve.lost == sum(not abs(value) < 1e30 for value in values)
    if curve.low is not None and curve.high is not None:
        slack = 1e-9 * np.maximum(abs(curve.low), abs(curve.high))
        assert (curve.low <= curve.y + slack).all()
        assert (curve.y <= curve.high + slack).all()


def test_a_loss_that_is_not_finite_is_left_out_and_said(run: Run) -> None:
    found = chart("loss", stepped(run, [3.0, math.nan, math.inf, 1.0, 1e300]))
    assert found.curves[0].y.tolist() == [3.0, 1.0]
    assert "A  tiny_cpux1, seed 1: 3 values that are not finite are not drawn" in describe_chart(found).notes


def test_a_run_without_a_finite_value_is_in_no_chart_of_it(run: Run) -> None:
    keys = [chart.key for chart in training_charts(newest_trainings([stepped(run, [math.nan] * 3)])[0], FIGURES, LOGS)]
    assert keys == ["learning-rate", "accuracy", "throughput"]


# ------------------------------------------------------------------------------------------------ step times


def test_the_first_steps_are_left_out_and_the_slowest_of_them_is_told(run: Run) -> None:
    (found,) = step_times(stepped(run, [1.0] * 60, [3600.0, 900.0] + [100.0] * 58)).runs
    assert (found.n, found.warm_up, found.first) == (60 - WARM_UP, WARM_UP, 3600.0)
    assert found.slowest == 100.0


def test_so_are_the_first_steps_after_a_resumption(run: Run) -> None:
    resumed = ResumeEvent("2026-11-23T09:00:00Z", 30, 3, "a.ckpt", 0, (), None)
    times = [100.0] * 30 + [5000.0] + [100.0] * 29
    (found,) = step_times(replace(stepped(run, [1.0] * 60, times), resumptions=(resumed,))).runs
    assert (found.n, found.first, found.slowest) == (40, 5000.0, 100.0)


def test_a_short_run_has_no_steps_to_spare(run: Run) -> None:
    (found,) = step_times(stepped(run, [1.0] * 19, [100.0] * 19)).runs
    assert (found.n, found.warm_up, found.first) == (19, 0, None)


def test_quantiles_and_bins_are_those_of_the_steps(run: Run) -> None:
    times = [100.0] * 10 + list(np.linspace(300, 400, 101))
    found = step_times(stepped(run, [1.0] * 111, times))
    assert found.runs[0].quantiles == pytest.approx((305, 325, 350, 375, 395))
    assert found.runs[0].counts.sum() + found.runs[0].outside == 101
    assert found.edges[0] <= 300.5
    assert found.edges[-1] >= 399.5


def test_numbers_that_can_be_no_time_are_left_out_and_counted(run: Run) -> None:
    times = [100.0] * 40 + [math.nan, 0.0, -5.0, math.inf, 1e300]
    found = step_times(stepped(run, [1.0] * 45, times))
    assert (found.runs[0].n, found.runs[0].lost) == (30, 5)
    assert "5 numbers that can be no time are left out" in describe_chart(found).words


@given(st.lists(st.floats(width=64), min_size=1, max_size=80))
def test_any_recorded_times_can_be_spread(run: Run, times: list[float]) -> None:
    found = step_time_distribution(newest_trainings([stepped(run, [1.0] * len(times), times)])[0], FIGURES)
    if found:
        assert (np.diff(found.edges) > 0).all()
        assert found.runs[0].counts.max() > 0
        assert describe_chart(found).words


# ------------------------------------------------------------------------------------------------ in words


def test_the_table_of_a_chart_has_the_values_at_the_quarters(run: Run) -> None:
    told = describe_chart(chart("loss", stepped(run, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0])))
    assert told.header == ("Run", "First", "At 25 %", "At 50 %", "At 75 %", "Last", "Lowest", "Highest")
    assert told.rows[0][1:] == ("9.0000", "8.0000", "6.0000", "4.0000", "2.0000", "2.0000", "9.0000")


def test_where_a_curve_has_not_begun_there_is_no_value(run: Run) -> None:
    curve = chart("loss", stepped(run, [9.0, 8.0])).curves[0]
    assert [value_at(curve, share) for share in (0, 25, 50, 99, 100)] == [9.0, None, 9.0, 9.0, 8.0]


def test_the_words_name_every_run_and_every_published_value(run: Run) -> None:
    words = describe_chart(chart("accuracy", run)).words
    assert "A  tiny_cpux1, seed 1: 84.375 at first, 83.906 at last, 83.906 to 84.375 in all." in words
    assert "Published after 99.0, 99.3, 99.7, 100.0 % of the training: 75.520, 75.432, 75.530, 75.502." in words
    assert "published best epoch, 75.618 %" in words

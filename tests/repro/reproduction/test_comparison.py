"""The verdict on both sides: the same, different, or can't tell, by intervals and margins."""

import math
import random
from dataclasses import replace

import pytest

from repro.errors import ReproError
from repro.reproduction.comparison import (
    DIFFERENT,
    LOSS_MARGIN,
    OPEN,
    SAME,
    TOP1_MARGIN,
    Measure,
    compare_outcomes,
    comparison_rows,
    verdict_of,
)
from repro.statistics import welch_interval
from tests.support.reproductions import outcomes


def _measure(authors: list[float], ours: list[float], margin: float = 1.0) -> Measure:
    return Measure("loss", "", margin, tuple(authors), tuple(ours), 1)


def test_the_interval_of_a_difference_is_welchs() -> None:
    from scipy.stats import ttest_ind

    random.seed(1)
    one, other = [random.gauss(3, 1) for _ in range(12)], [random.gauss(2, 5) for _ in range(9)]
    expected = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    found = welch_interval(one, other)  # a little wider: its degrees of freedom are whole
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.02)
    assert found.low <= expected.low
    assert found.high >= expected.high


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([2.0, 2.1, 1.9, 2.0, 2.0], SAME),
        ([2.4, 2.5, 2.3, 2.4, 2.4], SAME),  # a difference that is sure, and too small to matter
        ([2.9, 3.2, 2.8, 2.9, 3.0], DIFFERENT),
        ([0.5, 3.5, 2.0, 1.0, 3.0], OPEN),
    ],
)
def test_a_measure_is_the_same_only_where_a_larger_difference_is_ruled_out(ours: list[float], verdict: str) -> None:
    assert _measure([2.0, 2.1, 1.9, 2.05, 1.95], ours).verdict == verdict


def test_two_sides_that_do_not_scatter_are_compared_by_their_difference() -> None:
    assert [_measure([2.0] * 3, [ours] * 3).verdict for ours in (2.0, 2.9, 3.1)] == [SAME, SAME, DIFFERENT]


def test_sides_that_learn_alike_are_the_same_and_one_that_does_not_is_different() -> None:
    measures = compare_outcomes(outcomes(0, 90), outcomes(0.01, 91))
    assert verdict_of(measures) == SAME
    assert [measure.title for measure in measures] == [
        *(f"loss, mean of steps {first} to {first + 19}" for first in (0, 20, 40, 60)),
        "top-1 at the end",
    ]
    assert verdict_of(compare_outcomes(outcomes(0, 90), outcomes(2 * LOSS_MARGIN, 90))) == DIFFERENT
    worse = compare_outcomes(outcomes(0, 90), outcomes(0.01, 90 - 2 * TOP1_MARGIN))
    assert [measure.verdict for measure in worse] == [SAME] * 4 + [DIFFERENT]


def test_one_open_measure_leaves_the_whole_open() -> None:
    same, unsure = _measure([2.0] * 3, [2.0] * 3), _measure([1.0, 2.0, 3.0], [1.0, 2.5, 3.5])
    assert verdict_of([same, unsure]) == OPEN


def test_too_few_runs_another_length_and_a_training_that_diverged_are_errors() -> None:
    with pytest.raises(ReproError, match="found 2 trainings of the authors' code, expected 3 or more"):
        compare_outcomes(outcomes(0, 90, n=2), outcomes(0, 90))
    with pytest.raises(ReproError, match="found trainings of 40 and 80 steps"):
        compare_outcomes(outcomes(0, 90), [replace(it, losses=it.losses[:40]) for it in outcomes(0, 90)])
    with pytest.raises(ReproError, match="run0: found a loss that is no finite number: this training diverged"):
        compare_outcomes(outcomes(0, 90), [replace(it, losses=[math.nan] * 80) for it in outcomes(0, 90)])


def test_the_table_says_n_margin_and_interval() -> None:
    row = comparison_rows([_measure([2.0, 2.1, 1.9], [2.0, 2.2, 2.1, 2.1])])[0]
    assert row[:8] == ("loss", "2.000", "0.100", "3", "2.100", "0.082", "4", "-0.100")
    assert row[-2:] == ("±1", SAME)

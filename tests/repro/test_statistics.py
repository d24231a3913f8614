"""Intervals and quantiles, held against scipy and against what numbers print as."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.statistics import Interval, intersection, prediction_interval, student_t


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_students_t_is_scipys(level: float) -> None:
    from scipy.special import stdtrit

    for freedom in (1, 2, 3, 4, 9, 16, 299, 5000):
        assert student_t(freedom, level) == pytest.approx(stdtrit(freedom, 1 - level / 2), rel=1e-10)


def test_a_prediction_interval_is_as_wide_as_its_samples_deviation_and_size_say() -> None:
    low, high = prediction_interval([1.0, 2.0, 3.0, 4.0], level=0.05)
    assert (low + high) / 2 == pytest.approx(2.5)
    assert high - low == pytest.approx(2 * 3.18245 * math.sqrt(5 / 3 * 5 / 4), rel=1e-5)


@given(value=st.floats(0, 1e6), decimals=st.integers(0, 6))
def test_a_printed_number_stands_for_all_that_print_so(value: float, decimals: int) -> None:
    shown = float(f"{value:.{decimals}f}")
    assert Interval.printed(shown, decimals).gap(Interval.exactly(value)) <= 1e-9 * max(1.0, value)


def test_intervals_that_have_nothing_in_common_are_empty() -> None:
    assert intersection([Interval(1, 2), Interval(3, 4)]).empty
    assert not intersection([Interval(1, 3), Interval(2, 4)]).empty
    assert Interval(1, 2).gap(Interval(4, 5)) == 2
    assert math.isnan(Interval(math.nan, 1).gap(Interval(4, 5)))
    assert Interval(1.2, 1.9).whole() is False
    assert Interval(1.2, 2.0).whole() is True

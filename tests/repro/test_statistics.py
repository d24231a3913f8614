"""Intervals and quantiles, held against scipy and against what numbers print as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.statistics import Interval, share_difference, share_interval, student_t


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_students_t_is_scipys(level: float) -> None:
    from scipy.special import stdtrit

    for freedom in (1, 2, 3, 4, 9, 16, 299, 5000):
        assert student_t(freedom, level) == pytest.approx(stdtrit(freedom, 1 - level / 2), rel=1e-10)


@given(trials=st.integers(1, 50000), share=st.floats(0, 1))
def test_the_interval_of_a_share_is_wilsons_and_never_a_point(trials: int, share: float) -> None:
    from scipy.stats import binomtest

    right = round(share * trials)
    found = share_interval(100 * right / trials, trials)
    expected = binomtest(right, trials).proportion_ci(0.95, "wilson")
    assert (found.low, found.high) == pytest.approx((100 * expected.low, 100 * expected.high), rel=1e-4, abs=1e-9)
    assert found.high - found.low > 0.005


def test_two_perfect_scores_may_differ_by_as_much_as_their_images_say() -> None:
    assert share_difference(100, 320, 100, 320) == pytest.approx(1.19, abs=0.01)
    assert share_difference(0, 10, 0, 10) > share_difference(0, 1000, 0, 1000) > 0


@given(value=st.floats(0, 1e6), decimals=st.integers(0, 6))
def test_a_printed_number_stands_for_all_that_print_so(value: float, decimals: int) -> None:
    shown = float(f"{value:.{decimals}f}")
    assert Interval.printed(shown, decimals).gap(Interval.exactly(value)) <= 1e-9 * max(1.0, value)


def test_an_interval_has_a_whole_number_in_it_or_not() -> None:
    assert Interval(1.2, 2.0).whole()
    assert not Interval(1.2, 1.9).whole()

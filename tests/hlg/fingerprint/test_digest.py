"""A sketch tells a tensor from any other, and how far they are apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlg.fingerprint.digest import SUMS, distance, ratio, sketch

RNG = np.random.default_rng(3)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return distance(sketch("key", a), sketch("key", b), float(np.linalg.norm(b)))


def test_a_tensor_is_no_distance_from_itself() -> None:
    x = RNG.standard_normal((7, 30))
    assert apart(x, x) == 0
    assert sketch("key", x)[:2].tolist() == [210, np.linalg.norm(x)]


def test_the_distance_is_right_to_a_factor_of_two_whatever_the_key() -> None:
    a = RNG.standard_normal(5000)
    b = a + 1e-4 * RNG.standard_normal(5000)
    true = np.linalg.norm(a - b)
    found = [distance(sketch(f"key {i}", a), sketch(f"key {i}", b), 1.0) / true for i in range(100)]
    assert 0.5 < min(found) < max(found) < 2
    assert np.mean(np.square(found)) == pytest.approx(1, abs=0.1)


@given(st.integers(0, 4999), st.floats(1e-6, 1e3))
def test_one_wrong_element_is_seen_to_its_size(place: int, size: float) -> None:
    a = RNG.standard_normal(5000)
    b = a.copy()
    b[place] += size
    assert distance(sketch("key", a), sketch("key", b), 1.0) == pytest.approx(size, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (4, 4), (32, 32), (384, 384)])
def test_a_transposed_tensor_is_another_one(shape: tuple[int, int]) -> None:
    x = RNG.standard_normal(shape)
    assert apart(x.T, x) > 0.5


def test_a_small_tensor_is_kept_as_it_is() -> None:
    x = RNG.standard_normal(SUMS)
    assert sketch("key", x)[2:].tolist() == x.tolist()


def test_another_size_is_infinitely_far_and_what_is_no_number_is_no_number_apart() -> None:
    assert apart(np.ones(4), np.ones(5)) == float("inf")
    assert np.isnan(apart(np.array([np.nan] * 40), np.ones(40)))


def test_a_tensor_of_zeros_is_right_or_infinitely_wrong() -> None:
    assert apart(np.zeros(3), np.zeros(3)) == 0
    assert apart(np.ones(3), np.zeros(3)) == float("inf")


def test_a_multiple_is_recognised() -> None:
    x = RNG.standard_normal(1000)
    assert ratio(sketch("key", 8 * x), sketch("key", x)) == pytest.approx(8)
    assert np.isnan(ratio(sketch("key", x), sketch("key", 0 * x)))

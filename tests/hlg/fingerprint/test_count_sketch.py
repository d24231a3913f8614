"""A sketch tells a tensor from any other, and how far they are apart."""

import numpy as np
import pytest

from hlg.fingerprint.count_sketch import count_sketch, sketch_distance

RNG = np.random.default_rng(3)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return sketch_distance(count_sketch("key", a), count_sketch("key", b), float(np.linalg.norm(b)))


def test_a_tensor_is_no_distance_from_itself_and_infinitely_far_from_another_size_and_from_zeros() -> None:
    x = RNG.standard_normal((7, 30))
    assert apart(x, x) == apart(0 * x, 0 * x) == 0
    assert apart(x, x[1:]) == apart(x, 0 * x) == float("inf")
    assert np.isnan(apart(x * np.nan, x))


def test_the_distance_is_right_to_a_factor_of_two_whatever_the_key() -> None:
    a = RNG.standard_normal(5000)
    b = a + 1e-4 * RNG.standard_normal(5000)
    keys = [f"key {i}" for i in range(100)]
    found = [sketch_distance(count_sketch(key, a), count_sketch(key, b), np.linalg.norm(a - b)) for key in keys]
    assert 0.5 < min(found) < max(found) < 2
    assert np.mean(np.square(found)) == pytest.approx(1, abs=0.1)

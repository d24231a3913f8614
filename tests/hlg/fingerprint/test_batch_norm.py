"""A moving variance is read by the other rule as that rule would have made it."""

import numpy as np
import pytest

from hlg.fingerprint.batch_norm import BIASED, NEITHER, UNBIASED, read_variance
from hlg.fingerprint.synthetic import draw_parameter

NAME, BATCH, STEPS = "patch_embed4.norm.moving_variance", 4, 3
BATCHES = np.random.default_rng(7).standard_normal((STEPS, 384, BATCH * 7 * 7))
START = draw_parameter(NAME, (384,), "x:").astype(np.float64)


def moved(ddof: int) -> np.ndarray:
    variance = START
    for batch in BATCHES:
        variance = 0.9 * variance + 0.1 * batch.var(-1, ddof=ddof)
    return variance


@pytest.mark.parametrize(("made", "wanted"), [(BIASED, UNBIASED), (UNBIASED, BIASED), (BIASED, BIASED)])
def test_a_variance_by_one_rule_is_read_as_by_the_other(made: str, wanted: str) -> None:
    by = {BIASED: moved(0), UNBIASED: moved(1)}
    assert np.abs(by[BIASED] / by[UNBIASED] - 1).max() > 1e-4
    np.testing.assert_allclose(read_variance(NAME, by[made], made, wanted, BATCH, "x:", STEPS), by[wanted], rtol=1e-12)


def test_what_follows_neither_rule_or_is_no_variance_stays_as_it_is() -> None:
    assert read_variance(NAME, START, NEITHER, UNBIASED, BATCH, "x:") is START
    assert read_variance("head.bias", START, BIASED, UNBIASED, BATCH, "x:") is START

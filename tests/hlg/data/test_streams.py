"""The random streams of a run: the same for the same place, distributed as they should be, apart from each other."""

import hashlib

import numpy as np
import pytest

from hlg.data import streams
from hlg.data.streams import draw_drop_scales, mixup_draw


def test_mixup_weights_follow_the_beta_distribution_and_alpha_zero_mixes_nothing() -> None:
    weights = np.array([mixup_draw(1, step, 2, 0.2)[0] for step in range(2000)])
    assert 0 <= weights.min() <= weights.max() <= 1
    assert weights.mean() == pytest.approx(0.5, abs=0.04)
    assert weights.var() == pytest.approx(0.25 / 1.4, abs=0.01)  # Beta(a, a): 1 / (4 (2 a + 1))
    weight, order = mixup_draw(1, 7, 5, 0.0)
    assert (weight, order.tolist()) == (1, [0, 1, 2, 3, 4])


def test_streams_keep_the_numbers_that_kept_runs_were_made_with() -> None:
    drawn = [
        streams.epoch_order(1, 2, 30),
        streams.image_generator(1, 2, 3).random(30),
        *map(np.asarray, mixup_draw(1, 5, 30, 0.2, rank=1)),
        draw_drop_scales(np.array([0.05, 0.1], np.float32), 1, 5, 30),
        streams.shuffle_labels(np.arange(30), 1),
    ]
    assert hashlib.sha256(b"".join(array.tobytes() for array in drawn)).hexdigest() == (
        "7ca08d344c0128dbc84367da0bce62fafbb3a6ade10a58e1b1c769c6e18a1154"
    )

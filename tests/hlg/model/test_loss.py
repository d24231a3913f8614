"""Losses against their formulas in float64."""

import mindspore as ms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore import Tensor

from hlg.errors import UserError
from hlg.model.loss import build_loss

# No graph is worth compiling for a few numbers of ever new shapes.
pytestmark = pytest.mark.usefixtures("pynative_mode")


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def _call(name: str, logits: np.ndarray, a: np.ndarray, b: np.ndarray, lam: float, smoothing: float) -> float:
    loss = build_loss(name, logits.shape[1], smoothing, ignore_label=255)
    tensors = Tensor(logits, ms.float32), Tensor(a, ms.int32), Tensor(b, ms.int32), Tensor(lam, ms.float32)
    return float(loss(*tensors).asnumpy())


def _target(name: str, a: np.ndarray, b: np.ndarray, lam: float, s: float, classes: int) -> np.ndarray:
    """Of each image 1 - s for its label and the rest for the others; mixed, the rest for the classes of neither."""
    one, two = np.eye(classes)[a], np.eye(classes)[b]
    soft = one if name == "ce_smooth" else lam * one + (1 - lam) * two
    return (1 - s) * soft + (soft == 0) * s / (classes - (1 if name == "ce_smooth" else 2))


@given(
    name=st.sampled_from(["ce_smooth", "ce_smooth_mixup"]),
    batch=st.integers(1, 5),
    classes=st.integers(3, 9),
    seed=st.integers(0, 2**32),
    # Threads differ in whether a subnormal number is zero to them, and the loss asks just that.
    lam=st.floats(0, 1, width=32, allow_subnormal=False),
    s=st.floats(0, 0.5),
)
@settings(max_examples=30)
def test_smoothing_goes_to_other_classes(name: str, batch: int, classes: int, seed: int, lam: float, s: float) -> None:
    rng = np.random.default_rng(seed)
    logits, (a, b) = 3 * rng.standard_normal((batch, classes)), rng.integers(0, classes, (2, batch))
    expected = -(_target(name, a, b, lam, s, classes) * _log_softmax(logits)).sum(-1).mean()
    assert _call(name, logits, a, b, lam, s) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_ce_ignore_averages_over_the_labels_that_are_not_ignored() -> None:
    logits = np.random.default_rng(0).standard_normal((4, 5))
    labels = np.array([1, 255, 0, 255])
    expected = -_log_softmax(logits)[[0, 2], [1, 0]].mean()
    assert _call("ce_ignore", logits, labels, labels, 1.0, 0.0) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_too_few_classes_to_spread_the_smoothing_over_are_refused() -> None:
    with pytest.raises(UserError, match="class_num: 2 is too few for loss ce_smooth_mixup"):
        build_loss("ce_smooth_mixup", 2)

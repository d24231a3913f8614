"""Losses against their formulas in float64. The published values of two of them are held in test_parity.py."""

from collections.abc import Iterator

import mindspore as ms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore import Tensor

from hlg.errors import UserError
from hlg.model.loss import build_loss


@pytest.fixture(autouse=True)
def _pynative_mode() -> Iterator[None]:
    """No graph is worth compiling for a few numbers of ever new shapes."""
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def _call(name: str, logits: np.ndarray, a: np.ndarray, b: np.ndarray, lam: float, smoothing: float) -> float:
    loss = build_loss(name, logits.shape[1], smoothing, ignore_label=255)
    tensors = Tensor(logits, ms.float32), Tensor(a, ms.int32), Tensor(b, ms.int32), Tensor(lam, ms.float32)
    return float(loss(*tensors).asnumpy())


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    batch, classes = draw(st.integers(1, 5)), draw(st.integers(3, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    a, b = rng.integers(0, classes, (2, batch))
    # Threads differ in whether a subnormal number is zero to them, and the loss asks just that.
    lam = draw(st.floats(0, 1, width=32, allow_subnormal=False))
    return 3 * rng.standard_normal((batch, classes)), a, b, lam, draw(st.floats(0, 0.5))


@given(batches())
@settings(deadline=None, max_examples=25)
def test_ce_smooth_gives_the_label_one_minus_s_and_the_others_their_share(case: tuple) -> None:  # type: ignore[type-arg]
    logits, a, b, lam, s = case
    target = np.full(logits.shape, s / (logits.shape[1] - 1))
    target[np.arange(len(a)), a] = 1 - s
    expected = -(target * _log_softmax(logits)).sum(-1).mean()
    assert _call("ce_smooth", logits, a, b, lam, s) == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(batches())
@settings(deadline=None, max_examples=25)
def test_ce_smooth_mixup_smooths_only_the_classes_of_neither_image(case: tuple) -> None:  # type: ignore[type-arg]
    logits, a, b, lam, s = case
    rows = np.arange(len(a))
    soft = np.zeros(logits.shape)
    soft[rows, a] += lam
    soft[rows, b] += 1 - lam
    target = (1 - s) * soft + np.where(soft == 0, s / (logits.shape[1] - 2), 0)
    expected = -(target * _log_softmax(logits)).sum(-1).mean()
    assert _call("ce_smooth_mixup", logits, a, b, lam, s) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_ce_ignore_averages_over_the_labels_that_are_not_ignored() -> None:
    logits = np.random.default_rng(0).standard_normal((4, 5))
    labels = np.array([1, 255, 0, 255])
    expected = -_log_softmax(logits)[[0, 2], [1, 0]].mean()
    assert _call("ce_ignore", logits, labels, labels, 1.0, 0.0) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_too_few_classes_to_spread_the_smoothing_over_are_refused() -> None:
    with pytest.raises(UserError, match="class_num: 2 is too few for loss ce_smooth_mixup"):
        build_loss("ce_smooth_mixup", 2)

"""What is written for a CPU and what is for Ascend and GPU compute the same, and so do their gradients."""

import math
from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from hlg.model import operators

RNG = np.random.default_rng(7)


def _numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


class _Projected(nn.Cell):
    """All projections of :func:`operators.split_heads` as one tensor, (p, B, h, N, d)."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        super().__init__()
        self.heads = make(2)

    def construct(self, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        return ops.stack(self.heads(x, ((w1, b1), (w2, b2))))


class _Weighed(nn.Cell):
    """The sum of a cell's results, each times a number of its own: what a gradient is taken of."""

    def __init__(self, cell: Any, weights: np.ndarray) -> None:
        super().__init__()
        self.cell, self.weights = cell, Tensor(weights)

    def construct(self, *inputs: Tensor) -> Tensor:
        return (self.cell(*inputs) * self.weights).sum()


CASES: dict[str, tuple[Callable[[], Any], tuple[np.ndarray, ...]]] = {
    "gelu": (operators.gelu, (_numbers(3, 5, 7) * 3,)),
    "gelu of fused kernels": (
        lambda: operators.FusedGelu() if operators._on_cpu() else operators.gelu(),
        (np.concatenate([_numbers(101) * 3, np.array([30, -30, 5, -5], np.float32)]),),
    ),
    "affine": (operators.affine, (_numbers(6, 5), _numbers(4, 5), _numbers(4))),
    "layer_norm of few channels": (lambda: operators.layer_norm(1e-7), (_numbers(2, 5, 8), _numbers(8), _numbers(8))),
    "layer_norm of many": (lambda: operators.layer_norm(1e-7), (_numbers(3, 192), _numbers(192), _numbers(192))),
    "attend": (operators.attend, (_numbers(2, 2, 5, 4), _numbers(2, 2, 3, 4), _numbers(2, 2, 3, 4))),
    "heads": (
        lambda: _Projected(lambda count: operators.split_heads(count, 4)),
        (_numbers(2, 3, 4), _numbers(4, 4), _numbers(4), _numbers(4, 4), _numbers(4)),
    ),
    "heads of many channels": (
        lambda: _Projected(lambda count: operators.split_heads(count, operators.JointHeads.WIDE)),
        (_numbers(2, 3, 4), _numbers(4, 4), _numbers(4), _numbers(4, 4), _numbers(4)),
    ),
    "convolve": (lambda: operators.convolve(3, 3), (_numbers(2, 3, 6, 5), _numbers(3, 3, 3, 3))),
}


def _on(device: str, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, list[np.ndarray]]:
    """The result of a case and the gradient of each of its inputs, by the cells that ``device`` would have."""
    monkeypatch.setattr(operators, "_on_cpu", lambda: device == "CPU")
    make, inputs = CASES[name]
    cell = make()
    tensors = tuple(map(Tensor, inputs))
    result = cell(*tensors).asnumpy()
    weights = np.random.default_rng(1).standard_normal(result.shape).astype(np.float32)
    differentiate = ops.grad(_Weighed(cell, weights), tuple(range(len(inputs))))
    gradients = differentiate(*tensors)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    return result, [g.asnumpy() for g in gradients]


@pytest.mark.parametrize("mode", [ms.GRAPH_MODE, ms.PYNATIVE_MODE], ids=["graph", "pynative"])
@pytest.mark.parametrize("name", CASES)
def test_every_device_has_the_same_results_and_gradients(name: str, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ms.set_context(mode=mode)
    result, gradients = _on("CPU", name, monkeypatch)
    elsewhere, gradients_elsewhere = _on("Ascend", name, monkeypatch)
    np.testing.assert_allclose(result, elsewhere, rtol=1e-5, atol=1e-5)
    for own, other in zip(gradients, gradients_elsewhere, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


def test_the_gelu_of_fused_kernels_is_as_exact_as_float32_and_keeps_to_its_ends() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)
    x = np.concatenate([np.linspace(-8, 8, 20001), [-1e30, -np.inf]]).astype(np.float32)
    y = operators.FusedGelu()(Tensor(x)).asnumpy()
    exact = x[:-2] * (1 + np.tanh(math.sqrt(2 / math.pi) * (x[:-2] + 0.044715 * x[:-2].astype(np.float64) ** 3))) / 2
    assert (np.abs(y[:-2] - exact) <= 3e-7 * np.maximum(np.abs(x[:-2]), 1)).all()
    assert (np.abs(y[-2:]) < 1e-6).all()


def test_the_gradients_of_attention_are_the_slopes_of_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device has these gradients of ours, so no device's can be held against MindSpore's."""
    _, gradients = _on("CPU", "attend", monkeypatch)
    cell, inputs = operators.attend(), CASES["attend"][1]
    weights = np.random.default_rng(1).standard_normal(cell(*map(Tensor, inputs)).shape)
    for i, gradient in enumerate(gradients):
        direction = np.random.default_rng(i).standard_normal(inputs[i].shape).astype(np.float32)
        step = 1e-2
        ends = []
        for sign in (1, -1):
            moved = [x + sign * step * direction if j == i else x for j, x in enumerate(inputs)]
            ends.append((cell(*map(Tensor, moved)).asnumpy().astype(np.float64) * weights).sum())
        slope = (ends[0] - ends[1]) / (2 * step)
        expected = (gradient.astype(np.float64) * direction).sum()
        scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert abs(slope - expected) < 5e-3 * scale, f"input {i}"

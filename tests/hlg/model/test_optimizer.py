"""AdamW against its formula in float64."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor

from hlg.model.optimizer import AdamW

NAMES = {"layer.weight": (4, 3), "layer.bias": (4,), "norm.beta": (3,), "norm.gamma": (3,)}
pytestmark = pytest.mark.usefixtures("graph_mode")


def _parameters() -> list[Parameter]:
    rng = np.random.default_rng(0)
    return [Parameter(Tensor(rng.standard_normal(s).astype(np.float32)), name=n) for n, s in NAMES.items()]


def _gradients(step: int) -> list[np.ndarray]:
    rng = np.random.default_rng([1, step])
    return [10.0 ** -rng.integers(0, 4) * rng.standard_normal(s).astype(np.float32) for s in NAMES.values()]


def _reference(rates: list[float], centralize: bool) -> list[np.ndarray]:
    values = [p.asnumpy().astype(np.float64) for p in _parameters()]
    m, v = ([np.zeros(p.shape) for p in values] for _ in range(2))
    for t, lr in enumerate(rates, 1):
        for i, (name, g) in enumerate(zip(NAMES, _gradients(t), strict=True)):
            decay = 0 if "beta" in name or "bias" in name else 0.05
            if centralize and g.ndim > 1:
                g = g - g.mean(1, keepdims=True)
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g.astype(np.float64) ** 2
            update = m[i] / (1 - 0.9**t) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
            values[i] = values[i] - lr * (update + decay * values[i])
    return values


def _step(optimizer: AdamW, gradients: list[np.ndarray], lr: float, skip: bool = False) -> None:
    optimizer(tuple(map(Tensor, gradients)), Tensor(lr, ms.float32), Tensor(skip)).asnumpy()


@pytest.mark.parametrize("centralize", [False, True])
def test_steps_follow_the_formula_with_the_rate_of_each_and_a_skipped_one_moves_nothing(centralize: bool) -> None:
    parameters = _parameters()
    optimizer = AdamW(parameters, centralize=centralize)
    rates = [1e-3, 2e-3, 5e-4, 0.0, 1e-2]
    for t, lr in enumerate(rates, 1):
        if t in (1, 3):
            before = [p.asnumpy().copy() for p in optimizer.get_parameters()]
            _step(optimizer, [np.full(s, np.nan, np.float32) for s in NAMES.values()], 1e-3, skip=True)
            for p, old in zip(optimizer.get_parameters(), before, strict=True):
                np.testing.assert_array_equal(p.asnumpy(), old, err_msg=p.name)
        _step(optimizer, _gradients(t), lr)
    for p, expected in zip(parameters, _reference(rates, centralize), strict=True):
        np.testing.assert_allclose(p.asnumpy(), expected, rtol=2e-6, atol=1e-7, err_msg=p.name)

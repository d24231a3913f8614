"""Graph and PyNative mode train alike, and half precision near float32, in steps of a narrow network."""

import math
from collections.abc import Iterator

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from hlg.data.streams import draw_drop_scales
from hlg.model.loss import build_loss
from hlg.model.network import HLG, build_network
from hlg.model.optimizer import AdamW
from hlg.training.step import Update
from tests.support.narrow.network import narrowed

GRAPH, PYNATIVE = ms.GRAPH_MODE, ms.PYNATIVE_MODE
pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.fixture(scope="module", autouse=True)
def _narrow() -> Iterator[None]:
    """What ``build_network`` builds is narrow, and drops many branches."""
    with narrowed(drop_rate=0.5):
        yield


def _steps(network: HLG, count: int, loss_scale: float = 256.0) -> list[tuple[float, bool]]:
    """The loss of each of some training steps, and whether it overflowed."""
    update = Update(network, build_loss("ce_smooth_mixup", 4), AdamW(network.trainable_params()), loss_scale)
    update.set_train(True)
    x = Tensor(np.random.default_rng(5).standard_normal((3, 3, 112, 112)).astype(np.float32))
    labels, mixed = Tensor(np.array([0, 1, 2], np.int32)), Tensor(np.array([1, 1, 3], np.int32))
    lam, lr = Tensor(0.7, ms.float32), Tensor(1e-3, ms.float32)
    scales = [Tensor(draw_drop_scales(network.drop_rates, 1, step, 3)) for step in range(count)]
    steps = [update(x, labels, mixed, lam, own, lr) for own in scales]
    return [(float(loss.asnumpy()), bool(overflow.asnumpy())) for loss, overflow in steps]


def _network(mode: int, amp_level: str) -> HLG:
    ms.set_context(mode=mode)
    ms.set_seed(3)
    return build_network(4, 112, amp_level)


@pytest.fixture(scope="module")
def float32_steps() -> list[tuple[float, bool]]:
    return _steps(_network(GRAPH, "O0"), 2)


def test_pynative_mode_trains_as_graph_mode_does(float32_steps: list[tuple[float, bool]]) -> None:
    np.testing.assert_allclose(_steps(_network(PYNATIVE, "O0"), 2), float32_steps, rtol=1e-5)


@pytest.mark.parametrize("amp_level", ["O2", "O3"])
@pytest.mark.parametrize("mode", [GRAPH, PYNATIVE], ids=["graph", "pynative"])
def test_half_precision_trains_near_float32(mode: int, amp_level: str, float32_steps: list[tuple[float, bool]]) -> None:
    ((loss, overflow),) = _steps(_network(mode, amp_level), 1)
    assert not overflow
    assert loss == pytest.approx(float32_steps[0][0], rel=0.01)
    assert loss != float32_steps[0][0]


def test_a_step_whose_float16_gradients_overflow_says_so_and_moves_no_weight() -> None:
    network = _network(PYNATIVE, "O3")
    weights = {p.name: p.asnumpy().copy() for p in network.trainable_params()}
    ((loss, overflow),) = _steps(network, 1, loss_scale=1e9)
    assert overflow
    assert math.isfinite(loss)
    for p in network.trainable_params():
        np.testing.assert_array_equal(p.asnumpy(), weights[p.name], err_msg=p.name)

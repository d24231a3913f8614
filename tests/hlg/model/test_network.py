"""The network: shapes, regrouping, initialization, precision. Its numbers are held by the fingerprint's tests."""

import math
from collections.abc import Iterator
from functools import partial

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from hlg.data.streams import draw_drop_scales
from hlg.errors import UserError
from hlg.model.layers import parameter_count
from hlg.model.loss import build_loss
from hlg.model.network import HLG, build_network
from hlg.model.optimizer import AdamW
from hlg.training.step import Update
from tests.support.narrow import STAGES

GRAPH, PYNATIVE = ms.GRAPH_MODE, ms.PYNATIVE_MODE
pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.fixture(scope="module", autouse=True)
def _narrow() -> Iterator[None]:
    """What ``build_network`` builds is narrow, and drops many branches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hlg.model.network.HLG", partial(HLG, stages=STAGES, drop_rate=0.5))
        yield


@pytest.fixture(scope="module")
def mobile() -> HLG:
    ms.set_seed(1)
    return HLG()


def test_hlg_mobile_has_the_parameters_that_the_published_network_uses(mobile: HLG) -> None:
    assert parameter_count(mobile) == 6_147_657


def test_position_embeddings_follow_the_image_size_and_one_that_does_not_fit_is_an_error() -> None:
    for image_size, grids in ((112, (28, 14, 7, 4)), (224, (56, 28, 14, 7)), (336, (84, 42, 21, 11))):
        tokens = [stage.position.shape[1] for stage in build_network(2, image_size).stages]
        assert tokens == [grids[0] ** 2, grids[1] ** 2, grids[2] ** 2, grids[3] ** 2 + 1]
    for image_size in (0, 100, 225):
        with pytest.raises(UserError, match=r"multiple of 112 \(112, 224, 336"):
            HLG(2, image_size)


def test_initialization_is_the_published_runs(mobile: HLG) -> None:
    for p in mobile.get_parameters():
        value = p.asnumpy()
        leaf = p.name.rsplit(".", 1)[-1]
        if leaf in ("bias", "beta", "moving_mean"):
            assert not value.any(), p.name
        elif leaf in ("gamma", "moving_variance"):
            assert (value == 1).all(), p.name
        elif leaf in ("position", "cls"):
            assert value.std() == pytest.approx(1, rel=0.1), p.name
        elif ".conv." in p.name:  # He-uniform with negative slope sqrt(5)
            bound = math.sqrt(6 / (1 + 5) / math.prod(value.shape[1:]))
            assert 0.9 * bound < abs(value).max() <= bound * (1 + 1e-6), p.name
        else:  # truncated at two deviations
            assert abs(value).max() <= 0.04 + 1e-6, p.name
            assert value.std() == pytest.approx(0.02 * 0.8796, rel=0.1), p.name


def test_stochastic_depth_rises_from_zero_and_drops_each_window_on_its_own(mobile: HLG) -> None:
    windows = [0, 64, 16, 16, 4, 4, 0, 0]  # block 0 has rate 0 and so no columns
    expected = [i / 70 for i, count in enumerate(windows) for _ in range(count + 2) if i > 0]
    np.testing.assert_allclose(np.sort(mobile.drop_rates), expected, rtol=1e-6)


def test_a_dropped_branch_leaves_the_residual_as_it_was() -> None:
    ms.set_context(mode=PYNATIVE)
    network = build_network(2, 112)
    network.set_train(False)
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 112, 112)).astype(np.float32))
    scales = np.ones((2, len(network.drop_rates)), np.float32)
    scales[1] = 0
    without, dropped = network(x).asnumpy(), network(x, Tensor(scales)).asnumpy()
    assert (dropped[0] == without[0]).all()
    assert (dropped[1] != without[1]).any()


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

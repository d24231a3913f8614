"""The network: shapes, regrouping, initialization. Its numbers and modes are held by tests/drills/numerics."""

import math
from collections.abc import Iterator

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from hlg.errors import UserError
from hlg.model.layers import parameter_count
from hlg.model.network import HLG, build_network
from tests.support.narrow.network import narrowed

GRAPH, PYNATIVE = ms.GRAPH_MODE, ms.PYNATIVE_MODE
pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.fixture(scope="module", autouse=True)
def _narrow() -> Iterator[None]:
    """What ``build_network`` builds is narrow, and drops many branches."""
    with narrowed(drop_rate=0.5):
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

"""Weights from files: ours come back bit for bit, published ones load by their names, nothing is scored untrained."""

import csv
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from hlg.checkpoint import weights
from hlg.data.classes import IMAGENET_ORDER
from hlg.errors import UserError
from hlg.fingerprint.synthetic import draw_parameter
from hlg.model.network import HLG
from tests.conftest import FIXTURES


def _rows() -> list[dict[str, str]]:
    with (FIXTURES / "parameters.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def network() -> HLG:
    return HLG()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with every parameter of a published checkpoint, and optimizer state as a training run leaves it."""
    path = tmp_path_factory.mktemp("published") / "hlg_mobile.ckpt"
    arrays = {row["name"]: draw_parameter(row["name"], tuple(map(int, row["shape"].split("x")))) for row in _rows()}
    arrays["adam_m.head.bias"] = np.zeros(1001, np.float32)
    ms.save_checkpoint([{"name": n, "data": Tensor(a.astype(np.float32))} for n, a in arrays.items()], str(path))
    return path


def test_a_published_checkpoint_loads_by_its_names_and_says_what_is_unused(network: HLG, published: Path) -> None:
    shapes = {row["name"]: row["shape"] for row in _rows()}
    report = weights.load_weights(published, network)
    own = list(network.get_parameters())
    for p in own:
        assert shapes[report.used[p.name]] == "x".join(map(str, p.shape))
        np.testing.assert_array_equal(p.asnumpy(), draw_parameter(report.used[p.name], tuple(p.shape)), err_msg=p.name)
    assert report.naming == "published"
    assert report.classes.told == IMAGENET_ORDER  # it says nothing, but what it was trained on is known
    assert len(own) == len(report.used) == len(set(report.used.values())) == 394 - len(report.unused)
    assert {"block4_0.norm0.gamma", "patch_embed2.conv1.weight", "adam_m.head.bias"} <= set(report.unused)
    assert str(report).startswith(f"{published}: {len(own)} parameters used (published names)")
    assert f"{len(report.unused)} stored but unused" in str(report)


@pytest.mark.parametrize("prefix", ["network.", "_backbone.", "module.network."])
def test_a_checkpoint_of_a_cell_that_wraps_the_network_loads_and_says_so(
    prefix: str, tmp_path: Path, network: HLG, published: Path
) -> None:
    stored = {**ms.load_checkpoint(str(published)), "adam_m.network.head.weight": Tensor(np.ones((2, 2), np.float32))}
    path = tmp_path / "wrapped.ckpt"
    ms.save_checkpoint([{"name": prefix + n, "data": p} for n, p in stored.items()], str(path))
    network.head.weight.set_data(Tensor(np.zeros(network.head.weight.shape, np.float32)))
    report = weights.load_weights(path, network)
    np.testing.assert_array_equal(network.head.weight.asnumpy(), stored["head.weight"].asnumpy())
    assert (report.prefix, report.used["head.weight"]) == (prefix, f"{prefix}head.weight")
    assert f"parameters used (published names behind '{prefix}')" in str(report)


@pytest.mark.parametrize("prefixes", [("student.",), ("network.", "module.")])
def test_weights_behind_a_prefix_of_nobody_are_refused(prefixes: tuple[str, ...], tmp_path: Path, network: HLG) -> None:
    path = tmp_path / "two.ckpt"
    ms.save_checkpoint([{"name": f"{p}head.weight", "data": network.head.weight} for p in prefixes], str(path))
    with pytest.raises(UserError, match=f"its names begin with {' or '.join(sorted(prefixes))}, which does not say"):
        weights.load_weights(path, network)


def test_missing_and_misshapen_parameters_are_named_and_the_network_is_left_alone(tmp_path: Path, network: HLG) -> None:
    arrays = {p.name: p.asnumpy() for p in network.get_parameters()}
    arrays.pop("stages.1.position")
    arrays["head.weight"] = np.zeros((10, 384), np.float32)
    path = tmp_path / "other.ckpt"
    ms.save_checkpoint([{"name": n, "data": Tensor(a)} for n, a in arrays.items()], str(path))
    before = network.head.weight.asnumpy().copy()
    with pytest.raises(UserError) as error:
        weights.load_weights(path, network)
    assert "1 parameters are missing: stages.1.position" in str(error.value)
    assert "head.weight is 10x384 in the file, 1001x384 in the network" in str(error.value)
    assert "is class_num the checkpoint's?" in str(error.value)
    np.testing.assert_array_equal(network.head.weight.asnumpy(), before)

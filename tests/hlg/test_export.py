"""A network leaves as a file that another process loads, and that computes what the network computes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from hlg import export as program
from hlg.checkpoint import store
from hlg.checkpoint.weights import load_weights
from hlg.config import Config
from hlg.errors import UserError
from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.inference import export, onnx_graph
from hlg.model.network import HLG
from tests.hlg.checkpoint.test_store import CLASSES, STATE
from tests.support.narrow.network import STAGES

Export = Callable[..., int]


@pytest.fixture(scope="module")
def network() -> HLG:
    network = HLG(7, 112, STAGES)
    set_synthetic_weights(network)
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, network: HLG) -> Path:
    path = tmp_path_factory.mktemp("weights") / "hlg.ckpt"
    return store.save_checkpoint(path, network.get_parameters(), STATE, CLASSES)


@pytest.fixture
def exported(weights: Path, network: HLG, tmp_path: Path, graph_mode: None, monkeypatch: pytest.MonkeyPatch) -> Export:
    """The program, in this process and with a network that all tests share, so that it is compiled once."""
    monkeypatch.setattr(export.device, "start", lambda config: None)  # this process has started
    monkeypatch.setattr(export, "build_network", lambda *_: network)
    monkeypatch.setattr(export, "EXPORTED", ("tests.support.narrow", *export.EXPORTED))
    network.head.bias.set_data(network.head.bias + 1)  # until the weights are loaded
    paths = (f"--pretrained={weights}", f"--file_name={tmp_path}/hlg.mindir")
    size = ("--class_num=7", "--train_image_size=112", "--batch_size=4", "--eval_num_workers=1")
    return lambda *keys: program.main([*paths, *size, *keys])


def test_mindir_is_loaded_again_and_compared_on_images_of_the_data(
    exported: Export, tiny_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert exported(f"--eval_path={tiny_data}/val") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"hlg.mindir", "hlg.mindir.json"}
    facts = json.loads((tmp_path / "hlg.mindir.json").read_text())
    assert facts["compared"].pop("relative_error") < 1e-6
    assert facts["compared"] == {"images": 16, "of": f"images of {tiny_data}/val"}
    assert (facts["input"]["shape"], facts["checkpoint"]["naming"]) == ([4, 3, 112, 112], "hlg-repro")
    assert facts["classes"] == list(CLASSES)
    assert "relative error" in capfd.readouterr().out


def test_onnx_gives_the_networks_logits_of_any_number_of_images(exported: Export, tmp_path: Path, network: HLG) -> None:
    assert exported("--file_format=ONNX") == 0
    facts = json.loads((tmp_path / "hlg.onnx.json").read_text())
    assert facts["compared"]["relative_error"] < 1e-4
    assert (facts["input"]["shape"], facts["output"]["shape"]) == (["batch", 3, 112, 112], ["batch", 7])
    assert (facts["names"], facts["opset"]) == ({"input": "images", "output": "logits"}, 11)
    (told,) = onnx.load(tmp_path / "hlg.onnx").metadata_props
    assert (told.key, json.loads(told.value)) == (store.CLASSES, list(CLASSES))
    for file in tmp_path.glob("hlg.*"):
        assert file.stat().st_mode == (tmp_path / "hlg.onnx.json").stat().st_mode, file


def test_without_a_data_set_the_images_to_compare_on_are_drawn() -> None:
    batches, source = export.comparison_images(Config(train_image_size=112, batch_size=4, eval_num_workers=1))
    assert (source, batches[0].shape) == ("drawn images", (4, 3, 112, 112))


def test_a_graph_that_depends_on_its_batch_otherwise_than_by_its_size_is_refused() -> None:
    def graph(sizes: tuple[int, ...]) -> onnx.ModelProto:
        target = onnx.numpy_helper.from_array(np.array(sizes, np.int64), "target")
        node = onnx.helper.make_node("Reshape", ["x", "target"], ["y"])
        values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None]) for name in "xy"]
        return onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:], [target]))

    with pytest.raises(ValueError, match=r"target reshapes to \[2, 2\] and \[3, 3\]"):
        onnx_graph.free_batch(graph((2, 2)), graph((3, 3)))


def test_safetensors_are_read_back_bit_for_bit(exported: Export, weights: Path, tmp_path: Path) -> None:
    assert exported("--file_format=SAFETENSORS") == 0
    assert json.loads((tmp_path / "hlg.safetensors.json").read_text())["compared"]["relative_error"] == 0
    other = HLG(7, 112, STAGES)
    report = load_weights(tmp_path / "hlg.safetensors", other)
    assert (report.naming, report.classes.told) == ("hlg-repro", CLASSES)
    for name, saved in store.read_checkpoint(weights).arrays.items():
        np.testing.assert_array_equal(other.parameters_dict()[name].asnumpy(), saved, err_msg=name)


def test_logits_that_are_not_the_networks_are_an_error_and_nothing_is_left(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hlg.mindir").write_bytes(b"an earlier one")
    ones = np.ones((16, 7), np.float32)
    monkeypatch.setattr(export, "run_exported_file", lambda config, path, batches: ones)
    assert exported() == 2
    assert "hlg.mindir: not written, because its logits are not the network's: relative error" in capfd.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"hlg.mindir": b"an earlier one"}


def test_a_logit_that_is_not_finite_is_never_close() -> None:
    good = np.ones((2, 3), np.float32)
    assert not export.relative_error(good * np.nan, good) <= 1
    assert not export.relative_error(good[:1], good) <= 1
    assert export.relative_error(good * 1.5, good) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "form", "file"),
    [("hlg.mindir", "ONNX", "hlg.onnx"), ("out/hlg.v2", "MINDIR", "out/hlg.v2.mindir"), ("a.onnx", "ONNX", "a.onnx")],
)
def test_the_suffix_of_the_file_follows_its_format(name: str, form: str, file: str) -> None:
    assert export.exported_file(Config(file_name=name, file_format=form)) == Path(file)


def test_onnx_needs_its_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(program, "find_spec", lambda name: None)
    assert program.main(["--file_format=ONNX", "--pretrained=nowhere.ckpt"]) == 2
    assert "pip install onnx onnxruntime" in capsys.readouterr().err


def test_an_unreadable_file_is_an_error_of_the_fresh_process(tmp_path: Path) -> None:
    (tmp_path / "hlg.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="not written, because a fresh process can't load or run it"):
        export.run_exported_file(Config(), tmp_path / "hlg.onnx", np.zeros((1, 1, 3, 112, 112), np.float32))

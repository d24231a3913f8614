"""A network leaves as a file that another process loads, and that computes what the network computes."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from mindspore import Tensor

from hlg import export as program
from hlg.checkpoint import store
from hlg.checkpoint.weights import load_weights
from hlg.config import Config
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.errors import UserError
from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.inference import export
from hlg.model.network import HLG
from tests.hlg.checkpoint.test_store import STATE
from tests.support.narrow import STAGES
from tests.support.processes import Done, run_module


@pytest.fixture(scope="module")
def network() -> HLG:
    network = HLG(7, 112, STAGES)
    set_synthetic_weights(network)
    network.set_train(False)
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, network: HLG) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    make_tiny(folder / "data", TinyRequest(classes=2, train=1, val=12))
    return store.save_checkpoint(folder / "hlg.ckpt", network.get_parameters(), STATE)


def exported(weights: Path, out: Path, *keys: str) -> Done:
    paths = (f"--pretrained={weights}", f"--file_name={out}/hlg.mindir")
    options = ("--class_num=7", "--train_image_size=112", "--batch_size=4", "--eval_num_workers=2", *keys)
    return run_module("tests.support.narrow", "hlg.export", *paths, *options)


def test_mindir_is_loaded_again_and_compared_on_images_of_the_data(weights: Path, tmp_path: Path) -> None:
    done = exported(weights, tmp_path, f"--eval_path={weights.parent}/data/val")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"hlg.mindir", "hlg.mindir.json"}
    facts = json.loads((tmp_path / "hlg.mindir.json").read_text())
    assert facts["compared"]["of"] == f"images of {weights.parent}/data/val"
    assert facts["compared"]["images"] == 16
    assert facts["compared"]["relative_error"] < 1e-6
    assert facts["input"]["shape"] == [4, 3, 112, 112]
    assert facts["checkpoint"]["naming"] == "hlg-repro"
    assert "relative error" in done.stdout


def test_onnx_gives_the_logits_of_the_network_in_onnxruntime(weights: Path, tmp_path: Path, network: HLG) -> None:
    done = exported(weights, tmp_path, "--file_format=ONNX")
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession(tmp_path / "hlg.onnx", providers=["CPUExecutionProvider"])
    config = Config(class_num=7, train_image_size=112, batch_size=4, eval_num_workers=1)
    (first, *_), source = export.comparison_images(config)
    assert source == "drawn images"
    found = session.run(None, {session.get_inputs()[0].name: first})[0]
    np.testing.assert_allclose(found, network(Tensor(first)).asnumpy(), rtol=1e-4, atol=1e-4)
    assert json.loads((tmp_path / "hlg.onnx.json").read_text())["compared"]["relative_error"] < 1e-4


def test_safetensors_are_read_back_bit_for_bit(weights: Path, tmp_path: Path, network: HLG) -> None:
    done = exported(weights, tmp_path, "--file_format=SAFETENSORS")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "hlg.safetensors.json").read_text())["compared"]["relative_error"] == 0
    other = HLG(7, 112, STAGES)
    report = load_weights(tmp_path / "hlg.safetensors", other)
    assert report.naming == "hlg-repro"
    for p, q in zip(network.get_parameters(), other.get_parameters(), strict=True):
        np.testing.assert_array_equal(p.asnumpy(), q.asnumpy(), err_msg=p.name)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 100])
def test_a_damaged_file_of_safetensors_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.safetensors: damaged"):
        store.read_checkpoint(tmp_path / "x.safetensors")


def test_logits_that_are_not_the_networks_are_an_error_and_nothing_is_left(
    weights: Path, tmp_path: Path, network: HLG, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hlg.mindir").write_bytes(b"an earlier one")
    monkeypatch.setattr(export.device, "start", lambda config: None)  # this process has started
    monkeypatch.setattr(export, "build_network", lambda *_: network)
    monkeypatch.setattr(
        export, "run_exported_file", lambda _, path, batches: [np.ones((4, 7), np.float32) for _ in batches]
    )
    keys = [f"--pretrained={weights}", f"--file_name={tmp_path}/hlg.mindir", "--class_num=7", "--train_image_size=112"]
    assert program.main([*keys, "--batch_size=4", "--eval_num_workers=1"]) == 2
    assert "hlg.mindir: not written, for its logits are not the network's: relative error" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"hlg.mindir": b"an earlier one"}


def test_a_logit_that_is_not_finite_is_never_close() -> None:
    good = [np.ones((2, 3), np.float32)]
    assert not export.relative_error([good[0] * np.nan], good) <= 1
    assert not export.relative_error([good[0][:1]], good) <= 1
    assert export.relative_error([good[0] * 1.5], good) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "form", "file"),
    [
        ("hlg_mobile.mindir", "MINDIR", "hlg_mobile.mindir"),
        ("hlg_mobile.mindir", "ONNX", "hlg_mobile.onnx"),
        ("out/hlg.v2", "MINDIR", "out/hlg.v2.mindir"),
        ("hlg", "SAFETENSORS", "hlg.safetensors"),
    ],
)
def test_the_ending_of_the_file_follows_its_format(name: str, form: str, file: str) -> None:
    assert export.exported_file(Config(file_name=name, file_format=form)) == Path(file)


def test_onnx_needs_onnxruntime_and_says_so_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "find_spec", lambda name: None)
    assert program.main(["--file_format=ONNX", "--pretrained=nowhere.ckpt"]) == 2
    assert "pip install onnxruntime" in capsys.readouterr().err


def test_an_unreadable_file_is_an_error_of_the_fresh_process(tmp_path: Path) -> None:
    (tmp_path / "hlg.mindir").write_bytes(b"no graph")
    with pytest.raises(UserError, match="not written, for a fresh process can't load or run it"):
        export.run_exported_file(Config(), tmp_path / "hlg.mindir", [np.zeros((1, 3, 112, 112), np.float32)])

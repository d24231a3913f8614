"""Several ranks on this machine's CPU, with real collectives."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from hlg.checkpoint import store
from hlg.config import load
from hlg.data.class_names import find_class_list
from hlg.data.index import scan
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.launch.placement import free_port
from hlg.model.network import HLG
from hlg.runtime.device import Device
from hlg.training.build import build_eval_loader
from hlg.training.confusion import Confusion
from hlg.training.evaluate import evaluate
from hlg.training.step import EvalStep
from tests.hlg.checkpoint.test_store import STATE
from tests.support import ROOT
from tests.support.narrow import ranks
from tests.support.narrow.network import STAGES, narrowed
from tests.support.processes import run_command, run_module
from tests.support.small_runs import small_options

Computed = list[dict[str, np.ndarray]]  # by rank


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Computed]:
    """By number of ranks, what each of them computed; two are started by two launchers, as on two machines."""
    out = tmp_path_factory.mktemp("ranks")
    start = ["hlg.launch", "--ranks=2", "--nodes=2", f"--master=127.0.0.1:{free_port()}", f"--logs={out}/logs"]
    commands = [[*start, f"--node_rank={node}", "tests.support.narrow.ranks", str(out)] for node in (0, 1)]
    started = [subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT) for command in commands]
    with narrowed():
        alone = ranks.work(Device("CPU", "x86_64"), steps=1, mode=ms.PYNATIVE_MODE)
        ms.set_context(mode=ms.GRAPH_MODE)
    assert [process.wait(240) for process in started] == [0, 0]
    return {1: [alone], 2: [dict(np.load(out / f"rank_{rank}.npz")) for rank in (0, 1)]}


def test_two_ranks_keep_bit_identical_parameters(computed: dict[int, Computed]) -> None:
    first, second = computed[2]
    assert first.keys() == second.keys()
    names = [name for name in first if name.startswith("parameter ")]
    assert len(names) > 60
    assert any("moving" in name for name in names)
    for name in names:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_the_gradients_of_two_ranks_are_those_of_one_process_on_the_same_images(computed: dict[int, Computed]) -> None:
    (alone,), (together, _) = computed[1], computed[2]
    names = [name for name in alone if name.startswith("gradient ")]
    largest = max(np.abs(alone[name]).max() for name in names)
    assert largest > 1e-3
    for name in names:
        np.testing.assert_allclose(together[name], alone[name], rtol=0, atol=1e-6 * largest, err_msg=name)
    np.testing.assert_allclose(together["loss"], alone["loss"], rtol=1e-6)


def test_the_loss_and_the_moving_statistics_are_the_mean_over_the_ranks(computed: dict[int, Computed]) -> None:
    (alone,), (together, other) = computed[1], computed[2]
    for i in range(ranks.STEPS):
        assert together[f"loss {i}"] == other[f"loss {i}"]
    # The mean over equal shards of the mean of a shard is the mean of all; the variance is not.
    means = [name for name in alone if name.startswith("moving ") and name.endswith("moving_mean")]
    first = next(name for name in means if "embeds.0.0" in name)  # the only one that no other batch norm comes before
    assert np.abs(alone[first]).max() > 1e-3
    np.testing.assert_allclose(together[first], alone[first], rtol=1e-4, atol=1e-7)


def test_a_request_to_stop_reaches_every_rank(computed: dict[int, Computed]) -> None:
    assert [found["stop"] for found in computed[2]] == [1, 1]  # rank 1 asked


def test_counts_add_up_exactly(computed: dict[int, Computed]) -> None:
    assert [found["counts"].tolist() for found in computed[2]] == 2 * [[3, 2 * (2**24 + 1), 2 * 10**11]]


def test_an_evaluation_of_an_odd_number_of_images_is_exact_on_two_ranks(tmp_path: Path, graph_mode: None) -> None:
    make_tiny(tmp_path / "data", TinyRequest(classes=3, train=1, val=9))
    images = sorted((tmp_path / "data/val").glob("*/*"))
    for image in images[:3]:
        image.unlink()
    images[20].write_bytes(images[20].read_bytes()[:100])  # one rank meets it, all must count it
    network = HLG(3, 112, STAGES)
    set_synthetic_weights(network)
    checkpoint = store.save_checkpoint(tmp_path / "hlg.ckpt", network.get_parameters(), STATE, None)
    own = {"pretrained": checkpoint, "on_unreadable": "skip", "context_mode": 1}
    keys = small_options(tmp_path / "data", tmp_path / "runs", **own)
    program = ("tests.support.narrow", "hlg.eval")
    done = run_module("hlg.launch", "--ranks=2", f"--logs={tmp_path}/logs", *program, *keys, code=0)
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "env.json").read_text())["device"]["count"] == 2
    scores = json.loads((run / "eval.json").read_text())
    assert (scores["images"], scores["skipped_images"], scores["correct_top5"]) == (23, 1, 23)  # three classes
    assert scores["classes_compared"] == "unknown"
    assert f"warning: the checkpoint {checkpoint} names no classes, so its outputs are taken for" in done.stdout

    config, _ = load(keys)
    index = scan(config.eval_path, 3)
    alone = Confusion(index.classes, 3)
    ms.set_context(mode=ms.PYNATIVE_MODE)
    evaluate(EvalStep(network), build_eval_loader(config, index), confusion=alone)
    facts = alone.facts(find_class_list("", index.root).by_folder())
    assert {key: scores[key] for key in facts} == facts


def test_the_ranks_of_msrun_train_as_well(tiny_data: Path, tmp_path: Path) -> None:
    program = ROOT / "tests/support/narrow/train.py"  # msrun starts a file, not a module
    msrun = shutil.which("msrun", path=str(Path(sys.executable).parent))
    assert msrun
    keys = small_options(tiny_data, tmp_path / "runs", max_epoch=1, run_distribute=1, context_mode=1)
    start = ["--worker_num=2", "--local_worker_num=2", f"--master_port={free_port()}", "--join=True"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PYTHONPATH": str(ROOT), "PATH": path}
    run_command(msrun, *start, f"--log_dir={tmp_path}/logs", program, *keys, env=environment, code=0)
    run = (tmp_path / "runs/latest_default").resolve()
    assert "_cpux2_" in run.name
    assert (run / "SHA256SUMS").exists()

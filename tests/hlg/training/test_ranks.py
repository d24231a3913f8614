"""Several ranks on this machine's CPU, with real collectives."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.launch.placement import free_port
from tests.support import ROOT
from tests.support.narrow import ranks
from tests.support.processes import Done, run_command, run_module


def launch(count: int, *command: str, **options: Any) -> Done:
    return run_module("hlg.launch", f"--ranks={count}", *command, **options)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, np.ndarray]]]:
    """By number of ranks, what each of them computed."""
    found = {}
    for count in (1, 2):
        out = tmp_path_factory.mktemp(f"ranks{count}")
        done = launch(count, f"--logs={out}", "tests.support.narrow.ranks", str(out))
        assert done.returncode == 0, done.stderr
        found[count] = [dict(np.load(out / f"rank_{rank}.npz")) for rank in range(count)]
    return found


def test_two_ranks_keep_bit_identical_parameters(computed: dict[int, list[dict[str, np.ndarray]]]) -> None:
    first, second = computed[2]
    assert first.keys() == second.keys()
    names = [name for name in first if name.startswith("parameter ")]
    assert len(names) > 60
    assert any("moving" in name for name in names)
    for name in names:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_two_launchers_as_of_two_machines_compute_what_one_does(
    computed: dict[int, list[dict[str, np.ndarray]]], tmp_path: Path
) -> None:
    start = [sys.executable, "-m", "hlg.launch", "--ranks=2", "--nodes=2", f"--master=127.0.0.1:{free_port()}"]
    program = [f"--logs={tmp_path}/logs", "tests.support.narrow.ranks", str(tmp_path)]
    machines = [subprocess.Popen([*start, f"--node_rank={node}", *program], cwd=ROOT) for node in (0, 1)]
    assert [machine.wait(240) for machine in machines] == [0, 0]
    for rank, expected in enumerate(computed[2]):
        found = np.load(tmp_path / f"rank_{rank}.npz")
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_the_gradients_of_two_ranks_are_those_of_one_process_on_the_same_images(
    computed: dict[int, list[dict[str, np.ndarray]]],
) -> None:
    (alone,), (together, _) = computed[1], computed[2]
    names = [name for name in alone if name.startswith("gradient ")]
    largest = max(np.abs(alone[name]).max() for name in names)
    assert largest > 1e-3
    for name in names:
        np.testing.assert_allclose(together[name], alone[name], rtol=0, atol=1e-6 * largest, err_msg=name)
    np.testing.assert_allclose(together["loss"], alone["loss"], rtol=1e-6)


def test_the_loss_and_the_moving_statistics_are_the_mean_over_the_ranks(
    computed: dict[int, list[dict[str, np.ndarray]]],
) -> None:
    (alone,), (together, other) = computed[1], computed[2]
    for i in range(ranks.STEPS):
        assert together[f"loss {i}"] == other[f"loss {i}"]
    # The mean over equal shards of the mean of a shard is the mean of all; the variance is not.
    means = [name for name in alone if name.startswith("moving ") and name.endswith("moving_mean")]
    first = next(name for name in means if "embeds.0.0" in name)  # the only one that no other batch norm comes before
    assert np.abs(alone[first]).max() > 1e-3
    np.testing.assert_allclose(together[first], alone[first], rtol=1e-4, atol=1e-7)


def test_a_wish_to_stop_reaches_every_rank(computed: dict[int, list[dict[str, np.ndarray]]]) -> None:
    assert [found["stop"] for found in computed[2]] == [1, 1]  # rank 1 asked


def test_counts_add_up_exactly(computed: dict[int, list[dict[str, np.ndarray]]]) -> None:
    for found in computed[2]:
        assert found["counts"].tolist() == [3, 2 * (2**24 + 1), 2 * 10**11]


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, float]]:
    """eval.json of the same checkpoint on 23 images, by number of ranks."""
    folder = tmp_path_factory.mktemp("evaluations")
    make_tiny(folder / "data", TinyRequest(classes=3, train=2, val=9))
    images = sorted((folder / "data/val").glob("*/*"))
    for image in images[:3]:
        image.unlink()
    images[20].write_bytes(images[20].read_bytes()[:100])  # one rank meets it, all must count it
    data = ["--class_num=3", f"--dataset_path={folder}/data/train", f"--eval_path={folder}/data/val"]
    data += ["--train_image_size=112", "--eval_image_size=112", "--eval_batch_size=4", "--warmup_epochs=0"]
    data += ["--on_unreadable=skip"]
    done = launch(
        1,
        f"--logs={folder}",
        "tests.support.narrow.train",
        *data,
        "--max_epoch=1",
        "--batch_size=2",
        f"--save_checkpoint_path={folder}/runs",
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for count in (1, 2, 3):
        runs = folder / f"runs{count}"
        checkpoint = folder / "runs/latest_default"
        options = [*data, f"--pretrained={checkpoint}", f"--save_checkpoint_path={runs}"]
        done = launch(count, f"--logs={folder}", "tests.support.narrow.eval", *options)
        assert done.returncode == 0, done.stderr
        (run,) = (path for path in runs.iterdir() if path.is_dir())
        assert json.loads((run / "env.json").read_text())["device"]["count"] == count
        found[count] = json.loads((run / "eval.json").read_text())
    return found


def test_an_evaluation_of_an_odd_number_of_images_is_exact_on_one_two_and_three_ranks(
    evaluations: dict[int, dict[str, float]],
) -> None:
    assert evaluations[1]["images"] == 23
    assert evaluations[1]["skipped_images"] == 1
    assert evaluations[1]["correct_top5"] == 23  # three classes
    assert evaluations[1] == evaluations[2] == evaluations[3]


def test_the_ranks_of_msrun_train_as_well(tmp_path: Path) -> None:
    make_tiny(tmp_path / "data", TinyRequest(classes=3, train=4, val=1))
    program = tmp_path / "program.py"  # msrun starts a file, not a module
    program.write_text(
        "import sys\nfrom hlg import train\nfrom tests.support.narrow import narrow\nnarrow()\nsys.exit(train.main())\n"
    )
    msrun = shutil.which("msrun", path=str(Path(sys.executable).parent))
    assert msrun
    options = ["--run_distribute=1", "--class_num=3", "--train_image_size=112", "--eval_image_size=112"]
    options += ["--batch_size=2", "--max_epoch=1", "--warmup_epochs=0", f"--dataset_path={tmp_path}/data/train"]
    options += [f"--eval_path={tmp_path}/data/val", f"--save_checkpoint_path={tmp_path}/runs"]
    start = [
        "--worker_num=2",
        "--local_worker_num=2",
        f"--master_port={free_port()}",
        "--join=True",
        f"--log_dir={tmp_path}/l",
    ]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = run_command(msrun, *start, program, *options, env={"PYTHONPATH": str(ROOT), "PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    run = (tmp_path / "runs/latest_default").resolve()
    assert "_cpux2_" in run.name
    assert (run / "SHA256SUMS").exists()

"""The programs as people run them: real processes on a real, very small data set.

Those that train take the narrow network, which compiles in seconds; ``make tiny`` takes the whole one.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from hlg.checkpoint import store
from hlg.data.class_names import read_class_names
from hlg.data.tiny.make import TinyRequest, make_tiny
from tests.support import ROOT
from tests.support.processes import Done, run_module

SMALL = {
    "class_num": 3,
    "train_image_size": 112,
    "eval_image_size": 112,
    "batch_size": 4,
    "eval_batch_size": 4,
    "max_epoch": 2,
    "warmup_epochs": 0,
    "log_interval": 1,
    "save_checkpoint_epochs": 1,
    "eval_num_workers": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "tiny"
    make_tiny(out, TinyRequest(classes=3, train=3, val=3))
    return out


def _options(data: Path, runs: Path, **keys: object) -> list[str]:
    paths = {"dataset_path": data / "train", "eval_path": data / "val", "save_checkpoint_path": runs}
    return [f"--{key}={value}" for key, value in {**SMALL, **paths, **keys}.items()]


def _run(program: str, data: Path, runs: Path, **keys: object) -> Done:
    return run_module(program, *_options(data, runs, **keys))


def _folders(runs: Path) -> list[Path]:
    return sorted(path for path in runs.iterdir() if not path.is_symlink())


def _events(folder: Path, kind: str) -> list[dict[str, object]]:
    events = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [event for event in events if event["event"] == kind]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a finished training, and of another with the same seed and another number of workers."""
    runs = tmp_path_factory.mktemp("runs")
    for workers in (2, 1):
        done = _run("tests.support.narrow.train", data, runs, train_num_workers=workers)
        assert done.returncode == 0, done.stderr
    return runs


def test_the_same_seed_gives_the_same_losses_and_weights_whatever_the_number_of_workers(trained: Path) -> None:
    first, second = _folders(trained)
    losses = [[event["loss"] for event in _events(folder, "step")] for folder in (first, second)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4
    weights = [ms.load_checkpoint(str(folder / "checkpoints/hlg_mobile-0002.ckpt")) for folder in (first, second)]
    assert weights[0].keys() == weights[1].keys()
    for name, parameter in weights[0].items():
        np.testing.assert_array_equal(parameter.asnumpy(), weights[1][name].asnumpy(), err_msg=name)


def test_a_finished_run_is_sealed_and_complete_and_the_schedule_advances(trained: Path) -> None:
    folder = _folders(trained)[0]
    assert {path.name for path in folder.iterdir()} == {
        "config.yml",
        "env.json",
        "train.log",
        "metrics.jsonl",
        "checkpoints",
        "SHA256SUMS",
    }
    rates = [event["lr"] for event in _events(folder, "step")]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0  # cosine, as published
    environment = json.loads((folder / "env.json").read_text())
    assert environment["dataset"]["train"]["images"] == 9
    assert environment["dataset"]["train"]["hash"].startswith("content:sha256:")
    assert environment["variables"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert (trained / "latest_default").resolve() == _folders(trained)[1].resolve()


def test_evaluating_the_checkpoint_gives_the_accuracy_that_training_logged(data: Path, trained: Path) -> None:
    folder = _folders(trained)[1]
    runs = trained.parent / "evaluations"
    done = _run("tests.support.narrow.eval", data, runs, pretrained=folder)
    assert done.returncode == 0, done.stderr
    (evaluation,) = _folders(runs)
    scores = json.loads((evaluation / "eval.json").read_text())
    last = _events(folder, "end")[0]
    assert (scores["top1_pct"], scores["top5_pct"]) == (last["last_top1_pct"], last["last_top5_pct"])
    assert scores["images"] == 9
    assert (evaluation / "eval.log").read_text().startswith("accuracy=0.")
    environment = json.loads((evaluation / "env.json").read_text())
    assert environment["checkpoint"]["sha256"]
    assert environment["checkpoint"]["naming"] == "hlg-repro"
    assert environment["checkpoint"]["used"]["head.bias"] == "head.bias"


def test_an_evaluation_counts_every_class_and_says_what_is_taken_for_what(data: Path, trained: Path) -> None:
    (evaluation,) = _folders(trained.parent / "evaluations")
    scores = json.loads((evaluation / "eval.json").read_text())
    assert [row["class"] for row in scores["classes"]] == sorted(path.name for path in (data / "val").iterdir())
    assert [row["name"] for row in scores["classes"]] == list(read_class_names(data / "manifest.json").values())
    assert [row["images"] for row in scores["classes"]] == [3, 3, 3]
    assert sum(row["correct_top1"] for row in scores["classes"]) == scores["correct_top1"]
    assert sum(pair["images"] for pair in scores["confused"]) == 9 - scores["correct_top1"]


def _predict(data: Path, runs: Path, images: list[Path], **keys: object) -> Done:
    return run_module("tests.support.narrow", "hlg.predict", *images, *_options(data, runs, **keys))


def test_the_likeliest_classes_of_single_images_are_named(data: Path, trained: Path) -> None:
    images = sorted((data / "val").glob("*/*"))[:5]
    done = _predict(data, trained, images, pretrained=trained / "latest_default")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    assert [line for line in lines if not line.startswith(" ")] == [str(image) for image in images]
    of_first = [line.split(maxsplit=3) for line in lines[1:4]]
    shares = [float(words[0]) for words in of_first]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.02)
    assert {words[2]: words[3] for words in of_first} == read_class_names(data / "manifest.json")


def test_a_list_that_names_the_classes_does_instead_of_a_data_set(data: Path, trained: Path) -> None:
    names = trained.parent / "names.txt"
    keys = {"pretrained": trained / "latest_default", "class_names": names, "eval_path": ""}
    image = next((data / "val").glob("*/*"))
    names.write_text("n00000001 one\nn00000002 two\nn00000003 three\n")
    done = _predict(data, trained, [image], **keys)
    assert done.returncode == 0, done.stderr
    assert "n00000002  two" in done.stdout
    names.write_text(names.read_text() + "n00000004 four\n")
    done = _predict(data, trained, [image], **keys)
    assert (done.returncode, done.stdout) == (2, "")
    assert "names 4 classes, and the network has 3 outputs" in done.stderr


def test_ctrl_c_saves_and_leaves_a_readable_unsealed_folder(data: Path, tmp_path: Path) -> None:
    keys = _options(data, tmp_path, context_mode=1, max_epoch=50)
    command = [sys.executable, "-m", "tests.support.narrow.train", *keys]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 120
        for line in process.stdout:
            if "step_num[1]" in line or time.monotonic() > deadline:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr is not None
        errors = process.stderr.read()
        assert process.wait(60) == 130, errors
    (folder,) = _folders(tmp_path)
    steps = len(_events(folder, "step"))
    assert steps >= 2
    said = errors.strip().splitlines()[-1]
    assert said.startswith((f"stopped by SIGINT after {steps} steps;", "stopped by SIGINT in an evaluation"))
    assert said.endswith(f"all steps are saved. Go on with the same command and RESUME={folder} (or --resume)")
    assert store.read_state(folder / "checkpoints/last.ckpt").step == steps
    assert not (folder / "SHA256SUMS").exists()


def test_a_diverging_run_stops_with_exit_code_3_and_says_what_to_try(data: Path, tmp_path: Path) -> None:
    done = _run("tests.support.narrow.train", data, tmp_path, lr_max=1e30)
    assert done.returncode == 3, done.stderr
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("error: step ")
    assert "lower lr_max" in message
    assert not (_folders(tmp_path)[0] / "SHA256SUMS").exists()


@pytest.mark.parametrize(
    ("program", "keys", "said"),
    [
        ("hlg.train", {"batch_size": 0}, "--batch_size: found '0'; allowed: a whole number >= 1"),
        ("hlg.train", {"dataset_path": "/nowhere"}, "--dataset_path: found '/nowhere'"),
        ("hlg.train", {"eval_image_size": 224}, "eval_image_size: found 224"),
        ("hlg.train", {"batch_size": 100}, "9 training images are fewer than one step takes, 100"),
        ("hlg.train", {"device_target": "GPU"}, "device_target: found GPU"),
        ("hlg.train", {"run_distribute": 1}, "run_distribute: found 1"),
        ("hlg.train", {"pretrained": "missing.ckpt"}, "missing.ckpt"),
        ("hlg.eval", {}, "pretrained: found nothing"),
        ("hlg.eval", {"pretrained": "missing.ckpt"}, "checkpoint missing.ckpt: no such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2_and_nothing_is_written(
    program: str, keys: dict[str, object], said: str, data: Path, tmp_path: Path
) -> None:
    done = _run(program, data, tmp_path / "runs", **keys)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1


def test_an_image_that_is_unreadable_stops_the_run_by_name_or_is_skipped_and_counted(
    data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "data"
    make_tiny(broken, TinyRequest(classes=3, train=3, val=3))
    file = next((broken / "train").glob("*/*"))
    file.write_bytes(file.read_bytes()[:200])
    stopped = _run("tests.support.narrow.train", broken, tmp_path / "runs")
    assert stopped.returncode == 2
    assert file.name in stopped.stderr
    assert "on_unreadable=skip" in stopped.stderr
    done = _run("tests.support.narrow.train", broken, tmp_path / "runs", max_epoch=1, on_unreadable="skip")
    assert done.returncode == 0, done.stderr
    last = _folders(tmp_path / "runs")[-1]
    assert f"skipped, unreadable: {file.parent.name}/{file.name}" in (last / "train.log").read_text()
    assert _events(last, "end")[0]["skipped_images"] == 1


def test_help_lists_every_key_with_its_unit() -> None:
    done = run_module("hlg.train", "--help", env={"COLUMNS": "100"})
    assert "--batch_size [images]" in done.stdout
    assert "--lr_max" in done.stdout

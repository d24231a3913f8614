"""The programs as people run them: real processes on a real, very small data set.

Those that train take the narrow network, which compiles in seconds; ``make tiny`` takes the whole one.
"""

import json
import os
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hlg.checkpoint import store
from hlg.checkpoint.state import read_state
from hlg.config import Config
from hlg.data.class_names import read_class_list
from hlg.data.classes import OutputClasses, label_order
from hlg.errors import UserError
from hlg.inference.predict import name_outputs
from repro.records.run_folder import read_run
from tests.support.processes import Done, run_module
from tests.support.small_runs import events, small_options

TRAIN = "tests.support.narrow.train"


def _folders(runs: Path) -> list[Path]:
    return sorted(path for path in runs.iterdir() if not path.is_symlink())


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folders of a training that keeps its graphs, one by these graphs, and the same by graphs of its own.

    The last two have another seed and rate than the first, and other numbers of workers than each other.
    """
    runs, graphs = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("graphs")
    other = {"seed": 2, "lr_max": 0.003, "max_epoch": 2}
    for own in ({"max_epoch": 1}, other, {**other, "train_num_workers": 1, "graph_cache": ""}):
        run_module(TRAIN, *small_options(tiny_data, runs, **{"graph_cache": graphs, **own}), code=0)
    return runs


def test_a_seed_gives_the_same_bits_whatever_the_number_of_workers_and_by_kept_graphs_too(trained: Path) -> None:
    _, first, second = folders = _folders(trained)
    kinds = (("step", "loss"), ("epoch", "top1_pct"))
    numbers = [[event[key] for kind, key in kinds for event in events(folder, kind)] for folder in folders]
    assert numbers[1] == numbers[2]
    assert (len(numbers[1]), numbers[0][:2] == numbers[1][:2]) == (6, False)
    assert [events(folder, "compile")[0]["from_cache"] for folder in (first, second)] == [True, False]
    last = "checkpoints/hlg_mobile-0002.ckpt"
    assert (first / last).read_bytes() == (second / last).read_bytes()


def test_a_finished_run_is_sealed_and_complete_and_the_schedule_advances(trained: Path) -> None:
    _, first, second = _folders(trained)
    files = {"config.yml", "env.json", "train.log", "metrics.jsonl", "checkpoints", "SHA256SUMS"}
    assert {path.name for path in first.iterdir() if path.suffix != ".patch"} == files  # code that is being changed
    rates = [event["lr"] for event in events(first, "step")]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0  # cosine, as published
    environment = json.loads((first / "env.json").read_text())
    assert environment["dataset"]["train"]["images"] == 9
    assert environment["dataset"]["train"]["hash"].startswith("content:sha256:")
    assert environment["variables"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert environment["classes"] == ["n90000000", "n90000001", "n90000002"]
    assert store.read_checkpoint(first / "checkpoints/last.ckpt").classes == tuple(environment["classes"])
    assert (trained / "latest_default").resolve() == second.resolve()


@pytest.fixture(scope="module")
def evaluation(trained: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The run folder of an evaluation of the last training, and what the program printed."""
    runs = tmp_path_factory.mktemp("evaluations")
    keys = small_options(tiny_data, runs, pretrained=_folders(trained)[-1])
    done = run_module("tests.support.narrow", "hlg.eval", *keys, code=0)
    return _folders(runs)[0], done


def test_an_evaluation_gives_the_accuracy_that_training_logged(evaluation: tuple[Path, Done], trained: Path) -> None:
    folder, _ = evaluation
    scores = json.loads((folder / "eval.json").read_text())
    (last,) = events(_folders(trained)[-1], "end")
    assert (scores["top1_pct"], scores["top5_pct"]) == (last["last_top1_pct"], last["last_top5_pct"])
    assert (scores["images"], scores["classes_compared"]) == (9, "same")
    assert (folder / "eval.log").read_text().startswith("accuracy=0.")
    environment = json.loads((folder / "env.json").read_text())
    checkpoint = environment["checkpoint"]
    assert checkpoint["classes"] == label_order(environment["classes"])
    assert checkpoint["sha256"]
    assert (checkpoint["naming"], checkpoint["unused"]) == ("hlg-repro", [])
    assert checkpoint["used"]["head.bias"] == "head.bias"


def test_an_evaluation_says_which_classes_are_mistaken(evaluation: tuple[Path, Done], tiny_data: Path) -> None:
    folder, done = evaluation
    scores = json.loads((folder / "eval.json").read_text())
    names = read_class_list(tiny_data / "manifest.json").by_folder()
    assert [row["name"] for row in scores["classes"]] == list(names.values())
    pair, count = scores["confused"][0], scores["confused"][0]["images"]
    shown = (f"{folder} {names[folder]}" for folder in (pair["class"], pair["taken_for"]))
    assert f"{' mistaken for '.join(shown)}: {count} images" in done.stdout


def test_a_set_that_lacks_a_class_is_refused_and_scored_by_name_as_in_the_whole_set(
    evaluation: tuple[Path, Done], trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_data / "val", tmp_path / "val", ignore=lambda *_: ["n90000001"])
    weights = shutil.copy(trained / "latest_default/checkpoints/hlg_mobile-0002.ckpt", tmp_path)  # alone
    keys = small_options(tiny_data, tmp_path / "runs", pretrained=weights, eval_path=tmp_path / "val", context_mode=1)
    done = run_module("tests.support.narrow", "hlg.eval", *keys, code=2)
    said = f"error: {tmp_path}/val: its labels are not those of the checkpoint {weights}: label 1 is n90000002 here"
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()
    run_module("tests.support.narrow", "hlg.eval", *keys, "--class_map=name", code=0)
    (folder,) = _folders(tmp_path / "runs")
    of_some, of_all = (json.loads((run / "eval.json").read_text()) for run in (folder, evaluation[0]))
    assert of_some["classes_compared"] == "name"
    right = [[row["correct_top1"] for row in scores["classes"]] for scores in (of_some, of_all)]
    assert right[0] == [right[1][0], 0, right[1][2]]


def test_the_top_classes_of_single_images_are_named(tiny_data: Path, trained: Path) -> None:
    images = sorted((tiny_data / "val").glob("*/*"))[:5]
    names = tiny_data / "manifest.json"  # the folders are in the checkpoint
    own = {"pretrained": trained / "latest_default", "class_names": names, "eval_path": "", "context_mode": 1}
    keys = small_options(tiny_data, trained, **own)
    lines = run_module("tests.support.narrow", "hlg.predict", *images, *keys, code=0).stdout.splitlines()[1:]
    assert [line for line in lines if not line.startswith(" ")] == [str(image) for image in images]
    of_first = [line.split(maxsplit=3) for line in lines[1:4]]
    shares = [float(words[0]) for words in of_first]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.02)
    assert {words[2]: words[3] for words in of_first} == read_class_list(names).by_folder()


def test_names_that_are_no_utf_8_stop_neither_training_nor_evaluation(tiny_data: Path, tmp_path: Path) -> None:
    broken, stray = (os.fsdecode(name.encode("gbk")) for name in ("坏.JPEG", "读我.txt"))
    data = shutil.copytree(tiny_data, tmp_path / "data")
    for split in (data / "train", data / "val"):
        (min(split.iterdir()) / broken).write_text("no image")
        (split / stray).touch()
    keys = small_options(data, tmp_path / "runs", max_epoch=1, on_unreadable="skip", context_mode=1)
    of_training = f"--pretrained={tmp_path}/runs/latest_default"
    for words in ((TRAIN, *keys), ("tests.support.narrow", "hlg.eval", *keys, of_training)):
        done = run_module(*words, env={"PYTHONIOENCODING": "ascii"}, code=0)
        assert r"skipped, unreadable: n90000000/\udcbb\udcb5.JPEG" in done.stdout
        assert r"such as \udcb6\udcc1\udcce\udcd2.txt" in done.stdout
    trained, _ = map(read_run, _folders(tmp_path / "runs"))
    assert read_state(trained.folder / "checkpoints/last.ckpt").skipped == [f"n90000000/{broken}"]


NAMES = {"n00000001": "one", "n00000002": "two", "n00000003": "three"}
TOLD = OutputClasses("x.ckpt", tuple(NAMES))
UNTOLD, IMAGENETS = replace(TOLD, told=None), replace(TOLD, told=label_order(tuple(NAMES)))


@pytest.fixture
def lists(tmp_path: Path) -> Callable[..., Config]:
    """Writes a list of names, as lines, or by label alone, and gives the configuration that names it."""

    def write(names: dict[str, str], by_label: bool = False, **keys: Any) -> Config:
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.{'json' if by_label else 'txt'}"
        lines = "\n".join(map(" ".join, names.items()))
        file.write_text(json.dumps(dict(enumerate(names.values()))) if by_label else lines)
        return Config(**{"class_num": 3, "class_names": str(file), **keys})

    return write


def test_outputs_are_named_by_the_checkpoint_or_where_it_says_nothing_by_a_list(lists: Callable[..., Config]) -> None:
    for outputs in (TOLD, IMAGENETS):
        assert name_outputs(lists(NAMES), outputs) == (tuple(NAMES), NAMES, "")
    assert name_outputs(lists(NAMES, by_label=True), TOLD) == (tuple(NAMES), NAMES, "")
    classes, names, note = name_outputs(lists(NAMES), UNTOLD)
    assert (classes, names) == (tuple(NAMES), NAMES)
    assert note.startswith("warning: x.ckpt names no classes, so its outputs are taken for")
    classes, names, _ = name_outputs(lists(NAMES, by_label=True), UNTOLD)
    assert names == {"output 0": "one", "output 1": "two", "output 2": "three"}
    classes, names, note = name_outputs(Config(), UNTOLD)
    assert (classes, names, note[:7]) == ((), {}, "warning")


def test_a_list_of_other_classes_is_refused(lists: Callable[..., Config]) -> None:
    other = {"n00000001": "one", "n00000003": "three", "n00000004": "four"}
    backward = dict(reversed(NAMES.items()))
    for config, outputs, said in (
        (lists(other), IMAGENETS, "labels are not those of x.ckpt"),
        (lists(backward), UNTOLD, "not have its classes in the order of labels"),
        (lists(NAMES, class_num=2), UNTOLD, "names 3 classes, and the network has 2 outputs"),
    ):
        with pytest.raises(UserError, match=said):
            name_outputs(config, outputs)


def test_a_device_that_is_not_there_is_one_line_and_nothing_is_written(tiny_data: Path, tmp_path: Path) -> None:
    done = run_module("hlg.train", *small_options(tiny_data, tmp_path / "runs", device_target="GPU"), code=2)
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "device_target: found GPU" in said
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


ANY_FOLDERS = "--dataset_path=configs --eval_path=configs"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hlg.train --config_path={folder}/own.yml", "error: {folder}/own.yml:2: unknown key 'bach_size'; closest"),
        ("hlg.train --dataset_path=/nowhere", "error: --dataset_path: found '/nowhere'"),
        (f"hlg.train {ANY_FOLDERS} --eval_image_size=112", "error: eval_image_size: found 112"),
        (f"hlg.train {ANY_FOLDERS} --device_target=CPU --batch_size=65536", "error: batch_size: 65536 images of 224"),
        (f"hlg.train {ANY_FOLDERS} --run_distribute=1", "error: run_distribute: found 1"),
        (f"hlg.train {ANY_FOLDERS} --pretrained=missing.ckpt", "error: checkpoint missing.ckpt: no such file\n"),
        (f"hlg.eval {ANY_FOLDERS}", "error: pretrained: found nothing"),
        ("hlg.predict --pretrained=x.ckpt", "error: found no image; files come before keys"),
        ("hlg.predict cat.jpg --pretrained=docs --config_path=configs/hlg_mobile.yml", "error: checkpoint docs: no"),
        ("hlg.export --pretrained=README.md", "error: checkpoint README.md: expected a MindSpore checkpoint"),
        ("hlg.bench step --amp_level=O3 --graph_kernel=1", "error: graph_kernel: found 1 with amp_level O3"),
        ("hlg.bench step --steps=0", "error: argument --steps: found '0'"),
        ("hlg.fingerprint --batch_size=4", "error: unrecognized arguments: --batch_size=4"),
        ("hlg.fingerprint --golden=missing.npz", "error: golden file missing.npz: no such file"),
        ("hlg.launch --logs={folder}/logs hlg.train --bach_size=1", "error: --bach_size: unknown key 'bach_size'"),
        *((f"hlg.{program} --help", "--batch_size [images]") for program in ("train", "eval", "predict", "export")),
        *((f"hlg.{program} --help", "usage: python -m hlg") for program in ("bench", "fingerprint", "launch")),
    ],
)
def test_an_answer_that_needs_no_mindspore_takes_a_second(words: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mindspore.py").write_text("raise ImportError('MindSpore is imported')")
    (tmp_path / "own.yml").write_text("batch_size: 4\nbach_size: 4\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_module(*words.format(folder=tmp_path).split(), env={"PYTHONPATH": str(tmp_path), "COLUMNS": "100"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, text = (2, done.stderr) if said.startswith("error: ") else (0, done.stdout)
    assert (done.returncode, said.format(folder=tmp_path) in text) == (code, True), done.stderr
    assert "MindSpore is imported" not in done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1

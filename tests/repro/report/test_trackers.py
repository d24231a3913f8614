"""Runs for TensorBoard, MLflow and Weights & Biases, read back as these read them, where their libraries are."""

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from repro.records.schema import Run
from repro.records.seal import SEAL
from repro.records.so_far import read_so_far
from repro.report.trackers.__main__ import main
from repro.report.trackers.tracked import TrackedRun, tracked_run
from tests.support.folders import eval_run, resume, tiny_train_run
from tests.support.programs import Call

STARTED = {"started": "2026-11-23T08:00:00Z", "argv": ["train.py"], "variables": {"OMP_NUM_THREADS": "2"}}
EPOCHS = 5


def training(root: Path, **changes: Any) -> Path:
    """A training of one step an epoch."""
    config = {"batch_size": 32, "max_epoch": EPOCHS, "dataset_path": "/data/train"}
    return tiny_train_run(root, config=config, env=STARTED, start={"steps_per_epoch": 1}, loss=2.5, **changes)


def cut(folder: Path, lines: int, end: str = '{"event": "st') -> None:
    """Leave the first lines of the metrics, and half of one more, as while the run is running."""
    (folder / SEAL).unlink(missing_ok=True)
    metrics = folder / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(True)[:lines]) + end)


def tracked(folder: Path) -> TrackedRun:
    progress = read_so_far(folder)
    assert progress
    return tracked_run(progress, folder.name)


def test_a_running_run_has_the_points_of_the_finished_one_so_far(tmp_path: Path) -> None:
    folder = training(tmp_path, resumed=[resume(1)])
    whole = tracked(folder)
    points = list(whole.points())
    assert [point.step for point in points] == [step for step in range(EPOCHS) for _ in ("the step", "its epoch")]
    assert [point.time_s for point in points] == sorted(point.time_s for point in points)
    assert points[-1].values == pytest.approx(
        {"train/epoch_time_s": 466.71, "train/images_per_s": 2744.82, "val/top1_pct": 83.90625}
    )
    assert (
        whole.facts.items() >= {"run": "finished", "variables.OMP_NUM_THREADS": "2", "device.names": "x86_64"}.items()
    )
    assert not {"argv", "dataset_path"} & {*whole.facts, *whole.hyperparameters}  # say where, not what
    cut(folder, 8)  # start, compile, step, epoch, resume, step, epoch, step
    part = tracked(folder)
    assert (part.facts["run"], list(part.points())) == ("not finished", points[:5])


def test_an_epoch_may_be_cut_short(trained: Run, tmp_path: Path) -> None:
    folder = copytree(trained.folder, tmp_path / trained.folder.name)
    points = list(tracked(folder).points())
    assert len(points) == len(trained.steps.loss) + len(trained.log.epochs)
    cut(folder, 130)
    part = list(tracked(folder).points())
    assert part == points[: len(part)]
    assert len(part) % 81 > 1


def test_an_evaluation_is_one_point(tmp_path: Path) -> None:
    (point,) = tracked(eval_run(tmp_path, env=STARTED)).points()
    assert (point.step, point.values["val/time_s"], point.values["val/top1_pct"]) == (0, 95.4355, pytest.approx(75.488))


def test_what_cannot_be_exported_is_said_with_what_to_type(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = training(tmp_path / "runs"), tmp_path / "out"
    options = "--runs", folder.parent, "--out", out, "--format"
    module = "repro.report.trackers.mlflow"
    monkeypatch.setitem(sys.modules, module, None)
    said = call(main, *options, "mlflow", code=2).err
    assert "--format: found mlflow, whose library is not installed" in said
    assert "-m pip install --no-deps --require-hashes --requirement docker/trackers.lock" in said
    stand_in = type(sys)(module)
    stand_in.write = lambda run, out: out / run.name  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module, stand_in)
    said = call(main, folder, "--format", "mlflow", "--out", folder / "mlflow", code=2).err
    assert said == f"error: --out: found {folder}, a run folder, to which nothing is added; name another folder\n"
    begun, old = (folder.with_name(f"2026112{day}T080000Z_tiny") for day in (1, 2))
    begun.mkdir()
    tiny_train_run(old.parent, name=old.name)
    (folder / "train.log").write_text("changed")
    found = call(main, *options, "mlflow", code=2)
    assert f"{begun}: has only begun, nothing to export yet\n" in found.out
    assert "the seal is broken: changed train.log" in found.err
    assert f"{old}: env.json and metrics.jsonl do not tell when its steps were" in found.err
    folder.rename(tmp_path / "gone")
    assert "found no run folder" in call(main, "--runs", out.parent / "gone", *options[2:], "mlflow", code=2).err


# ------------------------------------------------------------------------------------------------- read back

Read = tuple[dict[str, list[tuple[int, float]]], dict[str, str], dict[str, str]]  # values, keys, facts


def from_tensorboard(out: Path) -> Read:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

    (folder,) = out.iterdir()
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    values = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    set_to = parse_session_start_info_plugin_data(content).hparams
    text = found.Tensors("environment")[0].tensor_proto.string_val[0].decode()
    facts = dict(line.strip("| ").split(" | ") for line in text.splitlines())
    return values, {key: str(getattr(value, value.WhichOneof("kind"))) for key, value in set_to.items()}, facts


def from_mlflow(out: Path) -> Read:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=out.as_uri())
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    values = {name: [(metric.step, metric.value) for metric in metrics] for name, metrics in history.items()}
    return values, run.data.params, run.data.tags


def from_wandb(out: Path) -> Read:
    (file,) = out.glob("*/offline-run-*/run-*.wandb")
    values: dict[str, list[tuple[int, float]]] = {}
    config: dict[str, Any] = {}
    for record in wandb_records(file):
        config |= {each.key: json.loads(each.value_json) for each in record.run.config.update}
        for item in record.history.item:
            values.setdefault(item.nested_key[0], []).append((record.history.step.num, json.loads(item.value_json)))
    facts = config.pop("environment")
    kept = {name: found for name, found in values.items() if "/" in name}
    return kept, {key: str(value) for key, value in config.items()}, facts


def wandb_records(file: Path) -> Iterator[Any]:
    """The library's own messages. Its reader is no Python, so the frame around them, LevelDB's log, is read here."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the rest of a block is empty
            at += 32768 - at % 32768
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


@pytest.mark.parametrize(
    ("name", "library", "read"),
    [
        ("tensorboard", "tensorboard", from_tensorboard),
        ("mlflow", "mlflow", from_mlflow),
        ("wandb-offline", "wandb", from_wandb),
    ],
)
def test_a_run_that_came_further_and_is_exported_again_is_there_once_and_whole(
    tmp_path: Path, call: Call, name: str, library: str, read: Any
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed; docker/trackers.lock has it")
    folder = training(tmp_path / "runs")
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}
    cut(folder, 6)
    export = lambda: call(main, "--runs", folder.parent, "--format", name, "--out", tmp_path / "out")  # noqa: E731
    assert "2 steps, not finished" in export().out
    assert len(read(tmp_path / "out")[0]["train/loss"]) == 2
    for file, content in kept.items():
        (folder / file).write_bytes(content)
    for _ in range(2):
        assert "5 steps, finished" in export().out
        values, keys, facts = read(tmp_path / "out")
        assert values["train/loss"] == [(step, 2.5) for step in range(EPOCHS)]
        top1 = [84.375, *[83.90625] * (EPOCHS - 1)]
        assert values["val/top1_pct"] == [(step, pytest.approx(value)) for step, value in enumerate(top1)]
        assert {found for found, _ in values["train/lr"]} == set(range(EPOCHS))
        assert (keys["opt"], float(keys["batch_size"]), float(keys["mixup"])) == ("adamw", 32, 0.2)
        assert (facts["packages.mindspore"], facts["run"]) == ("2.10.0", "finished")

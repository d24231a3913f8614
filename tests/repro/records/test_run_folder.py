"""Run folders: the seal is verified, the records must agree, and nothing broken passes."""

import json
import os
import shutil
from pathlib import Path

import pytest

from repro.errors import ReproError
from repro.records.run_folder import read_folders, read_run, read_runs
from repro.records.schema import DataSet, ResumeEvent
from tests.support.folders import TINY, environment, eval_run, resume, seal, tiny_eval_run, tiny_train_run, train_run


def rewrite(path: Path, old: str, new: str) -> Path:
    """Change a file and seal the folder again: the seal holds, and what it holds is wrong."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return seal(path.parent)


def test_a_training_run_is_read_whole(tmp_path: Path) -> None:
    run = read_run(tiny_train_run(tmp_path))
    assert (run.kind, run.config["batch_size"], len(run.log.epochs)) == ("train", 32, 10)
    assert (run.env.software, run.env.cpu) == ("MindSpore 2.10.0", "Intel Xeon")
    assert (run.env.device_names, run.env.device_count) == (("x86_64",), 1)
    assert run.env.datasets["train"] == DataSet(2560, 10, "content", "content:sha256:33")
    assert (run.env.parameters, run.eval_images, run.skipped_images) == (6147657, 640, 0)
    assert (run.log.best_accuracy, run.resumptions, run.changed_keys) == (0.84375, (), "")


def test_a_changed_a_missing_and_an_extra_file_are_all_named(tmp_path: Path) -> None:
    folder = tiny_train_run(tmp_path)
    (folder / "train.log").write_text("better\n")
    (folder / "env.json").unlink()
    (folder / "notes.txt").write_text("")
    with pytest.raises(ReproError, match=r"tiny_cpux1.*changed train\.log, missing env\.json, extra notes\.txt"):
        read_run(folder)


def test_a_checkpoint_may_be_absent_but_one_that_is_there_must_be_the_sealed_one(tmp_path: Path) -> None:
    folder = tiny_train_run(tmp_path)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "epoch_8.ckpt").write_text("large")
    assert read_run(seal(folder)).absent_checkpoints == 0
    (folder / "checkpoints" / "epoch_8.ckpt").write_text("other")
    with pytest.raises(ReproError, match=r"changed checkpoints/epoch_8\.ckpt"):
        read_run(folder)
    shutil.rmtree(folder / "checkpoints")
    assert read_run(folder).absent_checkpoints == 1


@pytest.mark.parametrize("target", [None, "/dev/zero", "/dev/stdin"])
@pytest.mark.parametrize("file", ["train.log", "SHA256SUMS"])
def test_a_pipe_or_a_device_in_place_of_a_file_is_named_at_once(tmp_path: Path, target: str | None, file: str) -> None:
    path = tiny_train_run(tmp_path) / file
    path.unlink()
    path.symlink_to(target) if target else os.mkfifo(path)
    with pytest.raises(ReproError, match=rf"{file}: cannot be read: a pipe or a device, expected a plain file"):
        read_run(path.parent)


def test_a_linked_folder_is_named_for_its_files_are_those_of_others(tmp_path: Path) -> None:
    folder = tiny_train_run(tmp_path)
    (folder / "checkpoints").symlink_to(tmp_path)
    with pytest.raises(ReproError, match="the seal is broken: linked folder checkpoints"):
        read_run(folder)


@pytest.mark.parametrize("line", ["", "12  config.yml", f"{'0' * 64} config.yml", f"{'0' * 64}  ../secret"])
def test_a_malformed_seal_is_an_error_with_its_line(tmp_path: Path, line: str) -> None:
    folder = tiny_train_run(tmp_path)
    (folder / "SHA256SUMS").write_text(f"{line}\n")
    with pytest.raises(ReproError, match=r"SHA256SUMS:1: found .*expected '<sha256>"):
        read_run(folder)


def test_a_sealed_folder_without_a_record_is_an_error(tmp_path: Path) -> None:
    folder = tiny_train_run(tmp_path)
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(ReproError, match=r"metrics\.jsonl: missing"):
        read_run(seal(folder))


def test_runs_come_oldest_first_and_unfinished_ones_are_listed_and_not_read(tmp_path: Path) -> None:
    train, evaluation = tiny_train_run(tmp_path), tiny_eval_run(tmp_path)
    unfinished = tiny_eval_run(tmp_path, name="20261123T100000Z_tiny_cpux1_nogit")
    (unfinished / "SHA256SUMS").unlink()
    (unfinished / "env.json").write_text("not even JSON")
    for runs, left in (read_runs(tmp_path), read_folders([unfinished, evaluation, train])):
        assert [run.folder for run in runs] == [train, evaluation]
        assert left == [unfinished]


def test_a_link_to_the_newest_run_counts_once_and_what_lies_beside_the_runs_is_passed_over(tmp_path: Path) -> None:
    folder = tiny_train_run(tmp_path)
    (tmp_path / "latest_tiny").symlink_to(folder.name)
    (tmp_path / ".scratch").mkdir()
    (tmp_path / "README.md").write_text("")
    assert [run.folder for run in read_runs(tmp_path)[0]] == [folder]
    assert [run.folder for run in read_folders([tmp_path / "latest_tiny", folder])[0]] == [folder]


def test_what_is_no_run_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    with pytest.raises(ReproError, match=r"backup: not the name of a run folder"):
        read_runs(tmp_path)
    with pytest.raises(ReproError, match=r"none: cannot be read"):
        read_runs(tmp_path / "none")
    with pytest.raises(ReproError, match=r"none: no such folder"):
        read_folders([tmp_path / "none"])


COMPILE = '{"event": "compile", "compile_time_s": 17.3}'
TARGET = (
    '{"event": "target", "target_top1_pct": 80, "epoch": 1, "top1_pct": 80, "training_time_s": 9, "wall_time_s": 9}'
)
FAR_TARGET = TARGET.replace('"epoch": 1', '"epoch": 99')
DIGITS = '{"event": "start", "eval_images": ' + "9" * 5000 + "}"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        # The log and the metrics disagree.
        ("metrics.jsonl", '"top1_pct": 83.90625', '"top1_pct": 83.91625', r"train\.log:8: accuracy"),
        ("metrics.jsonl", '"images_per_s": 2744.82', '"images_per_s": 2744.83', r"train\.log:6: fps"),
        ("metrics.jsonl", '"epoch_time_s": 466.71', '"epoch_time_s": 466.72', r"train\.log:6: epoch time"),
        ("metrics.jsonl", '"training_time_s": 143108.96', '"training_time_s": 143100.0', r"train\.log: training time"),
        ("metrics.jsonl", '"mean_images_per_s": 2739.62', '"mean_images_per_s": 2739.5', r"train\.log: mean_fps"),
        ("metrics.jsonl", '"epoch": 9, "epoch_', '"epoch": 10, "epoch_', r"train\.log: found the epochs 0 to 9 \(10\)"),
        ("train.log", "last_metric[0.84375]", "last_metric[0.9]", r"last_metric, the best accuracy: found 0\.9"),
        # A step stands there twice, or is missing.
        ("metrics.jsonl", '"step": 5', '"step": 4', r"metrics\.jsonl:13: step: found 4, expected 5: every step once"),
        # A record is malformed.
        ("metrics.jsonl", '"event": "compile"', '"event": ["step"]', r"metrics\.jsonl:2: .*found"),
        ("metrics.jsonl", '_time_s": 466.71', f'_time_s": {"9" * 400}', r"metrics\.jsonl:4: .*found"),
        ("metrics.jsonl", '{"event": "compile"', '{"event": "pause"', r"metrics\.jsonl:2: event: found 'pause'"),
        ("metrics.jsonl", '{"event": "compile"', '["event": "compile"', r"metrics\.jsonl:2: found .* one JSON object"),
        pytest.param("metrics.jsonl", COMPILE, "", r"metrics\.jsonl:2: .*found", id="an empty line"),
        pytest.param("metrics.jsonl", COMPILE, "[" * 100_000, r"metrics\.jsonl:2: .*found", id="nested too deep"),
        pytest.param("metrics.jsonl", COMPILE, DIGITS, r"metrics\.jsonl:2: .*found", id="more digits than can be read"),
        ("metrics.jsonl", '"images_per_s": 2744.82', '"images_per_s": NaN', r"metrics\.jsonl:4: .*NaN is not JSON"),
        ("metrics.jsonl", '"images_per_s": 2744.82', '"images": 1', r"metrics\.jsonl:4: images_per_s: found nothing"),
        ("metrics.jsonl", '{"event": "end"', '{"event": "compile"', r"found 0 events 'end' in a sealed run"),
        ("metrics.jsonl", COMPILE, f"{COMPILE}\n{TARGET}", r"train\.log:8: accuracy: found 0\.839\d*, but metrics"),
        ("metrics.jsonl", COMPILE, f"{COMPILE}\n{FAR_TARGET}", r"target: epoch: found 99, but the log"),
        ("env.json", '"kind": "train"', '"kind": "test"', r"env\.json: kind: found 'test', expected 'train' or 'eval'"),
        ("env.json", '"count": 1', '"count": true', r"env\.json: device: count: found True, expected a whole number"),
        ("env.json", '"missing": []', '"missing": [], "resumed": [4]', r"resumed: found 4, expected objects"),
        ("config.yml", "batch_size: 32", "batch_size: '32", r"config\.yml: not YAML"),
        ("config.yml", "batch_size: 32", "batch_size: 9999999999999999999", r"config\.yml: batch_size: expected a num"),
        ("config.yml", "batch_size: 32", "batch_size: &a 1\nb: *a", r"config\.yml:4: found an anchor, an alias or"),
        ("config.yml", "batch_size: 32", "batch_size: 1\nbatch_size: 2", r"config\.yml:5: found 'batch_size', expect"),
        ("env.json", '"cores": 2', f'"cores": {"[" * 200}{"]" * 200}', r"env\.json: found more than 50 levels"),
        ("env.json", '"parameters": 6147657', f'"parameters": {"9" * 400}', r"env\.json: parameters: found 999"),
        ("env.json", ": 2560", ": -1", r"env\.json: dataset: train: images: found -1, expected a whole"),
        ("metrics.jsonl", '_time_s": 466.71', '_time_s": -1.0', r"metrics\.jsonl:4: epoch_time_s: found -1"),
        ("metrics.jsonl", '"images_per_s": 2744.82', '"images_per_s": 1e999', r"images_per_s: found inf, expected"),
        ("train.log", "time: 466.71s", "time: -5.00s", r"train\.log:6: epoch_time_s: found -5\.0, expected a"),
    ],
)
def test_a_mistake_in_a_record_is_named(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    folder = rewrite(tiny_train_run(tmp_path) / file, old, new)
    with pytest.raises(ReproError, match=message):
        read_run(folder)


def test_an_evaluation_must_say_the_same_in_all_its_files(tmp_path: Path) -> None:
    folder = rewrite(eval_run(tmp_path) / "eval.json", '"correct_top1": 37744', '"correct_top1": 37745')
    with pytest.raises(ReproError, match=r"eval\.json: top1_pct"):
        read_run(folder)
    (folder / "eval.log").write_text("")
    with pytest.raises(ReproError, match=r"eval\.log: found no line 'accuracy=\.\.\.'"):
        read_run(seal(folder))


def test_the_number_of_ranks_must_be_that_of_the_devices_and_may_be_absent(tmp_path: Path) -> None:
    assert read_run(train_run(tmp_path / "old")).env.device_count == 8
    assert read_run(train_run(tmp_path / "new", start={"ranks": 8})).env.device_count == 8
    with pytest.raises(ReproError, match=r"metrics\.jsonl: ranks: found 2, but env\.json has the device count 8"):
        read_run(train_run(tmp_path / "wrong", start={"ranks": 2}))


def test_a_resumed_run_reads_as_one_run_and_keeps_where_it_went_on(tmp_path: Path) -> None:
    run = read_run(tiny_train_run(tmp_path, resumed=[resume(4, changed=["max_epoch 8 -> 10"])]))
    assert [epoch.epoch for epoch in run.log.epochs] == list(range(10))
    assert run.changed_keys == "max_epoch 8 -> 10"
    (found,) = run.resumptions
    assert found == ResumeEvent("2026-11-23T09:00:00Z", 4, 4, "hlg_mobile-0004.ckpt", 3, ("max_epoch 8 -> 10",), 25.1)


def test_a_run_may_be_resumed_several_times_even_at_the_same_step_and_after_the_last(tmp_path: Path) -> None:
    events = [resume(2), resume(2, repeated_steps=0), resume(7)]
    del events[0]["compile_time_s"]
    folder = tiny_train_run(tmp_path, resumed=events)
    at_the_end = json.dumps(resume(10)) + '\n{"event": "end"'
    run = read_run(rewrite(folder / "metrics.jsonl", '{"event": "end"', at_the_end))
    found = [(resumption.step, resumption.compile_time_s) for resumption in run.resumptions]
    assert found == [(2, None), (2, 25.1), (7, 25.1), (10, 25.1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 3}, r"metrics\.jsonl:11: step: found 3, expected 4: every step once"),
        ({"epoch": 3}, r"metrics\.jsonl:12: epoch: found 4, expected 3, in which the run was resumed"),
        ({"repeated_steps": -1}, r"metrics\.jsonl:11: repeated_steps: found -1, expected a whole number from 0"),
        ({"checkpoint": None}, r"metrics\.jsonl:11: checkpoint: found None, expected text"),
        ({"changed": [["seed", 1, 2]]}, r"changed: found \['seed', 1, 2\], expected texts such as 'max_epoch"),
    ],
)
def test_a_malformed_resumption_is_named_with_its_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = tiny_train_run(tmp_path, resumed=[resume(4)])
    rewrite(folder / "metrics.jsonl", json.dumps(resume(4)), json.dumps(resume(4) | change))
    with pytest.raises(ReproError, match=message):
        read_run(folder)


def test_code_software_and_machine_of_a_resumption_are_kept_if_they_differ(tmp_path: Path) -> None:
    as_before = environment("train", ["x86_64"], 1, TINY) | {"at_step": 4}
    other = as_before | {"commit": "f" * 40, "packages": {"mindspore": "2.9.0"}}
    env = {"resumed": [as_before, other, other]}
    folder = tiny_train_run(tmp_path, resumed=[resume(4), resume(6), resume(8)], env=env)
    assert read_run(folder).env.resumed_on == (
        f"commit 1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d -> {'f' * 40}",
        "packages {'mindspore': '2.10.0'} -> {'mindspore': '2.9.0'}",
    )

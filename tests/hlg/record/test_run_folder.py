"""The run folder and its journal: published lines to the character, the same facts as JSON, the seal."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from hlg import cli
from hlg.errors import DivergedError, UserError
from hlg.files import PARTIAL, follow_links
from hlg.record import run_folder
from hlg.record.journal import Journal
from hlg.record.run_folder import RunFolder


def _run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, "train", "tiny", "CPU")


def _journal(run: RunFolder, steps: int = 2, log_interval: int = 0, target_top1: float = 0.0) -> Journal:
    return Journal(run, steps, 8, log_interval, echo=lambda line: None, target_top1=target_top1)


def _events(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def _train(journal: Journal, first: int, last: int) -> None:
    """Record steps of two an epoch: losses 2, 1.75, 1.5, 1.25; accuracies 60 %, 50 %."""
    for step in range(first, last):
        journal.step(step, loss=2.0 - step / 4, lr=1e-3, overflow=step == 1, wait_s=0.5, busy_s=1.5)
        if step % 2:
            journal.epoch(step // 2, 60.0 - 10 * (step // 2), 90.0, 0.25)


def test_lines_are_the_published_ones_to_the_character() -> None:
    assert run_folder.step_line(299, 299, 2.325288) == "epoch[299], step_num[299], loss=2.325288"
    facts = {"epoch_time_s": 466.71, "steps": 1251, "loss": 2.325288, "lr": 2.7e-8, "images_per_s": 2744.82}
    assert run_folder.epoch_line(299, **facts, accuracy=0.75502, eval_time_s=7.99) == (
        "epoch[299], epoch time: 466.71s, per step time: 0.3731s, loss=2.325288, lr=0.000000, fps=2744.82, "
        "accuracy=0.755020, eval_cost=7.99"
    )
    assert run_folder.epoch_line(0, **facts).endswith("fps=2744.82")
    assert run_folder.eval_line(0.75488, 0.2441, 95.4355) == (
        "accuracy=0.754880, per step time: 0.2441s, total cost time: 95.4355s"
    )


def test_a_training_run_leaves_log_and_metrics_that_say_the_same_and_is_sealed_last(tmp_path: Path) -> None:
    with _run(tmp_path) as run:
        run.write("env.json", {"seed": 1})
        journal = _journal(run)
        _train(journal, 0, 4)
        journal.end(skipped_images=0)
        assert not (run.path / "SHA256SUMS").exists()
    log = (run.path / "train.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:INFO:", line) for line in log)
    assert log[1].endswith(
        "INFO:epoch[0], epoch time: 4.00s, per step time: 2.0000s, loss=1.750000, lr=0.001000, fps=4.00, "
        "accuracy=0.600000, eval_cost=0.25"
    )
    assert log[-2].endswith("INFO:last_metric[0.6]")  # the best, not the last, as published
    epoch = {"step_time_ms": 1500, "data_wait_ms": 500, "epoch_time_s": 4, "overflow_steps": 1}
    assert epoch.items() <= next(e for e in _events(run) if e["event"] == "epoch").items()
    assert {"best_top1_pct": 60.0, "best_epoch": 0, "last_top1_pct": 50.0}.items() <= _events(run)[-1].items()
    sums = dict(reversed(line.split("  ")) for line in (run.path / "SHA256SUMS").read_text().splitlines())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in run.path.iterdir()}
    assert sums == {name: digest for name, digest in files.items() if name != "SHA256SUMS"}


@pytest.mark.parametrize(("log_interval", "lines"), [(0, 1), (2, 3), (1, 5)])
def test_step_lines_come_once_an_epoch_or_as_often_as_asked(log_interval: int, lines: int, tmp_path: Path) -> None:
    with _run(tmp_path) as run:
        journal = _journal(run, steps=5, log_interval=log_interval)
        for step in range(5):
            journal.step(step, 1.0, 1e-3, False, 0.1, 0.1)
    assert (run.path / "train.log").read_text().count("step_num") == lines
    assert len(_events(run)) == 5


def test_the_first_evaluation_that_reaches_the_target_is_reported_once_and_one_before_a_new_target_counts(
    tmp_path: Path,
) -> None:
    with _run(tmp_path) as run:
        journal = _journal(run, target_top1=62.1875)
        for epoch, top1 in enumerate((60.0, 100 * (199 / 320), 70.0)):  # 62.18749999999999
            journal.step(2 * epoch, 1.0, 1e-3, False, 0.5, 1.5)
            journal.epoch(epoch, top1, 90.0, 0.25)
        later = _journal(run, target_top1=65.0)  # as after a resumption with another target
        later.restore([{"event": "start", "time": "2026-11-23T08:00:00Z"}, *_events(run)])
        later.step(6, 1.0, 1e-3, False, 0.5, 1.5)
        later.epoch(3, 80.0, 90.0, 0.25)
        later.target_top1 = 99.0
        later.end(skipped_images=0)
    (found,) = (event for event in _events(run) if event["event"] == "target")
    assert {"target_top1_pct": 62.1875, "epoch": 1}.items() <= found.items()
    assert 0 < found["training_time_s"] <= found["wall_time_s"]
    log = (run.path / "train.log").read_text()
    assert log.count("target_top1 62.1875 % reached in epoch 1 with 62.187 %, after ") == log.count("reached") - 1
    assert "target_top1 99 % not reached" in log


@pytest.mark.parametrize(
    ("loss", "overflow", "said"),
    [
        (float("nan"), False, r"step 2 \(epoch 1\), learning rate 0.002: the loss is nan.*lower lr_max"),
        (float("inf"), False, r"step 2 \(epoch 1\), learning rate 0.002: the loss is inf.*lower lr_max"),
        (1.0, True, r"step 3 \(epoch 1\).*all 2 steps of this epoch overflowed"),
    ],
)
def test_a_run_that_diverges_stops_and_is_unsealed(loss: float, overflow: bool, said: str, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=said), _run(tmp_path) as run:
        journal = _journal(run)
        for step in (2, 3):
            journal.step(step, loss, 2e-3, overflow, 0.1, 0.1)
    assert _events(run)[-1]["loss"] in (loss, str(loss))  # recorded before the stop, as text: JSON has no nan
    assert not (run.path / "SHA256SUMS").exists()


def test_a_run_that_goes_on_reads_as_one_and_keeps_what_was_cut_off(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), _run(tmp_path) as run:
        journal = _journal(run)
        _train(journal, 0, 3)
        at = run.positions()
        journal.step(3, loss=9.0, lr=1e-3, overflow=False, wait_s=0.5, busy_s=1.5)
        with pytest.raises(UserError, match="another process is writing this run"):
            RunFolder.reopen(run.path, "train", **at)
        raise KeyboardInterrupt
    with RunFolder.reopen(run.path, "train", **at) as again:
        assert again.cut_steps == 1
        journal = _journal(again)
        journal.restore(_events(again))
        assert journal.best == (0, 60.0, 90.0)
        journal.step(3, loss=1.0, lr=1e-3, overflow=False, wait_s=1.5, busy_s=2.5)
        journal.epoch(1, 70.0, 95.0, 0.25)
        journal.end(skipped_images=0)
    assert [event["loss"] for event in _events(run) if event["event"] == "step"] == [2.0, 1.75, 1.5, 1.0]
    last = [event for event in _events(run) if event["event"] == "epoch"][-1]
    assert last["epoch_time_s"] == 0.5 + 1.5 + 1.5 + 2.5  # of the step before the cut as well
    assert _events(run)[-1]["mean_images_per_s"] == pytest.approx((16 / 4 + 16 / 6) / 2)
    assert "loss=9.000000" not in (run.path / "train.log").read_text()
    assert "loss=9.000000" in (run.path / "train.cut-1.log").read_text()
    assert '"loss": 9.0' in (run.path / "metrics.cut-1.jsonl").read_text()
    assert "metrics.cut-1.jsonl" in (run.path / "SHA256SUMS").read_text()


def _stopped(tmp_path: Path) -> tuple[RunFolder, dict[str, int]]:
    """A run that was killed a step after its last checkpoint, and the positions that this knows."""
    with pytest.raises(KeyboardInterrupt), _run(tmp_path) as run:
        run.log("kept")
        run.event("step", loss=1.0)
        at = run.positions()
        run.log("cut")
        run.event("step", loss=2.0)
        raise KeyboardInterrupt
    return run, at


def test_what_a_killed_process_left_half_written_is_removed_and_never_sealed(tmp_path: Path) -> None:
    run, at = _stopped(tmp_path)
    (run.path / "checkpoints").mkdir()
    halves = [run.path / f"{PARTIAL}SHA256SUMS", run.path / f"checkpoints/{PARTIAL}1.ckpt"]
    for half in halves:
        half.write_text("half")
    with RunFolder.reopen(run.path, "train", **at):
        assert not any(half.exists() for half in halves)
        halves[0].write_text("of another process")
    assert PARTIAL not in (run.path / "SHA256SUMS").read_text()


@pytest.mark.parametrize("calls", [0, 1])
def test_a_kill_while_records_are_cut_loses_nothing_of_what_is_cut_off(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, at = _stopped(tmp_path)
    truncate, done = os.truncate, []

    def killed(path: Path, size: int) -> None:
        if len(done) == calls:
            raise KeyboardInterrupt
        done.append(path)
        truncate(path, size)

    monkeypatch.setattr(os, "truncate", killed)
    with pytest.raises(KeyboardInterrupt):
        RunFolder.reopen(run.path, "train", **at)
    monkeypatch.undo()
    assert RunFolder.reopen(run.path, "train", **at).cut_steps == 1
    assert "cut" in "".join(path.read_text() for path in run.path.glob("train.cut-*.log"))
    assert '"loss": 2.0' in "".join(path.read_text() for path in run.path.glob("metrics.cut-*.jsonl"))
    assert (run.path / "train.log").read_text().endswith("kept\n")


@pytest.mark.parametrize("name", ["train.log", "config.yml"])
def test_a_run_folder_that_is_removed_under_the_run_is_no_finished_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{name}: removed during the run"), _run(tmp_path) as run:
        run.write("config.yml", "seed: 1\n")
        (run.path / name).unlink()
    assert not (run.path / "SHA256SUMS").exists()


@pytest.mark.parametrize("name", ["train.log", "metrics.jsonl", "config.yml", "SHA256SUMS"])
def test_a_full_disk_names_the_file_and_the_checkpoint_to_resume_from(name: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/hlg_mobile-0001.ckpt").touch()
    (run / "checkpoints/last.ckpt").symlink_to("hlg_mobile-0001.ckpt")
    if name in ("train.log", "metrics.jsonl"):
        (run / name).symlink_to("/dev/full")  # a real device on which every write fails
    else:
        (run / name).mkdir()  # in the way of the file
    with pytest.raises(UserError) as error, RunFolder(run, "train") as folder:
        folder.log("a line")
        folder.event("step")
        folder.write("config.yml", "seed: 1\n")
    assert re.fullmatch(
        rf"{run}/{name}: can't be written \(.*\), so the run is not sealed; make room, or mend the disk, then resume "
        rf"from hlg_mobile-0001\.ckpt, which is intact: RESUME={run} \(or --resume\)",
        str(error.value),
    )
    assert not list(run.glob(f"{PARTIAL}*"))


def test_names_that_are_no_utf_8_are_recorded_and_can_be_read_back(tmp_path: Path) -> None:
    name = os.fsdecode("n1/中".encode("gbk") + b"\n.JPEG")
    with _run(tmp_path) as run:
        assert run.log(f"skipped, unreadable: {name}").endswith(r"n1/\udcd6\udcd0\n.JPEG")
        run.write("eval.json", {"中": name})
    assert json.loads((run.path / "eval.json").read_text()) == {"中": name}
    assert len((run.path / "train.log").read_text().splitlines()) == 1


def test_records_that_are_shorter_than_the_checkpoint_knows_are_refused(tmp_path: Path) -> None:
    run, at = _stopped(tmp_path)
    os.truncate(run.path / "metrics.jsonl", at["metrics_bytes"] - 5)
    with pytest.raises(UserError, match=r"metrics\.jsonl: is not what it was when the checkpoint was written"):
        RunFolder.reopen(run.path, "train", **at)


@pytest.mark.usefixtures("any_storage")
def test_a_run_folder_is_named_by_date_recipe_device_and_commit_never_reused_and_linked(tmp_path: Path) -> None:
    runs = [_run(tmp_path), _run(tmp_path)]
    assert runs[0].path != runs[1].path
    for run in runs:
        assert re.fullmatch(r"\d{8}T\d{6}Z_tiny_cpux1_([0-9a-f]{8}|nogit)(-\d)?", run.path.name)
        run_folder.link_latest(run.path, "tiny")
        assert follow_links(tmp_path / "latest_tiny").resolve() == run.path.resolve()


def test_a_folder_where_the_link_to_the_newest_run_belongs_stays_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latest_tiny").mkdir()
    run_folder.link_latest(tmp_path / "new", "tiny")
    assert (tmp_path / "latest_tiny").readlink() == Path("new")  # it was empty
    (tmp_path / "latest_own/checkpoints").mkdir(parents=True)
    run_folder.link_latest(tmp_path / "new", "own")
    assert (tmp_path / "latest_own/checkpoints").exists()
    said = capsys.readouterr().err
    assert f"warning: {tmp_path}/latest_own can't be made a link to this run" in said
    assert f"name {tmp_path}/new instead" in said


def test_a_place_where_no_folder_can_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"save_checkpoint_path .*file: can't make a run folder"):
        _run(tmp_path / "file")


def test_a_disk_that_fills_up_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def work(*_: object) -> None:
        Path("/dev/full").write_text("a line")  # a real device on which every write fails

    assert cli.run_program(work, [], need=()) == 2
    assert re.fullmatch("error: .*No space left on device.*\n", capsys.readouterr().err)

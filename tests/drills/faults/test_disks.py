"""The disk that a run writes to: full, read-only, and files on it that are damaged."""

import signal
from collections.abc import Callable
from pathlib import Path

from hlg.checkpoint import store
from hlg.files import PARTIAL
from tests.drills.faults.drill import drill
from tests.drills.faults.job import STEPS, Job, assert_same_run, kill
from tests.support.disks import remount


@drill(
    "The disk is full",
    "exit code 2 and a line that names the file and the newest intact checkpoint; make room and `RESUME`",
    "the steps since that checkpoint",
)
def test_a_full_disk_is_a_clear_error_and_the_last_good_checkpoint_is_intact(
    data: Path, tmp_path: Path, small_disk: Path, undisturbed: Path, record_property: Callable[[str, object], None]
) -> None:
    keys = {"save_checkpoint_path": small_disk, "save_checkpoint_epochs": 1, "keep_checkpoint_max": 9}
    job = Job(data, tmp_path, **keys)
    job.runs = small_disk
    assert job.start().ended() == 2, job.said
    last = job.said.strip().splitlines()[-1]
    assert last.startswith(f"error: checkpoint {job.run}/checkpoints/hlg_mobile-000")
    assert "can't be written (No space left on device)" in last
    assert "is intact, so make room and resume" in last
    folder = job.run / "checkpoints"
    assert not list(folder.glob(f"{PARTIAL}*"))
    assert store.is_good(folder / store.LAST)
    remount(small_disk, "size=100m")
    again = job.resumed()
    assert_same_run(job.run, undisturbed)
    record_property("after", f"bit-identical, {again} steps run again")


@drill(
    "The disk is read-only",
    "exit code 2 and a line that names the folder, before anything is trained",
    "nothing",
)
def test_a_read_only_disk_is_a_clear_error(data: Path, tmp_path: Path, small_disk: Path) -> None:
    remount(small_disk, "ro")
    job = Job(data, tmp_path, save_checkpoint_path=small_disk / "runs").start()
    assert job.ended() == 2, job.said
    last = job.said.strip().splitlines()[-1]
    assert last.startswith(f"error: save_checkpoint_path {small_disk}/runs: can't make a run folder here (Read-only")


@drill(
    "The last checkpoint is truncated or altered",
    "refused by name, and the newest good one is offered: `RESUME=<run>/checkpoints/<that one>`",
    "the steps since that one",
)
def test_an_altered_checkpoint_is_refused_and_the_one_that_is_offered_goes_on(
    data: Path, tmp_path: Path, undisturbed: Path, record_property: Callable[[str, object], None]
) -> None:
    job = Job(data, tmp_path, save_checkpoint_epochs=1).start()
    job.wait_for_step(STEPS + 3)
    kill(job.process.pid, signal.SIGTERM)
    assert job.ended() == 75
    last = (job.run / "checkpoints/last.ckpt").resolve()
    content = last.read_bytes()
    last.write_bytes(content[:-1])
    assert job.start(resume=job.run).ended() == 2
    offered = job.run / "checkpoints/hlg_mobile-0001.ckpt"
    assert f"checkpoint {last}: altered or truncated" in job.said
    assert f"the newest good one is {offered}" in job.said
    assert job.start(resume=offered).ended() == 0, job.said
    assert_same_run(job.run, undisturbed)
    record_property("after", "bit-identical, the steps since then run again")


def test_a_finished_run_keeps_its_last_two_checkpoints_and_its_best(undisturbed: Path) -> None:
    folder = undisturbed / "checkpoints"
    best = store.read_state(folder / store.LAST).best_epoch  # when it was written, before its own evaluation
    assert best is not None
    kept = {path.name for path in folder.glob("hlg_mobile-*.ckpt")}
    assert kept == {"hlg_mobile-0002.ckpt", "hlg_mobile-0003.ckpt", (folder / store.BEST).resolve().name}
    assert {path.stem for path in folder.glob("*.json")} == {Path(name).stem for name in kept}

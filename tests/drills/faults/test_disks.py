"""Drills on the disk that a run writes to: full, read-only, or with damaged files on it."""

import shutil
import signal
from pathlib import Path

from hlg.checkpoint import store
from repro.records.run_folder import read_folders
from tests.drills.faults.drill import drill
from tests.drills.faults.job import STEPS, NewJob, Recovers
from tests.support.disks import remount


@drill(
    "The disk is full",
    "exit code 2 and a line that names the file and the newest intact checkpoint; make room and `RESUME`",
    "the steps since that checkpoint",
)
def test_a_full_disk_leaves_the_last_checkpoint_intact(new_job: NewJob, small_disk: Path, recovers: Recovers) -> None:
    job = new_job(save_checkpoint_path=small_disk, save_checkpoint_epochs=1, keep_checkpoint_max=9).start()
    last = job.ends_with(2).splitlines()[-1]
    assert last.startswith(f"error: checkpoint {job.run}/checkpoints/hlg_mobile-000")
    assert "can't be written (No space left on device)" in last
    assert "is intact, so make room and resume" in last
    folder = job.run / "checkpoints"
    assert not list(folder.glob(f"{store.PARTIAL}*"))
    assert store.is_good(folder / store.LAST)
    remount(small_disk, "size=100m")
    recovers(job)


@drill("The disk is read-only", "exit code 2 and a line that names the folder, before anything is trained", "nothing")
def test_a_read_only_disk_is_a_clear_error(new_job: NewJob, small_disk: Path) -> None:
    remount(small_disk, "ro")
    last = new_job(save_checkpoint_path=small_disk / "runs").start().ends_with(2).splitlines()[-1]
    assert last.startswith(f"error: save_checkpoint_path {small_disk}/runs: can't make a run folder here (Read-only")


@drill(
    "The run folder is removed in mid-run",
    "exit code 2 and a line that names what can't be written; nothing is made anew",
    "the run",
)
def test_a_run_whose_folder_is_removed_ends_and_makes_none(new_job: NewJob) -> None:
    job = new_job().start().until(6)
    shutil.rmtree(run := job.run)
    last = job.ends_with(2).splitlines()[-1]
    assert last.startswith(f"error: checkpoint {run}/checkpoints/hlg_mobile-0001.ckpt: can't be written (No such file")
    assert not run.exists()


@drill(
    "The storage has no symbolic links, locks or permissions, and flushes no folder (SMB, CIFS, Lustre, FUSE)",
    "small files that name their target replace the links; each lack is reported once; the run is not affected",
    "nothing; a power cut may cost the newest checkpoint",
)
def test_a_run_works_on_storage_that_lacks_what_posix_promises(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(program="tests.drills.faults.planted less_than_posix", save_checkpoint_steps=4).start().until(6)
    said = job.stopped(signal.SIGKILL, -signal.SIGKILL)
    for lack in ("no symbolic links", "can't flush folders", "no locks"):
        assert said.count(f"note: this storage {'has ' if lack.startswith('no') else ''}{lack}") == 1
    assert not (job.run / "checkpoints/last.ckpt").is_symlink()
    recovers(job)
    assert read_folders([job.runs / "latest_default"])[0][0].folder.resolve() == job.run.resolve()


@drill(
    "The last checkpoint is truncated or altered",
    "refused by name, and the newest good one is offered: `RESUME=<run>/checkpoints/<that one>`",
    "the steps since that one",
)
def test_an_altered_checkpoint_is_refused_and_the_offered_one_resumes(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(save_checkpoint_epochs=1).start().until(STEPS + 3)
    job.stopped()
    last = (job.run / "checkpoints/last.ckpt").resolve()
    content = last.read_bytes()
    last.write_bytes(content[:-1])
    said = job.start(resume=job.run).ends_with(2)
    offered = job.run / "checkpoints/hlg_mobile-0001.ckpt"
    assert f"checkpoint {last}: altered or truncated" in said
    assert f"the newest good one is {offered}" in said
    recovers(job, offered)


@drill(
    "One digit of a checkpoint's state is altered: of its step, or of its training time",
    "refused by name, and the newest good one is offered",
    "the steps since that one",
)
def test_an_altered_state_is_refused(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(save_checkpoint_epochs=1).start().until(STEPS + 3)
    job.stopped()
    state = (job.run / "checkpoints/last.ckpt").resolve().with_suffix(".json")
    content = state.read_text()
    offered = job.run / "checkpoints/hlg_mobile-0001.ckpt"
    for digit, other in (('"step": 1', '"step": 2'), ('"elapsed_s": ', '"elapsed_s": 9')):
        assert digit in content
        state.write_text(content.replace(digit, other))
        said = job.start(resume=job.run).ends_with(2)
        assert f"{state}: damaged or altered (its state_sha256 does not match" in said
        assert f"the newest good one is {offered}" in said
    recovers(job, offered)

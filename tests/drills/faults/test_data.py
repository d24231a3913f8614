"""The data set changes under a run: an image goes, an image breaks, files are others at the resumption."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from hlg.data.streams import epoch_order
from tests.drills.faults.drill import drill
from tests.drills.faults.job import KEYS, STEPS, Job, assert_same_run, kill


def _own(data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(data, tmp_path / "data"))


def _image(data: Path, step: int) -> Path:
    """The first image of a step of the first epoch."""
    files = sorted(data.glob("train/*/*"))
    return files[epoch_order(1, 0, len(files))[step * KEYS["batch_size"]]]


@drill(
    "An image is deleted in mid-run",
    "exit code 2 and a line that names the file; put it back and `RESUME`. `on_unreadable=skip`: left out, counted",
    "nothing on one device; on several, the steps since the last checkpoint",
)
def test_an_image_that_is_deleted_is_named_and_no_step_is_lost(
    data: Path, tmp_path: Path, undisturbed: Path, record_property: Callable[[str, object], None]
) -> None:
    own = _own(data, tmp_path)
    job = Job(own, tmp_path)
    job.start().wait_for("compile time used")
    image = _image(own, step=8)
    aside = image.rename(tmp_path / "aside")
    assert job.ended() == 2, job.said
    last = job.said.strip().splitlines()[-1]
    assert last.startswith(f"error: {image}: cannot be read as an image (No such file")
    aside.rename(image)
    again = job.resumed()
    assert again == 0
    assert_same_run(job.run, undisturbed)
    record_property("after", "bit-identical, 0 steps run again")


@drill(
    "An image is truncated in mid-run",
    "the same",
    "the same",
)
def test_an_image_that_is_truncated_is_named_and_can_be_skipped_by_a_choice_that_is_recorded(
    data: Path, tmp_path: Path
) -> None:
    own = _own(data, tmp_path)
    job = Job(own, tmp_path)
    job.start().wait_for("compile time used")
    image = _image(own, step=8)
    content = image.read_bytes()
    image.write_bytes(content[: len(content) // 2])
    assert job.ended() == 2, job.said
    assert f"error: {image}: cannot be read as an image" in job.said
    # Half a file has another size, so the data set is not the one that the run began with.
    assert job.start(resume=job.run, on_unreadable="skip").ended() == 2
    assert "on_unreadable error -> skip" in job.said
    assert "hash of the train set" in job.said
    job.resumed(on_unreadable="skip", resume_changed=1)
    assert f"skipped, unreadable: {image.relative_to(own / 'train')}" in job.said


@drill(
    "The data set changes between start and resumption",
    "refused, with the hash then and now; `resume_changed=1` goes on, and the report compares that run with nothing",
    "nothing",
)
def test_a_data_set_that_has_changed_is_refused(data: Path, tmp_path: Path) -> None:
    own = _own(data, tmp_path)
    job = Job(own, tmp_path).start()
    job.wait_for_step(STEPS + 1)
    kill(job.process.pid, signal.SIGTERM)
    assert job.ended() == 75
    log = (job.run / "train.log").read_bytes()
    image = _image(own, step=0)
    image.write_bytes(image.read_bytes() + b"\0")
    assert job.start(resume=job.run).ended() == 2
    assert "was started otherwise: hash of the train set content:sha256:" in job.said
    assert "-> files-sizes:sha256:" in job.said
    assert (job.run / "train.log").read_bytes() == log
    assert job.start(resume=job.run, lr_max=0.01, seed=2).ended() == 2
    assert "lr_max 0.001 -> 0.01" in job.said
    assert "seed 1 -> 2" in job.said
    assert job.start(resume=job.run, max_epoch=1, resume_changed=1).ended() == 2
    assert "steps, more than max_epoch 1 asks for" in job.said
    assert (job.run / "train.log").read_bytes() == log


@drill(
    "The storage of the images hangs",
    "after `stall_timeout` the run says which step waits for images, from where, and ends with exit code 1; `RESUME`",
    "the steps since the last checkpoint",
)
def test_storage_that_hangs_ends_the_run_after_the_bound_and_the_line_says_what_was_waited_for(
    data: Path, tmp_path: Path, undisturbed: Path, record_property: Callable[[str, object], None]
) -> None:
    own = _own(data, tmp_path)
    job = Job(own, tmp_path, stall_timeout=60, save_checkpoint_steps=4)
    job.start().wait_for("compile time used")
    image = _image(own, step=8)
    aside = image.rename(tmp_path / "aside")
    os.mkfifo(image)  # opening it waits for a writer that never comes
    assert job.ended() == 1, job.said
    last = job.said.strip().splitlines()[-1]
    assert last.startswith(f"error: the run waited more than 60 s (stall_timeout) for step 8: its images from {own}")
    image.unlink()
    aside.rename(image)
    again = job.resumed()
    assert_same_run(job.run, undisturbed)
    record_property("after", f"bit-identical, {again} steps run again")

"""Drills in which the data set changes under a run: images vanish, break or hang, or differ at the resumption."""

import re
import signal

from tests.drills.faults.drill import drill
from tests.drills.faults.job import STEPS, NewJob, Recovers


@drill(
    "An image is deleted during a run",
    "exit code 2 and a line that names the file; put it back and `RESUME`, or skip it with `on_unreadable=skip`",
    "nothing on one device; on several, the steps since the last checkpoint",
)
def test_an_image_that_is_deleted_is_named_and_no_step_is_lost(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(own_data=True).start().until("compile time used")
    image = job.image_of(step=8)
    aside = image.rename(job.folder / "aside")
    last = job.ends_with(2).splitlines()[-1]
    assert last.startswith(f"error: {image}: cannot be read as an image (No such file")
    aside.rename(image)
    recovers(job, repeated=0)


@drill("An image is truncated during a run", "the same", "the same")
def test_a_truncated_image_is_named_and_can_be_skipped_by_a_recorded_choice(new_job: NewJob) -> None:
    job = new_job(own_data=True).start().until("compile time used")
    image = job.image_of(step=8)
    content = image.read_bytes()
    image.write_bytes(content[: len(content) // 2])
    assert f"error: {image}: cannot be read as an image" in job.ends_with(2)
    # Half a file has another size, so the data set is not the one that the run began with.
    said = job.start(resume=job.run, on_unreadable="skip").ends_with(2)
    assert "on_unreadable error -> skip" in said
    assert "hash of the train set" in said
    job.resumed(on_unreadable="skip", resume_changed=1)
    assert f"skipped, unreadable: {image.relative_to(job.data / 'train')}" in job.output.read_text()


@drill(
    "The data set changes before a run is resumed",
    "refused, with both hashes; `resume_changed=1` resumes anyway, and the report compares that run with nothing",
    "nothing",
)
def test_a_data_set_that_has_changed_is_refused(new_job: NewJob) -> None:
    job = new_job(own_data=True).start().until(STEPS + 1)
    job.stopped()
    log = (job.run / "train.log").read_bytes()
    image = job.image_of(step=0)
    image.write_bytes(image.read_bytes() + b"\0")
    said = job.start(resume=job.run, lr_max=0.01, seed=2).ends_with(2)
    assert re.search(r"hash of the train set content:sha256:\w{64} -> content:sha256:\w{64}", said)
    assert "lr_max 0.001 -> 0.01" in said
    assert "seed 1 -> 2" in said
    said = job.start(resume=job.run, batch_size=2).ends_with(2)
    assert "its epochs have 9 steps, and these would have 18" in said
    assert "resume_changed" not in said  # it would not help
    said = job.start(resume=job.run, max_epoch=1, resume_changed=1).ends_with(2)
    assert "steps, more than max_epoch 1 asks for" in said
    assert (job.run / "train.log").read_bytes() == log


@drill(
    "The images are replaced by others of the same size between start and resumption",
    "refused, with the hash then and now; put them back and `RESUME`. Of a large set 1,024 images are compared so",
    "nothing",
)
def test_images_that_were_replaced_are_noticed(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(own_data=True).start().until(STEPS + 1)
    job.stopped()
    for split, named in (("train", "train"), ("val", "eval")):
        images = {image: image.read_bytes() for image in job.data.glob(f"{split}/*/*")}
        for image, content in images.items():
            image.write_bytes(content[:-2] + b"\0\0")  # decodes to the same pixels, or nearly
        assert f"hash of the {named} set content:sha256:" in job.start(resume=job.run).ends_with(2)
        for image, content in images.items():
            image.write_bytes(content)
    recovers(job, repeated=0)


@drill(
    "The storage of the images hangs",
    "after `stall_timeout` the run says which step waits for images, from where, and is ended (142, SIGALRM); `RESUME`",
    "the steps since the last checkpoint",
)
def test_storage_that_hangs_ends_the_run_and_says_what_was_waited_for(new_job: NewJob, recovers: Recovers) -> None:
    planted = {"program": "tests.drills.faults.planted storage_hangs", "stall_timeout": 60}
    job = new_job(own_data=True, save_checkpoint_steps=4, **planted).start().until("compile time used")
    image = job.image_of(step=8)
    marker = image.with_name(f"{image.name}.hangs")
    marker.touch()
    last = job.ends_with(-signal.SIGALRM).splitlines()[-1]
    assert last.startswith("error: the run ")
    assert "60 s (stall_timeout)" in last
    assert f"step 8: its images from {job.data}" in last
    marker.unlink()
    recovers(job)

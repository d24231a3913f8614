"""One process: killed, asked to stop, killed while it saves, a clock that steps back."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from hlg.checkpoint import store
from hlg.files import PARTIAL
from repro.records.run_folder import read_run
from tests.drills.faults.drill import drill
from tests.drills.faults.job import Job, assert_same_run, events, kill


@drill(
    "SIGKILL of a run, twice over",
    "`RESUME=<run>` goes on from its newest checkpoint, within an epoch too, to the bit-identical end",
    "the steps since that checkpoint: at most an epoch, or `save_checkpoint_steps`",
)
def test_a_run_that_is_killed_at_any_step_ends_as_if_nothing_had_been(
    data: Path, tmp_path: Path, undisturbed: Path, record_property: Callable[[str, object], None]
) -> None:
    job = Job(data, tmp_path, save_checkpoint_steps=4)
    job.start().wait_for_step(6)
    kill(job.process.pid)
    assert job.ended() == -signal.SIGKILL
    job.start(resume=job.run).wait_for_step(9)  # from step 4: steps 4 and on once more
    kill(job.process.pid)
    job.ended()
    again = job.resumed()
    assert_same_run(job.run, undisturbed)
    resumed = [event["step"] for event in events(job.run, "resume")]
    assert len(resumed) == 2
    assert resumed[0] == 4
    assert resumed[1] in (8, 9)
    log = (job.run / "train.log").read_text()
    assert "resumed at step 4 (epoch 0, 4 of its 9 steps done) from hlg_mobile-0000+00004.ckpt" in log
    assert [line.count("step_num[5]") for line in log.splitlines()].count(1) == 1
    assert len(read_run(job.run).resumptions) == 2  # sealed, and reads as one run
    record_property("after", f"bit-identical, {again} steps run again")


@drill(
    "SIGTERM, as a scheduler preempts",
    "the step under way is finished and saved; exit code 75, which means *resume me*",
    "nothing",
)
def test_a_run_that_is_preempted_saves_and_exits_with_75(
    data: Path, tmp_path: Path, undisturbed: Path, record_property: Callable[[str, object], None]
) -> None:
    job = Job(data, tmp_path).start()
    job.wait_for_step(11)
    kill(job.process.pid, signal.SIGTERM)
    assert job.ended() == 75, job.said
    assert "stopped by SIGTERM after" in job.said
    assert f"RESUME={job.run}" in job.said
    assert job.resumed() == 0
    assert_same_run(job.run, undisturbed)
    record_property("after", "bit-identical, 0 steps run again")


@drill(
    "SIGKILL in the middle of writing a checkpoint",
    "the half file never has a checkpoint's name; `RESUME` goes on from the one before",
    "the steps since that one",
)
def test_half_a_checkpoint_is_never_taken_for_one(
    data: Path, tmp_path: Path, undisturbed: Path, record_property: Callable[[str, object], None]
) -> None:
    job = Job(data, tmp_path, program="tests.drills.faults.killed_in_save", save_checkpoint_steps=4)
    assert job.start().ended() == -signal.SIGKILL, job.said
    folder = job.run / "checkpoints"
    assert len(list(folder.glob(f"{PARTIAL}*"))) == 1
    good = store.newest_good(folder)
    assert good is not None
    assert good.name == "hlg_mobile-0000+00008.ckpt"
    job.program = "tests.support.narrow.train"
    again = job.resumed()
    assert_same_run(job.run, undisturbed)
    assert not list(folder.glob(f"{PARTIAL}*"))
    record_property("after", f"bit-identical, {again} steps run again")


@drill(
    "The clock steps back by an hour",
    "time stamps step back with it; durations come from another clock and stay right",
    "nothing",
)
def test_a_clock_that_steps_back_changes_time_stamps_alone(
    data: Path, tmp_path: Path, undisturbed: Path, record_property: Callable[[str, object], None]
) -> None:
    start = time.monotonic()
    job = Job(data, tmp_path, program="tests.drills.faults.clock_back")
    run = job.finished()
    took = time.monotonic() - start
    stamps = [line[:19] for line in (run / "train.log").read_text().splitlines()]
    assert stamps != sorted(stamps)
    assert_same_run(run, undisturbed)
    assert all(0 < event["epoch_time_s"] < took for event in events(run, "epoch"))
    assert 0 < events(run, "end")[0]["training_time_s"] < took
    assert read_run(run).log.training_time_s
    record_property("after", "bit-identical")


@drill(
    "A worker of the input pipeline is killed",
    "can't happen alone: they are threads of the rank, which has no child process; a rank that dies is the case above",
    "–",
)
def test_a_run_has_no_worker_process_that_could_die_alone(data: Path, tmp_path: Path) -> None:
    job = Job(data, tmp_path, max_epoch=50, train_num_workers=4).start()
    job.wait_for_step(2)
    tasks = Path(f"/proc/{job.process.pid}/task")
    assert len(list(tasks.iterdir())) > 4
    assert "".join((task / "children").read_text() for task in tasks.iterdir()) == ""
    kill(job.process.pid)
    job.ended()


@drill(
    "The loss scale is too large, every step overflows",
    "no weight moves; after an epoch of that the run ends with exit code 3 and says what to try",
    "the run; a single overflow only skips its step",
)
def test_a_loss_scale_that_overflows_moves_no_weight_and_ends_the_run(data: Path, tmp_path: Path) -> None:
    job = Job(data, tmp_path, amp_level="O3", loss_scale=1e9, save_checkpoint_steps=1, keep_checkpoint_max=20).start()
    assert job.ended() == 3, job.said
    assert "overflowed and no weight moved. Try a lower loss_scale" in job.said
    steps = events(job.run, "step")
    assert [step["overflow"] for step in steps] == [True] * 9
    assert not (job.run / "SHA256SUMS").exists()

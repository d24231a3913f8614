"""Drills on one process: killed, asked to stop, killed while it saves, with a clock that steps back."""

import os
import pty
import signal
import time
from pathlib import Path

import pytest

from hlg.checkpoint import store
from hlg.files import PARTIAL
from repro.records.run_folder import read_run
from tests.drills.faults.drill import drill
from tests.drills.faults.job import PROGRAM, STEPS, NewJob, Recovers
from tests.support.small_runs import events


@drill(
    "SIGKILL of a run, twice",
    "`RESUME=<run>` resumes from its newest checkpoint, within an epoch too; the end is bit-identical",
    "the steps since that checkpoint: at most an epoch, or `save_checkpoint_steps`",
)
def test_a_run_that_is_killed_at_any_step_ends_as_if_nothing_had_been(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(save_checkpoint_steps=4).start().until(6)
    job.stopped(signal.SIGKILL, -signal.SIGKILL)
    job.start(resume=job.run).until(9)  # from step 4: steps 4 and on once more
    job.stopped(signal.SIGKILL, -signal.SIGKILL)
    recovers(job)
    first, second = (event["step"] for event in events(job.run, "resume"))
    assert first == 4
    assert second in (8, 9)
    log = (job.run / "train.log").read_text()
    assert "resumed at step 4 (epoch 0, 4 of its 9 steps done) from hlg_mobile-0000+00004.ckpt" in log
    assert [line.count("step_num[5]") for line in log.splitlines()].count(1) == 1
    assert len(read_run(job.run).resumptions) == 2  # sealed, and reads as one run


@drill(
    "SIGTERM, as a scheduler preempts",
    "the current step is finished and saved; exit code 75, which means *resume me*",
    "nothing",
)
def test_a_run_that_is_preempted_saves_and_exits_with_75(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job().start().until(11)
    said = job.stopped()
    assert "stopped by SIGTERM after" in said
    assert f"RESUME={job.run}" in said
    recovers(job, repeated=0)


@drill(
    "SIGTERM while the graphs are compiled",
    "the run ends within seconds; exit code 75, and the line says to start it again",
    "nothing, because nothing was done",
)
def test_a_run_that_is_preempted_before_its_first_step_ends_at_once(new_job: NewJob) -> None:
    job = new_job(graph_cache="").start().until("Args:")
    time.sleep(1)
    said = job.stopped(timeout=5).splitlines()[-1]
    assert said == "stopped by SIGTERM before the first step: nothing is lost, start it again as before"


@drill(
    "Ctrl-C, and the terminal is closed",
    "the current step is finished and saved; exit code 130 or 75, and the line names the signal",
    "nothing",
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 75)])
def test_a_user_stops_a_run_which_saves(number: signal.Signals, code: int, new_job: NewJob, recovers: Recovers) -> None:
    job = new_job().start().until(11)
    assert f"stopped by {number.name} after" in job.stopped(number, code)
    recovers(job, repeated=0)


@drill(
    "The console goes away: a pipe to `head` ends, or ssh loses the terminal",
    "what is printed is dropped, and the run goes on; without its terminal (SIGHUP) it saves, exit code 75",
    "nothing",
)
@pytest.mark.parametrize("code", [0, 75])
def test_a_console_that_goes_away_ends_no_run(code: int, new_job: NewJob, recovers: Recovers) -> None:
    ours, its = pty.openpty() if code else os.pipe()
    said = b""
    job = new_job(program=f"hlg.launch {PROGRAM}").start(console=its)
    os.close(its)
    while b"step_num[11]" not in said:
        said += os.read(ours, 1 << 12)
    os.close(ours)
    job.ends_with(code)
    recovers(job, repeated=0)


@drill(
    "SIGKILL in the middle of writing a checkpoint",
    "the half file never has a checkpoint's name; `RESUME` takes the one before",
    "the steps since that one",
)
def test_half_a_checkpoint_is_never_taken_for_one(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(program="tests.drills.faults.planted killed_in_save", save_checkpoint_steps=4)
    job.start().ends_with(-signal.SIGKILL)
    folder = job.run / "checkpoints"
    assert len(list(folder.glob(f"{store.PARTIAL}*"))) == 1
    assert store.newest_good(folder).name == "hlg_mobile-0000+00008.ckpt"
    job.program = PROGRAM
    recovers(job)
    assert not list(folder.glob(f"{store.PARTIAL}*"))


@drill(
    "SIGKILL in the middle of sealing a finished run",
    "half a seal never has its name; `RESUME` ends and seals the run",
    "nothing",
)
def test_half_a_seal_is_never_taken_for_one(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(program="tests.drills.faults.planted killed_in_seal").start()
    job.ends_with(-signal.SIGKILL)
    assert len(list(job.run.glob(f"{PARTIAL}*"))) == 1
    job.program = PROGRAM
    recovers(job, repeated=0)
    assert read_run(job.run)


@drill(
    "The clock steps back by an hour",
    "time stamps step back with it; durations come from another clock and stay right",
    "nothing",
)
def test_a_clock_that_steps_back_changes_time_stamps_alone(new_job: NewJob, recovers: Recovers) -> None:
    start = time.monotonic()
    job = new_job(program="tests.drills.faults.planted clock_back", save_checkpoint_steps=4).start()
    job.ends_with(0)
    took = time.monotonic() - start
    stamps = [line[:19] for line in (job.run / "train.log").read_text().splitlines()]
    assert stamps != sorted(stamps)
    recovers(job, repeated=0)
    assert all(0 < event["epoch_time_s"] < took for event in events(job.run, "epoch"))
    assert 0 < events(job.run, "end")[0]["training_time_s"] < took
    assert read_run(job.run).log.training_time_s


@drill(
    "A worker of the input pipeline is killed",
    "can't happen alone: workers are threads of the rank; its one child only watches for stalls",
    "–",
)
def test_a_run_has_no_worker_process_that_could_die_alone(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(train_num_workers=4).start().until(2)
    tasks = Path(f"/proc/{job.process.pid}/task")
    assert len(list(tasks.iterdir())) > 4
    (guard,) = "".join((task / "children").read_text() for task in tasks.iterdir()).split()
    os.kill(int(guard), signal.SIGKILL)
    job.until(11).stopped()
    recovers(job, repeated=0)


@drill(
    "The loss scale is too large, every step overflows",
    "no weight moves; after an epoch of that the run ends with exit code 3 and says what to try",
    "the run; a single overflow only skips its step",
)
def test_a_loss_scale_that_overflows_moves_no_weight_and_ends_the_run(new_job: NewJob) -> None:
    keys = {"amp_level": "O3", "loss_scale": 1e9, "context_mode": 1}  # whose graphs no other drill has
    job = new_job(**keys, save_checkpoint_steps=1, keep_checkpoint_max=20).start()
    assert "overflowed and no weight moved. Try a lower loss_scale" in job.ends_with(3)
    assert [step["overflow"] for step in events(job.run, "step")] == [True] * STEPS
    assert not (job.run / "SHA256SUMS").exists()

"""Two ranks: one is killed, one hangs, the launcher is asked to stop or killed."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.drills.faults.drill import drill
from tests.drills.faults.job import Job, assert_same_run, kill, ranks_of
from tests.support.processes import is_alive


@drill(
    "SIGKILL of one rank",
    "the job ends within seconds, exit code 1; the line names the rank and how to resume",
    "the steps since the last checkpoint",
)
def test_a_killed_rank_ends_the_job_which_resumes_to_the_same_end(
    data: Path, tmp_path: Path, undisturbed_ranks: Path, record_property: Callable[[str, object], None]
) -> None:
    job = Job(data, tmp_path, ranks=2, save_checkpoint_steps=4).start()
    job.wait_for_step(6)
    ranks = ranks_of(job.process.pid)
    killed = time.monotonic()
    kill(ranks[1])
    assert job.ended(60) == 1, job.said
    took = time.monotonic() - killed
    assert "rank 1" in job.said
    assert "SIGKILL" in job.said
    assert f"RESUME={job.run}" in job.said
    assert not any(map(is_alive, ranks.values()))
    again = job.resumed()
    assert_same_run(job.run, undisturbed_ranks)
    record_property("after", f"over in {took:.0f} s; bit-identical, {again} steps run again")


@drill(
    "SIGTERM to a job of several ranks",
    "all ranks stop after the same step, rank 0 saves; exit code 75; no process is left",
    "nothing",
)
def test_a_preempted_job_leaves_no_process_and_loses_no_step(
    data: Path, tmp_path: Path, undisturbed_ranks: Path, record_property: Callable[[str, object], None]
) -> None:
    job = Job(data, tmp_path, ranks=2).start()
    job.wait_for_step(5)
    ranks = ranks_of(job.process.pid)
    assert len(ranks) == 2
    kill(job.process.pid, signal.SIGTERM)
    assert job.ended(60) == 75, job.said
    assert not any(map(is_alive, ranks.values()))
    assert job.resumed() == 0
    assert_same_run(job.run, undisturbed_ranks)
    record_property("after", "bit-identical, 0 steps run again")


@drill(
    "SIGKILL of the launcher",
    "its ranks end with it, none is orphaned; `RESUME`",
    "the steps since the last checkpoint",
)
def test_ranks_do_not_outlive_their_launcher(data: Path, tmp_path: Path) -> None:
    job = Job(data, tmp_path, ranks=2).start()
    job.wait_for("compile time used")
    ranks = ranks_of(job.process.pid)
    assert len(ranks) == 2
    kill(job.process.pid)
    job.ended()
    deadline = time.monotonic() + 10
    while any(map(is_alive, ranks.values())):
        assert time.monotonic() < deadline, "a rank outlived its launcher"
        time.sleep(0.1)


@drill(
    "A rank, or its machine, hangs",
    "MindSpore's scheduler misses it within a minute, else the others after `stall_timeout`; the job ends and says so",
    "the steps since the last checkpoint",
)
def test_a_rank_that_hangs_ends_the_job_within_a_bound_and_says_what_was_waited_for(
    data: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    job = Job(data, tmp_path, ranks=2, stall_timeout=60, max_epoch=50).start()
    job.wait_for_step(3)
    ranks = ranks_of(job.process.pid)
    stopped = time.monotonic()
    kill(ranks[1], signal.SIGSTOP)
    assert job.ended(120) == 1, job.said
    took = time.monotonic() - stopped
    # Whoever misses it first: the scheduler, the collective that waits for it, or our own watch.
    assert re.search(
        r"error: (the scheduler has lost a rank that had joined|rank 0 of 2 has lost another one"
        r"|rank 0 waited more than 60 s \(stall_timeout\) for step)",
        job.said,
    ), job.said
    assert not any(map(is_alive, ranks.values()))
    record_property("after", f"over in {took:.0f} s")

"""Drills on two ranks: one is killed or hangs, the launcher is asked to stop or killed."""

import os
import re
import signal
import time
from collections.abc import Callable

from tests.drills.faults.drill import drill
from tests.drills.faults.job import NewJob, Recovers
from tests.support.processes import is_alive, wait_for


@drill(
    "SIGKILL of one rank",
    "the job ends within seconds, exit code 1; the line names the rank and how to resume",
    "the steps since the last checkpoint",
)
def test_a_killed_rank_ends_the_job_which_resumes_to_the_same_end(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(ranks=2, save_checkpoint_steps=4).start().until(6)
    ranks = job.rank_pids()
    killed = time.monotonic()
    os.kill(ranks[1], signal.SIGKILL)
    said = job.ends_with(1, timeout=60)
    took = time.monotonic() - killed
    assert "rank 1" in said
    assert "SIGKILL" in said
    assert f"RESUME={job.run}" in said
    assert not any(map(is_alive, ranks.values()))
    recovers(job, note=f"over in {took:.0f} s; ")


@drill(
    "SIGTERM to a job of several ranks",
    "all ranks stop after the same step, rank 0 saves; exit code 75; no process is left",
    "nothing",
)
def test_a_preempted_job_leaves_no_process_and_loses_no_step(new_job: NewJob, recovers: Recovers) -> None:
    job = new_job(ranks=2).start().until(5)
    ranks = job.rank_pids()
    assert len(ranks) == 2
    job.stopped(timeout=60)
    assert not any(map(is_alive, ranks.values()))
    recovers(job, repeated=0)


@drill(
    "SIGKILL of the launcher",
    "its ranks end with it, none is orphaned; `RESUME`",
    "the steps since the last checkpoint",
)
def test_ranks_do_not_outlive_their_launcher(new_job: NewJob) -> None:
    job = new_job(ranks=2).start().until("compile time used")
    ranks = job.rank_pids()
    assert len(ranks) == 2
    job.stopped(signal.SIGKILL, -signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, ranks.values())), "the end of the ranks", timeout=10)


@drill(
    "A rank, or its machine, hangs",
    "MindSpore's scheduler notices within a minute, or the other ranks after `stall_timeout`; the job ends and says so",
    "the steps since the last checkpoint",
)
def test_a_rank_that_hangs_ends_the_job(new_job: NewJob, record_property: Callable[[str, object], None]) -> None:
    job = new_job(ranks=2, stall_timeout=60, max_epoch=50).start().until(3)
    ranks = job.rank_pids()
    stopped = time.monotonic()
    os.kill(ranks[1], signal.SIGSTOP)
    said = job.ends_with(1, timeout=120)
    took = time.monotonic() - stopped
    # Whoever misses it first: the scheduler, the collective that waits for it, or our own watch.
    assert re.search(r"error: (the scheduler|rank 0 of 2) .*lost |error: rank 0 .*60 s \(stall_timeout\)", said), said
    assert not any(map(is_alive, ranks.values()))
    record_property("after", f"over in {took:.0f} s")

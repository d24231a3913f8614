"""A process that makes no progress is ended, and says what it waited for and where."""

import os
import signal
import sys
import time

import pytest

from tests.support.processes import Done, run_command, start_command

HEAD = (
    "import ctypes, signal, time\nfrom hlg.runtime.watchdog import Watchdog\nwith Watchdog(1, 'rank 1') as watchdog:\n"
)


def _run(body: str) -> Done:
    return run_command(sys.executable, "-c", HEAD + body, timeout=30)


@pytest.mark.parametrize("told", ["above are the stacks", "it gave no stacks"])
def test_a_wait_without_end_is_ended_and_named_even_while_the_interpreter_is_held(told: str) -> None:
    began = time.monotonic()
    hidden = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); " if "no" in told else ""
    done = _run(f"    {hidden}watchdog.expect('step 7: another rank')\n    ctypes.PyDLL(None).sleep(60)")
    assert time.monotonic() - began < 10
    assert done.returncode == -signal.SIGALRM
    *stacks, said = done.stderr.splitlines()
    assert ('  File "<string>", line 5 in <module>' in stacks) == (not hidden)
    waited = "waited more than 1 s (stall_timeout) for step 7: another rank and is ended"
    assert said.startswith(f"error: rank 1 {waited}; {told} of its threads. If another")


def test_work_that_moves_on_is_left_alone_and_the_watch_ends_with_it() -> None:
    done = _run("    for step in range(9):\n        watchdog.expect('it')\n        time.sleep(0.2)\ntime.sleep(2)")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("whole", [False, True])
def test_time_in_which_the_process_or_its_container_is_suspended_does_not_count(whole: bool) -> None:
    body = "    print(watchdog._guard.pid, flush=True)\n    time.sleep(0.5)"
    with start_command(sys.executable, "-c", HEAD + body) as process:
        pids = [process.pid, int(process.stdout.readline())][: 1 + whole]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                os.kill(pid, number)
            time.sleep(2.5 * (number == signal.SIGSTOP))
        assert process.wait(10) == 0

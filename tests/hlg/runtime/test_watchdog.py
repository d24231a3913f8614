"""A process that makes no progress ends itself and says what it waited for."""

import sys
import time

from tests.support.processes import Done, run_command


def _run(body: str) -> Done:
    code = "import time\nfrom hlg.runtime.watchdog import Watchdog\nwith Watchdog(0.6, 'rank 1') as watchdog:\n" + body
    return run_command(sys.executable, "-c", code, timeout=30)


def test_a_wait_without_end_is_ended_and_named() -> None:
    start = time.monotonic()
    done = _run("    watchdog.expect('step 7: another rank')\n    time.sleep(60)")
    assert done.returncode == 1
    assert done.stderr.startswith("error: rank 1 waited more than 0.6 s (stall_timeout) for step 7: another rank")
    assert time.monotonic() - start < 20


def test_work_that_moves_on_is_left_alone() -> None:
    done = _run("    for step in range(15):\n        watchdog.expect(f'step {step}')\n        time.sleep(0.1)")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_watch_ends_with_the_work() -> None:
    assert _run("    pass\ntime.sleep(1.5)").returncode == 0

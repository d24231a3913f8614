"""A process that makes no progress ends itself and says what it waited for."""

import sys

from tests.support.processes import Done, run_command


def _run(body: str) -> Done:
    code = "import time\nfrom hlg.runtime.watchdog import Watchdog\nwith Watchdog(0.6, 'rank 1') as watchdog:\n" + body
    return run_command(sys.executable, "-c", code, timeout=30)


def test_a_wait_without_end_is_ended_and_named() -> None:
    done = _run("    watchdog.expect('step 7: another rank')\n    time.sleep(60)")
    assert done.returncode == 1
    assert done.stderr.startswith("error: rank 1 waited more than 0.6 s (stall_timeout) for step 7: another rank")


def test_work_that_moves_on_is_left_alone_and_the_watch_ends_with_it() -> None:
    done = _run(
        "    for step in range(9):\n        watchdog.expect(f'step {step}')\n        time.sleep(0.1)\ntime.sleep(1)"
    )
    assert (done.returncode, done.stderr) == (0, "")

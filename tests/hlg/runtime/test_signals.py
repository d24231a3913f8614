"""Signals as a request to stop, in a real process."""

import signal
import subprocess
import sys

import pytest

from hlg.runtime.signals import ECHO_S
from tests.support import ROOT

LOOP = """
import sys, time
from hlg.runtime.signals import StopRequest
stop = StopRequest()
print("ready" if stop.poll() is None else "too early", flush=True)
while not stop.poll():
    time.sleep(0.01)
print(stop.received.name, flush=True)
if "on" in sys.argv:
    time.sleep(30)
"""


def _loop(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOOP, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_the_work_goes_on_to_its_next_turn(number: signal.Signals) -> None:
    with _loop() as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == f"{number.name}\n"
        assert process.wait(10) == 0


def test_an_echo_of_the_signal_is_no_second_one_and_a_second_one_ends_the_process() -> None:
    with _loop("on") as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "SIGTERM\n"
        process.send_signal(signal.SIGTERM)  # a batch system's own, after the launcher's
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(ECHO_S + 0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM

"""Signals as a request to stop, in a real process."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support import ROOT

LOOP = """
import sys, time
from hlg.runtime import signals
signals.ECHO_S = 1.0
stop = signals.StopRequest()
print("ready" if stop.poll() is None else "too early", flush=True)
while not stop.poll():
    time.sleep(0.01)
print(stop.received.name, flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def loop(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A loop that polls, is ready, and works on for so many seconds after a signal."""
    command = [sys.executable, "-c", LOOP, request.param]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize("loop", ["0"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_the_work_goes_on_to_its_next_turn(
    number: signal.Signals, loop: subprocess.Popen[str]
) -> None:
    loop.send_signal(number)
    assert loop.communicate(timeout=10)[0] == f"{number.name}\n"
    assert loop.returncode == 0


@pytest.mark.parametrize("loop", ["30"], indirect=True)
def test_an_echo_of_the_signal_is_no_second_one_and_a_second_one_ends_the_process(loop: subprocess.Popen[str]) -> None:
    loop.send_signal(signal.SIGTERM)
    assert loop.stdout
    assert loop.stdout.readline() == "SIGTERM\n"
    loop.send_signal(signal.SIGTERM)  # a batch system's own, after the launcher's
    with pytest.raises(subprocess.TimeoutExpired):
        loop.wait(1.3)
    loop.send_signal(signal.SIGTERM)
    assert loop.wait(10) == -signal.SIGTERM

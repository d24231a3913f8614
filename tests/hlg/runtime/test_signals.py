"""Signals as a request to stop, in a real process."""

import signal
import subprocess
import sys

from tests.support import ROOT

LOOP = """
import time
from hlg.runtime import signals
signals.ECHO_S = 0
stop = signals.StopRequest()
print("ready" if stop.poll() is None else "too early", flush=True)
while not stop.poll():
    time.sleep(0.01)
print(stop.received.name, flush=True)
time.sleep(30)
"""


def test_a_signal_is_noted_and_a_second_one_ends_the_process() -> None:
    with subprocess.Popen([sys.executable, "-c", LOOP], cwd=ROOT, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdout
        assert loop.stdout.readline() == "ready\n"
        loop.send_signal(signal.SIGTERM)
        assert loop.stdout.readline() == "SIGTERM\n"
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(10) == -signal.SIGTERM

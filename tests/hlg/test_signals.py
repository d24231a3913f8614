"""Signals as a request to stop, in a real process whose library takes the handlers over."""

import signal
import sys
from pathlib import Path

import pytest

from tests.support.processes import run_command, start_command

LOOP = """
import ctypes, signal, sys, time
from hlg import signals
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # even where the tests run under nohup
signals.ECHO_S = 0
with signals.StopRequest() as stop:
    ctypes.CDLL(None).signal(2, ctypes.c_void_p(0))  # as MindSpore does behind the interpreter's back
    if "hold" in sys.argv:
        stop.hold()
    print("ready", flush=True)
    while not stop.received:
        time.sleep(0.01)
    print(stop.received.name, flush=True)
    time.sleep(30)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("hold", [True, False])
def test_a_signal_ends_the_process_at_once_or_is_held_and_the_second_does(number: signal.Signals, hold: bool) -> None:
    with start_command(sys.executable, "-c", LOOP, *["hold"] * hold) as loop:
        assert loop.stdout.readline() == "ready\n"
        loop.send_signal(number)
        if hold:
            assert loop.stdout.readline() == f"{number.name}\n"
            loop.send_signal(number)
        assert loop.wait(10) == 128 + number
        assert loop.stderr.read().startswith(f"stopped by {'a second ' * hold}{number.name}: ")


CHILDREN = """
import multiprocessing, os, subprocess, sys, time
from hlg.signals import StopRequest
with StopRequest():
    started = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); import time; time.sleep(60)"], stdout=-1)
    started.stdout.read(1)
    started.terminate()
    assert started.wait(10) == -15
    with multiprocessing.get_context("fork").Pool(1) as pool:  # as AKG does
        pool.apply_async(time.sleep, [60])
        time.sleep(0.2)
"""


def test_children_still_end_by_sigterm(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.stderr.write('own ')")
    done = run_command(sys.executable, "-c", CHILDREN, env={"PYTHONPATH": tmp_path}, timeout=20)
    assert (done.returncode, done.stderr) == (0, "own own ")

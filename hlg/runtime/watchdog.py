"""Bound every wait: a process that makes no progress says what it waits for, where, and ends."""

import contextlib
import faulthandler
import os
import signal
import subprocess
import sys
from pathlib import Path

from hlg.console import printable

GUARD = Path(__file__).with_name("guard.py")


class Watchdog:
    """End the process when :meth:`expect` has not been called again for ``limit_s`` seconds.

    A rank whose neighbor is gone waits in a collective that no Python code can leave, so the process is ended by
    another one (hlg/runtime/guard.py), with SIGALRM. Nothing is lost by that: checkpoints are on disk, and records are
    flushed line by line. Usable as a context; leaving it ends the watch.
    """

    def __init__(self, limit_s: float, who: str) -> None:
        self._command = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(limit_s), who]

    def __enter__(self) -> "Watchdog":
        self._stacks = os.memfd_create("stacks")
        faulthandler.register(signal.SIGUSR2, file=self._stacks)
        self._guard = subprocess.Popen(
            [*self._command, str(self._stacks)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[self._stacks],
        )
        assert self._guard.stdin is not None
        self._pipe = self._guard.stdin.fileno()
        os.set_blocking(self._pipe, False)
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.communicate()
        faulthandler.unregister(signal.SIGUSR2)
        os.close(self._stacks)

    def expect(self, what: str) -> None:
        """Begin the wait for ``what``."""
        with contextlib.suppress(OSError):  # the guard is gone, or suspended with its pipe full
            os.write(self._pipe, printable(what).encode() + b"\n")

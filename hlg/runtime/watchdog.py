"""Bound every wait: a process that makes no progress says what it waits for and exits."""

import os
import sys
import threading
import time

EXIT_CODE = 1


class Watchdog:
    """End the process when :meth:`expect` has not been called again for ``limit_s`` seconds.

    A rank whose neighbor is gone waits in a collective that no Python code can leave, so the process is ended from
    another thread. Nothing is lost by that: checkpoints are on disk, and records are flushed line by line.
    Usable as a context; leaving it ends the watch.
    """

    def __init__(self, limit_s: float, who: str) -> None:
        self.limit_s = limit_s
        self.who = who
        self._what, self._since = "the start", time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._since = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def expect(self, what: str) -> None:
        """Begin the wait for ``what``."""
        self._what, self._since = what, time.monotonic()

    def _watch(self) -> None:
        while not self._over.wait(min(1.0, self.limit_s / 4)):
            if time.monotonic() - self._since > self.limit_s:
                print(
                    f"error: {self.who} waited more than {self.limit_s:g} s (stall_timeout) for {self._what} and ends "
                    "itself. If another rank or machine failed, its own message says why; if this is only slow, raise "
                    "stall_timeout",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(EXIT_CODE)

"""Take SIGTERM, Ctrl-C and a closed terminal as a request to stop, so that nothing is lost. No MindSpore."""

import math
import os
import signal
import threading
import time
from types import FrameType

from hlg.errors import RESUME_ME

ECHO_S = (
    2.0  # within which a second signal is the same wish: make and batch systems signal a launcher and its ranks alike
)
INTERRUPTED = 128 + signal.SIGINT


class StopSignals:
    """Note SIGTERM, SIGINT and SIGHUP instead of ending the process, while used as a context; echoes do not count."""

    def __init__(self) -> None:
        self.signals: list[signal.Signals] = []
        self._at = -math.inf

    @property
    def received(self) -> signal.Signals | None:
        """The first signal, or None."""
        return self.signals[0] if self.signals else None

    @property
    def exit_code(self) -> int:
        """The exit code that the first signal asks for."""
        return INTERRUPTED if self.received == signal.SIGINT else RESUME_ME

    def __enter__(self) -> "StopSignals":
        heard = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
            heard.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._at > ECHO_S:
            self.signals.append(signal.Signals(number))
            self._at = now


class StopRequest(StopSignals):
    """A request to stop a loop at its next turn, by SIGTERM or SIGINT; a second signal ends the process at once.

    MindSpore 2.10.0 takes both signals over when it first runs something and then kills the process without a word,
    so loops call :meth:`poll` at every turn: it takes them back.
    """

    def poll(self) -> signal.Signals | None:
        """Return the signal that came, or None."""
        if threading.current_thread() is threading.main_thread():  # handlers belong to it
            signal.signal(signal.SIGINT, self._note)
            signal.signal(signal.SIGTERM, self._note)
        return self.received

    def _note(self, number: int, frame: FrameType | None) -> None:
        super()._note(number, frame)
        if len(self.signals) > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

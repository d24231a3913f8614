"""SIGTERM and Ctrl-C as a request to stop between two steps, with nothing lost."""

import os
import signal
import threading
import time
from types import FrameType

ECHO_S = 2.0  # within which a second signal is the same wish: batch systems signal a launcher and its ranks alike


class StopRequest:
    """Notes the first SIGTERM or SIGINT; a second one, two seconds later or more, ends the process at once.

    MindSpore 2.10.0 takes both signals over when it first runs something and then kills the process without a word,
    so loops call :meth:`poll` at every turn: it takes them back.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0

    def poll(self) -> signal.Signals | None:
        """The signal that came, or None."""
        if threading.current_thread() is threading.main_thread():  # handlers belong to it
            signal.signal(signal.SIGINT, self._note)
            signal.signal(signal.SIGTERM, self._note)
        return self.received

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received, self._at = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._at > ECHO_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

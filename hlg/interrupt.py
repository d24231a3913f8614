"""SIGTERM and Ctrl-C as a request to stop between two steps, with nothing lost."""

import os
import signal
import threading
from types import FrameType


class StopRequest:
    """Notes the first SIGTERM or SIGINT; a second one ends the process at once.

    MindSpore 2.10.0 takes both signals over when it first runs something and then kills the process without a word,
    so loops call :meth:`poll` at every turn: it takes them back.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def poll(self) -> signal.Signals | None:
        """The signal that came, or None."""
        if threading.current_thread() is threading.main_thread():  # handlers belong to it
            signal.signal(signal.SIGINT, self._note)
            signal.signal(signal.SIGTERM, self._note)
        return self.received

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = signal.Signals(number)

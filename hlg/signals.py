"""Take SIGTERM, Ctrl-C and a closed terminal as a request to stop, so that nothing is lost. No MindSpore."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hlg.console import say
from hlg.errors import RESUME_ME, StoppedError

ECHO_S = 2.0  # within it a second signal is the same wish: make and batch systems signal a launcher and its ranks alike
INTERRUPTED = 128 + signal.SIGINT
CHILDREN = str(Path(__file__).parent / "runtime" / "children")  # on the path of Pythons started by this one


def run_main(main: Callable[[], int]) -> NoReturn:
    """Run a program and end the process with its exit code; Ctrl-C ends it with one line and 130."""
    asked = []

    def stop(*_: object) -> None:
        asked.append(True)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as behind the & of a script
        signal.signal(signal.SIGINT, stop)
    try:
        code = main()
    except (KeyboardInterrupt, ImportError):  # the import of a C extension makes the second of the first
        if not asked:
            raise
        say("stopped by Ctrl-C", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Have processes that are started meanwhile leave Ctrl-C to this one; a terminal sends it to all of them."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask to stop: SIGHUP too, unless nohup has it ignored."""
    heard = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    return [number for number in heard if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP]


class StopSignals:
    """Note the signals that ask to stop instead of ending the process, while used as a context; echoes do not count."""

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
        self._before = {number: signal.signal(number, self._handle) for number in stop_signals()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.note(signal.Signals(number))

    def note(self, number: signal.Signals) -> None:
        """Count a signal, unless it is the echo of another."""
        now = time.monotonic()
        if now - self._at > ECHO_S:
            self.signals.append(number)
            self._at = now


class StopRequest(StopSignals):
    """Stop a program that runs MindSpore: at once, or after :meth:`hold` at the next turn of its loop.

    MindSpore puts handlers of its own in the place of ours whenever it runs a graph: one kills the process without a
    word, and Ctrl-C becomes SIGTERM. So the signals are blocked, for this thread and all that start after it, and one
    thread waits for them, which needs no handler. Enter it before MindSpore or NumPy is imported, which starts threads.
    Child processes still end by SIGTERM: those that Python forks, and the Pythons that MindSpore starts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ending = _without_result  # what a signal ends the program with before hold
        self._held = self._over = False
        self._thread = threading.Thread(target=self._wait, name="signals", daemon=True)

    def __enter__(self) -> "StopRequest":
        self._heard = stop_signals()
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._heard)
        os.register_at_fork(after_in_child=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [CHILDREN, os.environ.get("PYTHONPATH")]))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        signal.pthread_kill(self._thread.ident or 0, signal.SIGTERM)  # wakes it alone
        self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def hold(self) -> None:
        """Let the first signal be ``received`` and no more: from now on there is something to save."""
        self._held = True
        self.ending = _unsaved

    def _wait(self) -> None:
        while True:
            number = signal.Signals(signal.sigwait(self._heard))
            if self._over:
                return
            self.note(number)
            if len(self.signals) > 1 or not self._held:
                stopped = self.ending(number)
                say(stopped, file=sys.stderr)
                os._exit(stopped.exit_code)


def before_first_step(by: signal.Signals) -> StoppedError:
    """The end of a training that has nothing to save yet."""
    code = INTERRUPTED if by is signal.SIGINT else RESUME_ME
    return StoppedError(f"stopped by {by.name} before the first step: nothing is lost, start it again as before", code)


def _without_result(by: signal.Signals) -> StoppedError:
    said = f"stopped by {by.name}: there is no result; a run folder stays readable and unsealed"
    return StoppedError(said, 128 + by)


def _unsaved(by: signal.Signals) -> StoppedError:
    return StoppedError(f"stopped by a second {by.name}: the steps after the last checkpoint are lost", 128 + by)

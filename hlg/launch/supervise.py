"""Start processes that work together, watch over them, and end them together, whatever happens to one of them.

Each leads a process group of its own, so what it started ends with it, and the kernel kills each when its starter dies,
even by SIGKILL. What has left its group, as a daemon does, has still the variable MARK that it was started with.
"""

import contextlib
import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hlg.console import say
from hlg.errors import RESUME_ME
from hlg.signals import INTERRUPTED, StopSignals

POLL_S = 0.2
AFTER_FAILURE_S = 5.0  # for the others to end; most hang in a collective, which lets no signal through
AFTER_STOP_S = 10.0  # for the others to end once one has stopped; they may wait for it in a collective
AFTER_DONE_S = 300.0  # for the others to end once one is done: rank 0 still evaluates its last files, seals its run
AFTER_SCHEDULER_S = 30.0  # for ranks to end after a scheduler that has; they would wait for it up to join_timeout
SCHEDULER_S = 10.0  # for the scheduler to notice that all ranks are done
REAP_S = 5.0  # for the kernel to end what was killed; it can't while a driver call hangs

EXPLAINED = (2, 3)  # exit codes of a process whose last line says what is wrong
KEPT = (*EXPLAINED, RESUME_ME, INTERRUPTED)  # exit codes that the launcher ends with too; any other becomes 1

TAIL_BYTES = 1 << 16
MARK = "HLG_STARTED_BY", os.urandom(8).hex()

_LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec it is too late
_PR_SET_PDEATHSIG = 1


class Child:
    """One process: a rank or the scheduler. ``log`` takes its output; without one it goes where ours goes."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path | None) -> None:
        self.name = name
        self.log = log
        self.code: int | None = None
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) if log else None
        try:
            self._process = subprocess.Popen(
                command,
                env={**environment, MARK[0]: MARK[1]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        finally:
            if output is not None:
                os.close(output)
        self.pid = self._process.pid

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"

    @property
    def how(self) -> str:
        """Say in words how it ended."""
        if self.code is None or self.code >= 0:
            return f"exit code {self.code}"
        return f"killed by {_signal_name(-self.code)}"

    def log_tail(self) -> list[str]:
        """Return the last lines of its log, 64 KiB at most; none where it has no log."""
        if self.log is None:
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs. What it leaves behind is killed."""
        if self.code is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            os.killpg(self.pid, signal.SIGKILL)  # as long as it is not reaped, the number is nobody else's
            self.code = self._process.wait()
        return self.code

    def send(self, number: int) -> None:
        """Send a signal to the process alone, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process and everything it started, unless it has ended."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Ending:
    """How a job ended: its exit code, what went wrong ("" if nothing did) and in which process."""

    code: int
    problem: str = ""
    culprit: Child | None = None


class Supervisor:
    """Watch ranks, and a scheduler that has to outlive them, until all have ended.

    The first rank that fails ends the others; the first signal is passed on to the ranks and ends them within
    ``grace_s`` seconds, a second one at once.
    """

    def __init__(self, ranks: Sequence[Child], scheduler: Child | None, stop: StopSignals, grace_s: float) -> None:
        self._ranks = ranks
        self._scheduler = scheduler
        self._stop = stop
        self._grace_s = grace_s
        self._passed_on = False
        self._kill_at, self._why = math.inf, ""
        self._ending: Ending | None = None

    def run(self) -> Ending:
        """Wait for the end; nothing is running afterwards, unless the kernel itself can't end it."""
        while self._look():
            time.sleep(POLL_S)
        codes = {rank.code for rank in self._ranks}
        scheduler = self._scheduler
        if scheduler and codes <= {0, RESUME_ME, INTERRUPTED}:  # else it would wait for those that are gone
            _wait(SCHEDULER_S, lambda: scheduler.poll() is not None or len(self._stop.signals) > 1)
        return self._ending or Ending(self._stop_code() if any(codes) else 0)

    def _look(self) -> bool:
        """Look at every process once and act on it; returns whether to look again."""
        alive = [rank for rank in self._ranks if rank.poll() is None]
        if first := self._stop.received:
            self._pass_on(first, alive)
        if not self._ending:
            self._find_failure(alive)
        if alive and time.monotonic() >= self._kill_at:
            if not self._ending:
                late = ", ".join(map(str, alive))
                self._ending = Ending(self._stop_code(), f"{late}: {self._why}, killed", alive[0])
            for rank in alive:
                rank.kill()
        return bool(alive) and time.monotonic() < self._kill_at + REAP_S

    def _pass_on(self, first: signal.Signals, alive: Sequence[Child]) -> None:
        """Send the first signal to the ranks, once, unless they are being ended already."""
        if not self._passed_on and not self._ending:
            for rank in alive:
                rank.send(signal.SIGINT if first == signal.SIGINT else signal.SIGTERM)  # they know no SIGHUP
        self._passed_on = True
        self._end_within(self._grace_s, f"not ended {self._grace_s:g} s after {first.name}")
        if len(self._stop.signals) > 1:
            self._end_within(0, "not ended at the second signal")

    def _find_failure(self, alive: Sequence[Child]) -> None:
        """Find the first failure among those that have ended, and bound the time of the others."""
        ended = [rank for rank in self._ranks if rank.code is not None]
        failed = [rank for rank in ended if rank.code in EXPLAINED]
        stopped = self._stopped()
        if not stopped:  # what fails when another is gone is a consequence
            failed += [rank for rank in ended if rank.code]
            if alive and self._scheduler and not self._stop.received and self._scheduler.poll():
                failed.append(self._scheduler)
        if failed:
            culprit = failed[0]
            code = culprit.code if culprit.code in KEPT else 1
            self._ending = Ending(code or 1, f"{culprit}: {culprit.how}", culprit)
            for rank in alive if not self._passed_on else ():
                rank.send(signal.SIGTERM)
            self._end_within(AFTER_FAILURE_S, "")
        elif stopped:
            self._end_within(AFTER_STOP_S, f"not ended {AFTER_STOP_S:g} s after {stopped[0]} stopped")
        elif ended:
            self._end_within(AFTER_DONE_S, f"not ended {AFTER_DONE_S:g} s after {ended[0]} was done")
        elif self._scheduler and self._scheduler.poll() is not None:
            self._end_within(AFTER_SCHEDULER_S, f"not ended {AFTER_SCHEDULER_S:g} s after the {self._scheduler}")

    def _stopped(self) -> list[Child]:
        """Find the ranks that ended because a signal asked them to; one may have got it from elsewhere."""
        codes = {RESUME_ME, INTERRUPTED}
        if self._passed_on:
            codes |= {-signal.SIGTERM, -signal.SIGINT}  # before they could handle it
        if self._passed_on and self._stop.received == signal.SIGINT:
            codes.add(1)  # Ctrl-C while the interpreter itself starts
        return [rank for rank in self._ranks if rank.code in codes]

    def _stop_code(self) -> int:
        """Return the exit code that says who asked for the stop; 1 where nobody did."""
        if self._stop.received:
            return self._stop.exit_code
        return next((rank.code for rank in self._stopped() if rank.code), 1)

    def _end_within(self, seconds: float, why: str) -> None:
        """Kill what runs in so many seconds; of several bounds the earliest holds."""
        at = time.monotonic() + seconds
        if at < self._kill_at:
            self._kill_at, self._why = at, why


def end_all(children: Sequence[Child]) -> list[Child]:
    """Kill what still runs of the processes, daemons too; returns those that even SIGKILL has not ended."""
    for child in children:
        child.kill()
    _wait(REAP_S, lambda: all(child.poll() is not None for child in children))
    for pid, command in _daemons({child.pid for child in children}):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        if not any(child.code for child in children):  # or what watches a process still notices that it is gone
            say(f"{command} (pid {pid}) ran on after the process that had started it: killed", file=sys.stderr)
    return [child for child in children if child.code is None]


def _daemons(groups: set[int]) -> Iterator[tuple[int, str]]:
    """Find what runs with our mark and is in none of these groups: pid and command."""
    mark = os.fsencode("=".join(MARK))
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or it has just ended
            if mark in (process / "environ").read_bytes().split(b"\0") and os.getpgid(int(process.name)) not in groups:
                yield int(process.name), os.fsdecode((process / "cmdline").read_bytes().replace(b"\0", b" ").strip())


def _wait(seconds: float, done: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(POLL_S / 4)


def _die_with(parent: int) -> Callable[[], None]:
    """Have a new process, before it becomes the program, killed when ``parent`` dies, as it may just have done."""

    def arrange() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"

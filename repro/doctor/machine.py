"""Inspect a machine, and word what was found: what all checks of `make doctor` share.

The modules of this folder run with whatever Python 3.8 or newer a machine has, before anything is installed, so they
use the standard library alone. They inspect machines in any state: a tool may be missing, hang, or print garbage, a
disk may not answer. None of that may end in a traceback or an endless wait.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

OK, WARNING, FAILURE = "ok", "warning", "failure"
GB = 10**9
_OUTPUT_LIMIT = 1 << 20  # bytes of a tool's output; a driver's tool that prints more is not sane


class Diagnosis(NamedTuple):
    """One finding, a line of the report. ``fix`` is what to do about a warning or a failure."""

    level: str  # OK, WARNING, or FAILURE: the run would break, or would not be the one that was asked for
    name: str
    text: str
    fix: str = ""


def ok(name: str, text: str) -> Diagnosis:
    """Report that nothing needs to be done."""
    return Diagnosis(OK, name, text)


def warning(name: str, text: str, fix: str) -> Diagnosis:
    """Report what a run may survive."""
    return Diagnosis(WARNING, name, text, fix)


def failure(name: str, text: str, fix: str) -> Diagnosis:
    """Report what a run would not survive, or what makes it worthless."""
    return Diagnosis(FAILURE, name, text, fix)


class Answer(NamedTuple):
    """A command's output. ``problem`` is empty if it ended with exit code 0, or else says in words why not."""

    output: str
    problem: str
    missing: bool = False  # there is no such command


@dataclass(frozen=True)
class Machine:
    """The machine as the checks see it; a test gives them another root, environment and timeout."""

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    timeout_s: float = 15  # of one command, and of a storage's answer

    @property
    def inside(self) -> bool:
        """Tell whether this process runs inside one of the project's containers."""
        return bool(self.environment.get("HLG_COMMIT"))  # the image has it, however it was started

    def path(self, path: str | Path) -> Path:
        """Resolve an absolute path of the system, such as /dev/shm."""
        return self.root / str(path).lstrip("/")

    def read(self, path: str | Path) -> str:
        """Read a system file; empty if it can't be read."""
        try:
            return self.path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def which(self, name: str) -> str | None:
        """Find a command on PATH, or where drivers put theirs."""
        places = [self.environment.get("PATH", os.defpath)]
        places += [str(self.path(place)) for place in ("/usr/local/bin", "/usr/local/sbin")]
        return shutil.which(name, path=os.pathsep.join(places))

    def run(self, name: str, *arguments: str) -> Answer:
        """Run a command within ``timeout_s``; kill it if it takes longer or prints without end."""
        command = self.which(name)
        if not command:
            return Answer("", f"{name} was not found", missing=True)
        try:
            process = subprocess.Popen(
                [command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**self.environment, "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            return Answer("", f"{command} can't be run ({error.strerror})")
        deadline = time.monotonic() + self.timeout_s
        try:
            said = _listen(process, deadline)
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            return Answer("", f"{name} did not answer within {self.timeout_s:g} s")
        except ValueError:
            return Answer("", f"{name} prints without end")
        finally:
            _end(process)
        output, errors = (text.decode("utf-8", errors="replace") for text in said)
        if code == 0:
            return Answer(output, "")
        words = one_line(errors) or one_line(output)
        return Answer(output, f"{name} ended with exit code {code}" + (f": {words}" if words else ""))


def _listen(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Collect what a process writes to its standard output and error until both are closed."""
    assert process.stdout
    assert process.stderr
    pipes = [process.stdout.fileno(), process.stderr.fileno()]
    said = dict.fromkeys(pipes, b"")
    waiting = list(pipes)
    while waiting:
        ready, _, _ = select.select(waiting, [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        for pipe in ready:
            block = os.read(pipe, 1 << 16)
            said[pipe] += block
            if not block:
                waiting.remove(pipe)
            if len(said[pipe]) > _OUTPUT_LIMIT:
                raise ValueError("too much output")
    return said[pipes[0]], said[pipes[1]]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children. One that hangs in its driver is left behind, not waited for."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)


def within(seconds: float, work: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of ``work``, which may hang on a disk.

    The thread of a hanging one is left behind, and ends with the program.

    Raises:
        TimeoutError: it took more than ``seconds``.
    """
    result: list[Any] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work(*arguments))
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if problem:
        raise problem[0]
    if not result:
        raise TimeoutError
    return result[0]


def one_line(text: str, width: int = 160) -> str:
    """Return the first line with something to read on it, fit for a terminal."""
    printable = ("".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines())
    return next(filter(None, printable), "")[:width]


def size(count: float) -> str:
    """Format bytes for people: 64 GB, 6.2 GB, 511 MB, 66 kB."""
    if count >= GB:
        return f"{count / GB:.0f} GB" if count >= 10 * GB else f"{count / GB:.1f} GB"
    return f"{count / 10**6:.0f} MB" if count >= 10**6 else f"{count / 1000:.0f} kB"


def number_ranges(numbers: list[int]) -> str:
    """Shorten a list of numbers: 0, 1, 2, 3, 5 -> "0-3, 5"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)

"""What the checks of `make doctor` share: how they look at a machine, and how they say what they found.

The modules of this folder run with whatever Python 3.8 or newer a machine has, before anything is
installed, so they use the standard library alone. They look at machines in any state: a tool may be missing, hang, or
print rubbish, a storage may not answer. None of that may end in a trace or a wait without end.
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
OUTPUT_LIMIT = 1 << 20  # bytes of a tool's output; a driver's tool that prints more is not sane


class Finding(NamedTuple):
    """One line of the report. ``fix`` is what to do about a warning or a failure."""

    level: str  # OK, WARNING, or FAILURE: the run would break, or would not be the one that was asked for
    name: str
    text: str
    fix: str = ""


def ok(name: str, text: str) -> Finding:
    """A finding that needs nothing done."""
    return Finding(OK, name, text)


def warning(name: str, text: str, fix: str) -> Finding:
    """A finding that a run may survive."""
    return Finding(WARNING, name, text, fix)


def failure(name: str, text: str, fix: str) -> Finding:
    """A finding that a run would not survive, or that makes it worthless."""
    return Finding(FAILURE, name, text, fix)


class Answer(NamedTuple):
    """What a command said. ``problem`` is empty where it ended with exit code 0, and else says in words why not."""

    output: str
    problem: str
    missing: bool = False  # there is no such command


@dataclass(frozen=True)
class Machine:
    """The machine as the checks see it; a test hands them another root, environment and patience."""

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    timeout_s: float = 15  # of one command, and of a storage's answer

    @property
    def inside(self) -> bool:
        """Whether this is the inside of one of the project's containers."""
        return bool(self.environment.get("HLG_COMMIT"))  # the image has it, however it was started

    def path(self, path: str | Path) -> Path:
        """An absolute path of the system, such as /dev/shm."""
        return self.root / str(path).lstrip("/")

    def read(self, path: str | Path) -> str:
        """The text of a system's file; empty where it can't be read."""
        try:
            return self.path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def which(self, name: str) -> str | None:
        """The path of a command, on PATH or where drivers put theirs."""
        places = [self.environment.get("PATH", os.defpath)]
        places += [str(self.path(place)) for place in ("/usr/local/bin", "/usr/local/sbin")]
        return shutil.which(name, path=os.pathsep.join(places))

    def run(self, name: str, *arguments: str) -> Answer:
        """Run a command within ``timeout_s``; it is ended where it takes longer or prints without end."""
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
    """All that a process writes to its standard output and error until both are closed."""
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
            if len(said[pipe]) > OUTPUT_LIMIT:
                raise ValueError("too much output")
    return said[pipes[0]], said[pipes[1]]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children. One that hangs in its driver is left behind, not waited for."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)


def within(seconds: float, work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of ``work``, in which a storage may hang.

    Raises TimeoutError after ``seconds``, and leaves the thread behind: it ends with the program.
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
    """The first line with something to read on it, fit to be shown on a terminal."""
    printable = ("".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines())
    return next(filter(None, printable), "")[:width]


def size(count: float) -> str:
    """Bytes for people: 64 GB, 6.2 GB, 511 MB, 66 kB."""
    if count >= GB:
        return f"{count / GB:.0f} GB" if count >= 10 * GB else f"{count / GB:.1f} GB"
    return f"{count / 10**6:.0f} MB" if count >= 10**6 else f"{count / 1000:.0f} kB"


def listing(numbers: list[int]) -> str:
    """0, 1, 2, 3, 5 -> "0-3, 5"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)

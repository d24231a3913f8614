"""Run a program to its end with all that it says in a log, and find in there why it failed."""

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from repro.errors import shown_name

LAST_BYTES = 1 << 16  # of a log in which a reason is looked for
LONGEST_REASON = 300
# What MindSpore, CANN, CUDA, Python and hlg.launch say where memory is short.
_NO_MEMORY = re.compile(
    r"(?i)out of memory|memory (is not|isn't|not) enough|not enough memory|alloc.* memory.* fail|bad_alloc"
)
_EXPLAINED = 2, 3  # exit codes of a program that says in a line `error: ...` what is wrong


class ProgramError(Exception):
    """A program that failed: `code` is its exit code, None if it was never started; the message says why, in a line."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


def run_logged(command: Sequence[str], log: Path, done: Sequence[int] = (0,)) -> None:
    """Run a program to its end, with what it says at the end of the log. It ends with this process, by Ctrl-C too.

    Raises:
        ProgramError: it ended with an exit code other than those of `done`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.write(f"\n$ {shlex.join(command)}\n".encode("utf-8", "backslashreplace"))
        file.flush()
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment())
        except OSError as error:
            raise ProgramError(f"{command[0]}: {error.strerror}") from None
        try:
            code = process.wait()
        except BaseException:  # Ctrl-C, or SIGTERM
            _end(process)
            raise
    if code not in done:
        raise ProgramError(reason_in(log, code), code)


def environment() -> dict[str, str]:
    """Return the variables for a program of hlg: without make's own words for options."""
    return {name: value for name, value in os.environ.items() if name != "HLG_TYPED_AS"}


def reason_in(log: Path, code: int | None = None) -> str:
    """Find why the last program in a log failed: want of memory, its own explanation, an exception, its last line."""
    lines = []
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_BYTES))
        text = file.read().decode(errors="replace").rpartition("\n$ ")[2]
        lines = [line.strip() for line in text.splitlines()[1:] if line.strip() and not line.startswith("logs: ")]
    if not lines:
        return f"ended with exit code {code}"
    short = [line for line in lines if _NO_MEMORY.search(line)]
    told = [line for line in lines if line.startswith("error: ")] if code in _EXPLAINED else []
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*: ", line)]
    found = (short or told or raised or lines)[-1].removeprefix("error: ")
    if short and not found.lower().startswith("out of memory"):
        found = f"out of memory: {found}"
    return shown_name(found)[:LONGEST_REASON]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program that Ctrl-C may have reached too: it saves what it has; then it is killed."""
    for stop in (process.terminate, process.kill):
        stop()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
            return

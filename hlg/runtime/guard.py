"""End a process that has made no progress for too long; the watchdog starts it beside that process.

python -I -S guard.py PID SECONDS WHO STACKS

What PID waits for comes on standard input, a line for each wait; asked by SIGUSR2, it writes its stacks to the file
STACKS, whose descriptor is inherited. It is a process of its own, because a thread would
itself wait for whoever holds the interpreter. Time in which PID, or everything, is suspended does not count.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

TICK_S = 1.0
DUMP_S = 2.0  # for the stacks to be written


def main(pid: int, limit_s: float, who: str, stacks: int) -> None:
    """Watch the process until it closes our input, or until a wait is over ``limit_s``."""
    what, waited_s, rest = b"the start", 0.0, b""
    tick_s = min(TICK_S, limit_s / 4)
    while True:
        start = time.monotonic()
        if select.select([0], [], [], tick_s)[0]:
            read = os.read(0, 1 << 16)
            if not read:
                return
            *lines, rest = (rest + read).split(b"\n")
            if lines:
                what, waited_s = lines[-1], 0.0
        elif not suspended(pid):
            waited_s += min(time.monotonic() - start, 2 * tick_s)  # a longer one was suspended itself
        if waited_s > limit_s:
            end(
                pid, f"{who} waited more than {limit_s:g} s (stall_timeout) for {what.decode(errors='replace')}", stacks
            )
            return


def suspended(pid: int) -> bool:
    """Tell whether the process is stopped, by SIGSTOP or a debugger."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:  # gone, or a system without /proc
        return False
    return stat.rpartition(")")[2].split()[0] in "Tt"


def end(pid: int, why: str, stacks: int) -> None:
    """Show the stacks of the threads of the process, say why it is ended, and end it."""
    try:
        os.kill(pid, signal.SIGUSR2)
        time.sleep(DUMP_S)
        written = os.pread(stacks, 1 << 20, 0).decode(errors="replace")
        shown = "above are the stacks of its threads" if written else "it gave no stacks of its threads"
        print(
            f"{written}error: {why} and is ended; {shown}. If another rank or machine failed, its own message says "
            "why; if this is only slow, raise stall_timeout",
            file=sys.stderr,
            flush=True,
        )
    except OSError:  # the process is gone, or the console is
        pass
    try:
        os.kill(pid, signal.SIGALRM)
        time.sleep(DUMP_S)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4]))

"""Feed every reader with damaged files: nothing but clean errors, in bounded time and memory.

    nice python -m tests.fuzz --minutes 60 --seed 1            # or: ... ROW ROW, such as "rank table"

Each reader works in a child process, which may take CPU_S seconds of a processor and BYTES of memory for a file. What
else happens is kept in build/fuzz/ with its file. Once it is mended, a small file goes to tests/fuzz/found/ROW/, which
tests/test_fuzz.py tries again. Exit codes: 0 nothing was found, 1 something was.
"""

import argparse
import faulthandler
import hashlib
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

from tests.fuzz.damage import damaged
from tests.fuzz.rows import CLEAN, Row, make_rows
from tests.support import ROOT

CPU_S, WALL_S, BYTES = 20, 300, 2 << 30  # for one file; images may take half of the memory
FOUND = Path(__file__).with_name("found")
OUT = ROOT / "build/fuzz"


def try_file(row: Row, content: bytes) -> str:
    """Let the reader of a row read this file; returns what happened if it was no clean error, or nothing."""
    row.path.write_bytes(content)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)  # the signals end the child, whatever it is doing
    signal.alarm(WALL_S)
    try:
        row.read()
    except CLEAN as error:
        if not str(error):
            return "an error without a word"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return ""


def try_in_child(row: Row, contents: list[bytes]) -> tuple[int, str]:
    """Try files in a child process; returns how many were read before one that ended otherwise, and how it did."""
    with tempfile.TemporaryFile() as told:
        if not (pid := os.fork()):
            _begin_child()
            for number, content in enumerate(contents):
                os.pwrite(told.fileno(), f"{number:9}\n".encode(), 0)
                if why := try_file(row, content):
                    os.pwrite(told.fileno(), why.encode("utf-8", "backslashreplace"), 10)
                    os._exit(1)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        told.seek(0)
        number, _, why = told.read().decode().partition("\n")
    if status == 0:
        return len(contents), ""
    return int(number), why or f"ended by {signal.Signals(-status).name}: too long, or a fault of the processor"


def _begin_child() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()  # data
    resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, used + BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # pytest has it write to a stream of its own
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # libraries write there, too
        os.dup2(nothing, stream)


def _keep(name: str, content: bytes, why: str) -> Path:
    path = OUT / name / hashlib.sha256(content).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_suffix(".txt").write_text(why)
    return path


def main() -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("rows", metavar="ROW", nargs="*", help="those alone (all)")
    options = parser.parse_args()
    end, random, tried = time.monotonic() + 60 * options.minutes, Random(options.seed), 0
    seen: set[tuple[str, str]] = set()
    with tempfile.TemporaryDirectory() as folder:
        rows = {name: row for name, row in make_rows(Path(folder)).items() if name in (options.rows or [name])}
        whole = {name: [row.path.read_bytes()] for name, row in rows.items()}
        for name, row in rows.items():
            if tries := try_in_child(row, whole[name])[1]:
                parser.error(f"{name}: the whole file is not read: {tries}")
            whole[name] += [path.read_bytes() for path in sorted((FOUND / name).glob("*"))]
        while time.monotonic() < end:
            for name, row in rows.items():
                contents = [damaged(random.choice(whole[name]), random) for _ in range(row.turn)]
                while contents:
                    read, why = try_in_child(row, contents)
                    tried += read
                    if why and (name, line := why.strip().splitlines()[-1][:60]) not in seen:
                        seen.add((name, line))
                        print(f"{name}: {line}: {_keep(name, contents[read], why)}", flush=True)
                    contents = contents[read + 1 :]
    print(f"{tried:,} damaged files in {len(rows)} rows, {len(seen)} kinds of faults")
    return int(bool(seen))


if __name__ == "__main__":
    sys.exit(main())

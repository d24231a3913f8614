"""A drill: a fault done to a running job, what must happen then, and what is lost. The README's table is made of them.

python -m tests.drills.faults.drill --update README.md
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from repro.markdown import grid, read_table, write_table

NAME = "faults"
Test = TypeVar("Test", bound=Callable[..., None])


@dataclass(frozen=True)
class Drill:
    """One row of the table."""

    fault: str
    happens: str
    lost: str


DRILLS: dict[str, Drill] = {}  # by the name of the test, in the order of the files


def drill(fault: str, happens: str, lost: str) -> Callable[[Test], Test]:
    """Mark a test as a drill."""

    def register(test: Test) -> Test:
        DRILLS[test.__name__] = Drill(fault, happens, lost)
        return test

    return register


def table() -> str:
    """The drills as Markdown."""
    for path in sorted(Path(__file__).parent.glob("test_*.py"), reverse=True):  # ranks, processes, disks, data
        importlib.import_module(f"tests.drills.faults.{path.stem}")
    rows = [(drill.fault, drill.happens, drill.lost) for drill in DRILLS.values()]
    return "\n".join(grid(("Fault", "What happens", "What is lost"), rows)) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills.faults.drill")
    parser.add_argument("--update", metavar="FILE", type=Path)
    parser.add_argument("--check", metavar="FILE", type=Path)
    options = parser.parse_args()
    if options.update:
        write_table(options.update, NAME, table())
    if options.check and read_table(options.check, NAME) != table():
        print(f"{options.check}: the table of faults is out of date; renew it with --update", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # Not as __main__, whose registry the tests would not fill.
    sys.exit(importlib.import_module("tests.drills.faults.drill").main())

"""Faults planted in the real code, for the fingerprint to find, and the row that must be named first.

    python -m tests.drills.numerics.planted FAULT [options of hlg.fingerprint]      # the program with one of them

The faults themselves are in :mod:`tests.drills.numerics.faults`.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import Any, NamedTuple

from hlg.fingerprint import checks as fingerprint
from hlg.fingerprint.bounds import Row, judge_of
from hlg.runtime import device
from repro.markdown import grid

NAME = "planted"
Plant = Callable[[], Any]  # a context in which the fault is there


class Fault(NamedTuple):
    """What is wrong, which row must be the first one out of bounds, and in which precision it is planted."""

    says: str
    row: str
    plant: Plant
    amp_level: str = "O0"


FAULTS: dict[str, Fault] = {}


def fault(says: str, row: str, amp_level: str = "O0") -> Callable[[Plant], Plant]:
    """Register a plant: what the fault is, the first row that must be out, the precision that it is planted in."""

    def register(plant: Plant) -> Plant:
        FAULTS[plant.__name__] = Fault(says, row, plant, amp_level)
        return plant

    return register


# What is left out of the tests for time: faults of the first areas are found before these are reached, and those of the
# last areas leave them as they are.
SLOW = {"forward", "backward", "optimiser"}


@cache
def first_out(name: str) -> Row | None:
    """The first row out of bounds with this fault, in the order of the program, in the mode that is set."""
    found = FAULTS[name]
    own = found.row.split(":")[0]
    own = "backward" if own == "training" else own
    with ExitStack() as stack:
        stack.enter_context(found.plant())
        checks = fingerprint.checks(judge_of(found.amp_level), found.amp_level, device.Device("CPU", "test"))
        wanted = [check for check in checks if check[0] not in SLOW or check[0] == own]
        return next((row for row in fingerprint.rows(wanted) if not row.ok), None)


def table() -> str:
    """The faults as Markdown."""
    importlib.import_module("tests.drills.numerics.faults")
    rows = [(f.says, f"`{f.row}`", f.amp_level) for f in FAULTS.values()]
    return "\n".join(grid(("Fault planted", "First row out of bounds", "Precision"), rows)) + "\n"


def main() -> int:
    importlib.import_module("tests.drills.numerics.faults")
    parser = argparse.ArgumentParser(prog="python -m tests.drills.numerics.planted")
    parser.add_argument("fault", choices=FAULTS)
    options, others = parser.parse_known_args()
    with FAULTS[options.fault].plant():
        return fingerprint.main(others)


if __name__ == "__main__":
    # Not as __main__, whose registry the faults would not fill.
    sys.exit(importlib.import_module("tests.drills.numerics.planted").main())

"""Plant faults in the real code, for the fingerprint to find.

    python -m tests.drills.numerics.planted "Queries are scaled twice" [options of hlg.fingerprint]

runs the program with one of :mod:`tests.drills.numerics.faults`, which also make a table of its page.
"""

import argparse
import sys
from functools import cache

from hlg.fingerprint import __main__ as program
from hlg.fingerprint.bounds import load_reference
from hlg.fingerprint.checks import all_checks, run_checks
from hlg.fingerprint.rows import FingerprintRow
from hlg.runtime.device import Device
from repro.markdown import grid
from tests.drills.numerics.faults import FAULTS

NAME = "planted"
# What is left out of the tests for time: faults of the first areas are found before these are reached, and those of the
# later ones don't touch them.
SLOW = {"initial weights", "forward", "backward", "optimiser"}


@cache
def first_out(says: str) -> FingerprintRow | None:
    """The first row out of bounds with this fault, in the order of the program, in the mode that is set."""
    fault = FAULTS[says]
    area = fault.row.split(":")[0].replace("training", "backward")
    with fault.plant:
        checks = all_checks(load_reference(fault.amp_level), fault.amp_level, Device("CPU", "test"))
        rows = run_checks(check for check in checks if check.area not in SLOW or check.area == area)
        return next((row for row in rows if not row.ok), None)


def table() -> str:
    """The faults as Markdown."""
    rows = [(says, f"`{fault.row}`", fault.amp_level) for says, fault in FAULTS.items()]
    return "\n".join(grid(("Fault planted", "First row out of bounds", "Precision"), rows)) + "\n"


def main() -> int:
    """Run the program with a fault; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.numerics.planted")
    parser.add_argument("fault", choices=FAULTS)
    options, others = parser.parse_known_args()
    with FAULTS[options.fault].plant:
        return program.main(others)


if __name__ == "__main__":
    sys.exit(main())

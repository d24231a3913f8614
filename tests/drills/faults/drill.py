"""A drill: a fault in a running job, what must happen then, and what is lost. A page's table is made from them."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from repro.markdown import grid

NAME = "faults"
FIRST = (  # to be told on the front page
    *("SIGKILL of a run, twice", "SIGTERM, as a scheduler preempts", "SIGKILL of one rank"),
    *("The disk is full", "The data set changes before a run is resumed"),
)
Test = TypeVar("Test", bound=Callable[..., None])
HEADER = ("Fault", "What happens", "What is lost")
DRILLS: dict[str, tuple[str, str, str]] = {}  # the table's rows by the name of the test, in the order of the files


def drill(fault: str, happens: str, lost: str) -> Callable[[Test], Test]:
    """Mark a test as a drill."""

    def register(test: Test) -> Test:
        DRILLS[test.__name__] = (fault, happens, lost)
        return test

    return register


def drills() -> dict[str, tuple[str, str, str]]:
    """All drills, whose modules are imported for it."""
    for path in sorted(Path(__file__).parent.glob("test_*.py"), reverse=True):  # ranks, processes, disks, data
        importlib.import_module(f"tests.drills.faults.{path.stem}")
    return DRILLS


def table() -> str:
    """The drills as Markdown."""
    return "\n".join(grid(HEADER, drills().values())) + "\n"


def excerpt() -> str:
    """The first ones to be told."""
    rows = {row[0]: row for row in drills().values()}
    return "\n".join(grid(HEADER, [rows[fault] for fault in FIRST])) + "\n"

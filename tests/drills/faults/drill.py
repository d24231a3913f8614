"""A drill: a fault in a running job, what must happen then, and what is lost. The README's table is made from them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from repro.markdown import grid

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

"""A drill: a fault in a running job, what must happen then, and what is lost. The README's table is made from them."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from repro.markdown import grid

NAME = "faults"
Test = TypeVar("Test", bound=Callable[..., None])
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
    return "\n".join(grid(("Fault", "What happens", "What is lost"), drills().values())) + "\n"

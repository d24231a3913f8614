"""Read the runs that are compared, finished or not, and the finished ones beside them that tell how runs scatter."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from repro.errors import ReproError
from repro.files import pointed_path
from repro.published.schema import SeedGroup
from repro.published.seeds import seed_group_of
from repro.records.run_folder import read_run, require_run_folder
from repro.records.schema import Run
from repro.records.seal import is_sealed
from repro.records.unfinished import read_unfinished
from repro.report.charts.curves import MOST_RUNS

MOST_SEEDS = 20  # that are read, to know how runs scatter


def read_compared(folders: Sequence[Path]) -> list[Run]:
    """Read two or more runs by their folders, or links to them, in the order that they are named.

    Raises:
        ReproError: there are too few, too many or one twice, or one can't be read; the message names it.
    """
    if not 2 <= len(folders) <= MOST_RUNS:
        raise ReproError(f"RUN: found {len(folders)}, expected 2 to {MOST_RUNS} run folders, such as A=one B=another")
    real: dict[Path, Path] = {}
    for folder in folders:
        pointed = pointed_path(folder)
        own = pointed.resolve()
        if own in real:
            raise ReproError(f"{folder}: this is the run {real[own]} once more; name another one")
        real[own] = folder
    return [_read(pointed_path(folder)) for folder in folders]


def _read(folder: Path) -> Run:
    folder = folder.resolve() if folder.is_symlink() else folder
    try:
        require_run_folder(folder)
        return read_run(folder) if is_sealed(folder) else read_unfinished(folder)
    except OSError as error:
        raise ReproError(f"{folder}: cannot be read: {error.strerror}") from None


def read_seed_group(run: Run, others: Sequence[Run]) -> SeedGroup | None:
    """Return the finished runs that differ from this one in their seed alone, if they have two seeds or more.

    They are the others, and what lies beside it with the recipe, device and commit of its name.
    """
    if run.kind != "train":
        return None
    known = {member.folder.resolve(): member for member in others if member is not run}
    for folder in _alike(run.folder):
        if folder.resolve() not in known:
            with suppress(ReproError, OSError):  # it is not one of those that are compared
                known[folder.resolve()] = read_run(folder)
    return seed_group_of(run, known.values())


def _alike(folder: Path) -> list[Path]:
    """List the newest sealed folders beside this one whose names differ from its name in their time alone."""
    name = folder.name.partition("_")[2]
    try:
        beside = sorted(folder.parent.iterdir(), reverse=True)
    except OSError:
        return []
    found = (path for path in beside if path.name.partition("_")[2] == name and path != folder and is_sealed(path))
    return list(islice(found, MOST_SEEDS))

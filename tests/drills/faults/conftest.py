"""What the drills share: a small data set, jobs on it, the runs that nothing disturbed, and the table at the end."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from hlg.data.tiny.make import TinyRequest, make_tiny
from repro.markdown import columns
from tests.drills.faults.drill import drills
from tests.drills.faults.job import Job, NewJob, Recovers, assert_same_run


@contextmanager
def once(folder: Path) -> Iterator[bool]:
    """Whether this folder is still to be filled, which other workers of pytest-xdist wait for."""
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield not folder.exists()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 training images of three classes and 15 to evaluate on, for all workers."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny"
    with once(out) as missing:
        if missing:
            make_tiny(out, TinyRequest(classes=3, train=12, val=5))
    return out


@pytest.fixture(scope="session")
def undisturbed(data: Path) -> Callable[[int], Path]:
    """The run folder of a job of so many ranks that nothing happened to."""

    def trained(ranks: int) -> Path:
        job = Job(data, data.with_name(f"undisturbed-{ranks}"), ranks)
        with once(job.folder) as missing:
            if missing:
                job.folder.mkdir()
                job.start().ends_with(0)
        return job.run

    return trained


@pytest.fixture
def new_job(data: Path, tmp_path: Path, undisturbed: Callable[[int], Path]) -> NewJob:
    """Makes a job, with ``own_data`` on images that the test may change."""

    def call(own_data: bool = False, **keys: Any) -> Job:
        images = shutil.copytree(data, tempfile.mkdtemp(dir=data.parent), dirs_exist_ok=True) if own_data else data
        job = Job(Path(images), tmp_path, **keys)
        undisturbed(job.ranks)  # which leaves compiled graphs for this one
        return job

    return call


@pytest.fixture
def recovers(undisturbed: Callable[[int], Path], record_property: Callable[[str, object], None]) -> Recovers:
    """Resumes a broken job, unless it has ended, and holds that its end is that of a job that nothing happened to."""

    def call(job: Job, checkpoint: Path | None = None, repeated: int | None = None, note: str = "") -> None:
        again = 0 if (job.run / "SHA256SUMS").exists() else job.resumed(checkpoint)
        assert_same_run(job.run, undisturbed(job.ranks))
        assert repeated in (None, again)
        record_property("after", f"{note}bit-identical, {again} steps run again")

    return call


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait for a timeout come first, so that the others run meanwhile, and the shortest last.

    A worker gets its next test before it has ended one: at the end, two jobs of several ranks could fall to the same.
    """
    items.sort(key=lambda item: ("hangs" not in item.name, item.path.stem == "test_processes"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [("fault", "result", "after it", "seconds")]
    found = (terminalreporter.stats.get(outcome, ()) for outcome in ("passed", "failed", "skipped"))
    for report in chain(*found):
        drill = drills().get(report.nodeid.rpartition("::")[2].partition("[")[0])
        if drill and (report.when == "call" or not report.passed):
            after = dict(report.user_properties).get("after", "-")
            rows.append((drill[0], report.outcome, str(after), f"{report.duration:.0f}"))
    if len(rows) > 1:
        terminalreporter.section("drills")
        terminalreporter.write_line(columns(rows))

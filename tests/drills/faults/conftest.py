"""What the drills share: a small data set, jobs on it, the runs that nothing disturbed, and the table at the end."""

import shutil
from collections.abc import Callable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from hlg.data.tiny.make import TinyRequest, make_tiny
from repro.markdown import columns
from tests.drills.faults.drill import drills
from tests.drills.faults.job import Job, NewJob, Recovers, assert_same_run


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 training images of three classes and 15 to evaluate on."""
    out = tmp_path_factory.mktemp("data") / "tiny"
    make_tiny(out, TinyRequest(classes=3, train=12, val=5))
    return out


@pytest.fixture
def new_job(data: Path, tmp_path: Path) -> NewJob:
    """Makes a job, with ``own_data`` on images that the test may change."""

    def call(own_data: bool = False, **keys: Any) -> Job:
        return Job(shutil.copytree(data, tmp_path / "data") if own_data else data, tmp_path, **keys)

    return call


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The run folder of a job of so many ranks that nothing happened to."""

    @cache
    def trained(ranks: int) -> Path:
        job = Job(data, tmp_path_factory.mktemp("undisturbed"), ranks=ranks)
        job.start().ends_with(0)
        return job.run

    return trained


@pytest.fixture
def recovers(undisturbed: Callable[[int], Path], record_property: Callable[[str, object], None]) -> Recovers:
    """Resumes a broken job, unless it has ended, and holds that its end is that of a job that nothing happened to."""

    def call(job: Job, checkpoint: Path | None = None, repeated: int | None = None, note: str = "") -> None:
        again = 0 if (job.run / "SHA256SUMS").exists() else job.resumed(checkpoint)
        assert_same_run(job.run, undisturbed(job.ranks))
        assert repeated in (None, again)
        record_property("after", f"{note}bit-identical, {again} steps run again")

    return call


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

"""What the drills share: a small data set, the runs that nothing disturbed, and the table at the end."""

from pathlib import Path

import pytest

from hlg.data.tiny.make import TinyRequest, make_tiny
from tests.drills.faults.drill import DRILLS
from tests.drills.faults.job import Job


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 training images of three classes and 15 to evaluate on."""
    out = tmp_path_factory.mktemp("data") / "tiny"
    make_tiny(out, TinyRequest(classes=3, train=12, val=5))
    return out


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a job of one rank that nothing happened to."""
    return Job(data, tmp_path_factory.mktemp("undisturbed")).finished()


@pytest.fixture(scope="session")
def undisturbed_ranks(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a job of two ranks that nothing happened to."""
    return Job(data, tmp_path_factory.mktemp("undisturbed"), ranks=2).finished()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if drill := DRILLS.get(getattr(item, "originalname", item.name)):
        item.user_properties.append(("fault", drill.fault))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report
        for outcome in ("passed", "failed", "skipped")
        for report in terminalreporter.stats.get(outcome, [])
        if "fault" in dict(report.user_properties) and (report.when == "call" or not report.passed)
    ]
    rows = [("fault", "result", "after it", "seconds")]
    for report in reports:
        properties = dict(report.user_properties)
        rows.append((properties["fault"], report.outcome, str(properties.get("after", "-")), f"{report.duration:.0f}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    terminalreporter.section("drills")
    for row in rows:
        terminalreporter.write_line("  ".join((*map(str.ljust, row, widths), row[3])))

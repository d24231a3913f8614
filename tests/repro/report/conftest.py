"""Runs that several files read or vary, and a place for more."""

from pathlib import Path

import pytest

from repro.records.run_folder import read_run, read_runs
from repro.records.schema import Run
from tests.support import ROOT
from tests.support.folders import tiny_train_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Ten epochs of one step each, by the tiny recipe on a CPU."""
    return read_run(tiny_train_run(tmp_path_factory.mktemp("run") / "runs"))


@pytest.fixture(scope="session")
def kept() -> list[Run]:
    """A training and its evaluation, as a CPU made them; those of results/kept are renewed, and these stay."""
    return read_runs(ROOT / "tests/repro/fixtures/runs")[0]


@pytest.fixture(scope="session")
def trained(kept: list[Run]) -> Run:
    """The training among the kept runs."""
    return kept[0]


@pytest.fixture(scope="session")
def of_seeds() -> list[Run]:
    """Three trainings that differ in their seed alone."""
    return read_runs(ROOT / "results/seeds")[0]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder for runs, below one for results."""
    folder = tmp_path / "results" / "runs"
    folder.mkdir(parents=True)
    return folder

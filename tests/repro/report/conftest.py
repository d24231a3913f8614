"""A run that several files read or vary, and a place for more."""

from pathlib import Path

import pytest

from repro.records.run_folder import read_run
from repro.records.schema import Run
from tests.support.folders import tiny_train_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Ten epochs of one step each, by the tiny recipe on a CPU."""
    return read_run(tiny_train_run(tmp_path_factory.mktemp("run") / "runs"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder for runs, below one for results."""
    folder = tmp_path / "results" / "runs"
    folder.mkdir(parents=True)
    return folder

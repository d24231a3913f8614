"""Regressions planted in real runs: make check finds each by what it harms."""

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import pytest

from hlg.data.tiny.make import TinyRequest, make_tiny
from repro.check.baselines import Baseline, make_baseline
from repro.check.judge import judge_run
from repro.published.schema import Verdict
from repro.records.run_folder import read_runs
from repro.records.schema import Run
from tests.support.processes import run_module

Train = Callable[[str], Run]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains with a fault, or with none."""
    folder = tmp_path_factory.mktemp("gate")
    make_tiny(folder / "data", TinyRequest(classes=3, train=32, val=32))

    def call(fault: str) -> Run:
        runs = tmp_path_factory.mktemp(fault)
        run_module("tests.drills.regressions.planted", fault, runs, folder / "data", code=0)
        (run,), unfinished = read_runs(runs)
        assert unfinished == []
        return run

    return call


@pytest.fixture(scope="module")
def baseline(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    """Two repetitions. Code under development has changes, of which a baseline would not be made."""
    runs = (train("none"), train("none"))
    clean = [replace(run, env=replace(run.env, dirty=False)) for run in runs]
    with patch("repro.check.baselines.NOISIEST", 10):  # steps this short scatter; the planted delay is far beyond
        return make_baseline(clean, tmp_path_factory.mktemp("baselines"))


def verdicts(run: Run, baseline: Baseline) -> dict[str, Verdict]:
    return {finding.name: finding.verdict for finding in judge_run(run, [baseline], baseline.path.parent).findings}


def test_a_slower_step_is_found_by_its_speed_alone(train: Train, baseline: Baseline) -> None:
    found = verdicts(train("slow_step"), baseline)
    assert found.pop("convergence") is Verdict.INCOMPARABLE
    assert found == {"losses": Verdict.MATCH, "accuracy": Verdict.MATCH, "speed": Verdict.WORSE}


def test_a_wrong_augmentation_is_found_by_the_losses(train: Train, baseline: Baseline) -> None:
    assert verdicts(train("every_image_flipped"), baseline)["losses"] is Verdict.WORSE


def test_a_lower_accuracy_is_found_where_no_loss_tells(train: Train, baseline: Baseline) -> None:
    found = verdicts(train("other_labels"), baseline)
    assert (found["losses"], found["accuracy"]) == (Verdict.MATCH, Verdict.WORSE)

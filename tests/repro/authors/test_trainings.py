"""Which of our trainings are of the recipe that is compared, and what each reached."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from repro.authors import trainings
from repro.authors.trainings import is_of, our_outcome, train_ours
from repro.errors import ReproError
from repro.records.run_folder import read_run
from tests.support import ROOT

RECIPE = ROOT / "configs/tiny.yml"
KEPT = ROOT / "results/kept/20261125T130834Z_tiny_cpux1_7ade8202"


def test_a_run_is_of_its_recipe_unless_a_key_differs() -> None:
    run = read_run(KEPT)
    assert is_of(run, RECIPE, {})
    assert not is_of(run, RECIPE, {"weight_decay": "5"})
    assert not is_of(run, ROOT / "configs/check.yml", {})


def test_a_run_reached_the_accuracy_after_its_last_epoch() -> None:
    outcome = our_outcome(read_run(KEPT))
    assert outcome.top1_pct == pytest.approx(90.94, abs=0.01)
    assert len(outcome.losses) == 480


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a kept run, whose commit is the one that lies here; whatever is started notes itself and fails."""
    shutil.copytree(KEPT, tmp_path / "runs" / KEPT.name)
    commit = read_run(KEPT).env.commit
    (tmp_path / "revision.sh").write_text(f"echo {commit}\n")
    monkeypatch.setattr(trainings, "REVISION", tmp_path / "revision.sh")
    (tmp_path / "started.sh").write_text(f'echo "$*" >{tmp_path}/started\nexit 75\n')
    monkeypatch.setattr(sys, "executable", shutil.which("bash"))
    monkeypatch.setattr(trainings, "LAUNCH", (str(tmp_path / "started.sh"),))
    return tmp_path / "runs"


def test_a_finished_seed_is_not_trained_again(runs: Path) -> None:
    assert [run.folder.name for run in train_ours(RECIPE, [1], runs)] == [KEPT.name]
    with pytest.raises(ReproError, match=r"could not train: .* ended with exit code 75"):
        train_ours(RECIPE, [1, 2], runs)
    assert "--seeds 2 " in (runs.parent / "started").read_text()


def test_what_was_cut_short_or_is_of_another_commit_is_trained_again(runs: Path) -> None:
    (runs / KEPT.name / "SHA256SUMS").unlink()
    with pytest.raises(ReproError, match="could not train"):
        train_ours(RECIPE, [1], runs)
    assert not (runs / KEPT.name).exists()
    shutil.copytree(KEPT, runs / KEPT.name)
    subprocess.run(["sed", "-i", "s/echo ./echo x/", str(runs.parent / "revision.sh")], check=True)
    with pytest.raises(ReproError, match="could not train"):
        train_ours(RECIPE, [1], runs)
    assert (runs / KEPT.name).exists()

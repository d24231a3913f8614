"""What a run folder says of code, software and machine."""

import json
import shutil
from pathlib import Path

import pytest

from hlg.record.environment import ROOT, environment_facts, git_state
from hlg.record.run_folder import RunFolder
from tests.support.processes import run_git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of two files, in the place of this one."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "step.py").write_text("lr = 0.1\n")
    (folder / "golden.npz").write_bytes(bytes(range(256)))
    run_git(folder, "init", "--quiet")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "--quiet", "--message", "one")
    monkeypatch.setattr("hlg.record.environment.ROOT", folder)
    monkeypatch.delenv("HLG_COMMIT", raising=False)
    return folder


def _kept(runs: Path) -> tuple[RunFolder, dict[str, object]]:
    run = RunFolder.create(runs, "train", "tiny", "CPU")
    with run:
        run.write("env.json", run.with_patch(environment_facts({"target": "CPU", "names": ["x"], "count": 1})))
    return run, json.loads((run.path / "env.json").read_text())


def test_what_was_changed_in_the_code_lies_beside_the_run_and_makes_its_code_again(code: Path, tmp_path: Path) -> None:
    (code / "step.py").write_text("lr = 0.2  # é\n")
    (code / "golden.npz").write_bytes(bytes(range(255, -1, -1)))
    for taste in (("color.ui", "always"), ("diff.noprefix", "true"), ("diff.external", "false")):
        run_git(code, "config", *taste)
    run, env = _kept(tmp_path / "runs")
    assert env["dirty"] is True
    patch = run.path / str(env["patch"])
    assert patch.name in (run.path / "SHA256SUMS").read_text()
    fresh = tmp_path / "fresh"
    run_git(tmp_path, "clone", "--quiet", str(code), str(fresh))
    run_git(fresh, "checkout", "--quiet", str(env["commit"]))
    run_git(fresh, "apply", str(patch))
    for name in ("step.py", "golden.npz"):
        assert (fresh / name).read_bytes() == (code / name).read_bytes()


def test_a_run_of_committed_code_has_no_patch(code: Path, tmp_path: Path) -> None:
    run, env = _kept(tmp_path / "runs")
    assert env["dirty"] is False
    assert "patch" not in env
    assert not list(run.path.glob("*.patch"))


def test_an_image_of_changed_code_says_that_it_does_not_know_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLG_COMMIT", "0123456789" * 4 + "-dirty")
    _, env = _kept(tmp_path)
    assert "what was changed in the code" in str(env["missing"])
    assert "patch" not in env


def test_the_environment_says_what_could_not_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlg.record.environment.shutil.which", lambda name: None)
    env = environment_facts({"target": "CPU", "names": ["x"], "count": 1}, seed=1)
    assert env["commit"] is None
    assert "commit: not a git checkout" in env["missing"]
    assert env["packages"]["mindspore"]
    assert env["cpu"]["cores"] >= 1


def test_in_an_image_the_commit_is_the_one_it_was_built_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLG_COMMIT", "0123456789" * 4)
    assert git_state() == {"commit": "0123456789" * 4, "dirty": False}
    monkeypatch.setenv("HLG_COMMIT", "0123456789" * 4 + "-dirty")
    assert git_state() == {"commit": "0123456789" * 4, "dirty": True}
    monkeypatch.setattr("hlg.record.environment.shutil.which", lambda name: None)
    monkeypatch.setenv("HLG_COMMIT", "unknown")
    assert git_state() == {"commit": None, "dirty": None}


def test_the_environment_names_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLG_IMAGE_DIGEST", "sha256:" + "a" * 64)
    env = environment_facts({"target": "CPU", "names": ["x"], "count": 1})
    assert env["variables"]["HLG_IMAGE_DIGEST"] == "sha256:" + "a" * 64


@pytest.mark.parametrize(("program", "kept"), [(ROOT / "hlg/train.py", "hlg/train.py"), ("/opt/own.py", "/opt/own.py")])
def test_a_program_of_the_checkout_is_named_from_there(
    program: Path | str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [str(program), "--seed", "2"])
    env = environment_facts({"target": "CPU", "names": ["x"], "count": 1})
    assert env["argv"] == [kept, "--seed", "2"]

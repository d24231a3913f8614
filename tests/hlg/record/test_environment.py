"""What a run folder says of code, software and machine."""

import json
import shutil
from pathlib import Path

import pytest

from hlg.record.environment import ROOT, environment_facts, git_state
from hlg.record.run_folder import RunFolder
from tests.support.processes import make_commit, run_git

COMMIT = "0123456789" * 4
DEVICE = {"target": "CPU", "names": ["x"], "count": 1}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two files to change, in the place of this one."""
    folder = tmp_path / "code"
    (folder / "hlg").mkdir(parents=True)
    (folder / "hlg/__init__.py").touch()
    (folder / "docker").mkdir()
    shutil.copy(ROOT / "docker/revision.sh", folder / "docker")
    (folder / "step.py").write_text("lr = 0.1\n")
    (folder / "golden.npz").write_bytes(bytes(range(256)))
    make_commit(folder)
    monkeypatch.setattr("hlg.record.environment.ROOT", folder)
    monkeypatch.delenv("HLG_COMMIT", raising=False)
    return folder


def _recorded(runs: Path) -> tuple[Path, dict[str, object]]:
    """A run folder, and its env.json."""
    with RunFolder.create(runs, "train", "tiny", "CPU") as run:
        run.write("env.json", run.with_patch(environment_facts(DEVICE)))
    return run.path, json.loads((run.path / "env.json").read_text())


def test_what_was_changed_in_the_code_lies_beside_the_run_and_makes_its_code_again(code: Path, tmp_path: Path) -> None:
    run, env = _recorded(tmp_path / "runs")
    assert env["dirty"] is False
    assert "patch" not in env
    assert not list(run.glob("*.patch"))
    (code / "step.py").write_text("lr = 0.2  # é\n")
    (code / "golden.npz").write_bytes(bytes(range(255, -1, -1)))
    for taste in (("color.ui", "always"), ("diff.noprefix", "true"), ("diff.external", "false")):
        run_git(code, "config", *taste)
    run, env = _recorded(tmp_path / "runs")
    assert env["dirty"] is True
    assert str(env["patch"]) in (run / "SHA256SUMS").read_text()
    fresh = tmp_path / "fresh"
    run_git(tmp_path, "clone", "--quiet", str(code), str(fresh))
    run_git(fresh, "checkout", "--quiet", str(env["commit"]))
    run_git(fresh, "apply", str(run / str(env["patch"])))
    for name in ("step.py", "golden.npz"):
        assert (fresh / name).read_bytes() == (code / name).read_bytes()


@pytest.mark.parametrize(("built_from", "dirty"), [(COMMIT, False), (f"{COMMIT}-dirty", True)])
def test_in_an_image_the_commit_is_the_one_it_was_built_from(
    built_from: str, dirty: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLG_COMMIT", built_from)
    assert git_state() == {"commit": COMMIT, "dirty": dirty}
    _, env = _recorded(tmp_path)
    assert ("what was changed in the code" in str(env["missing"])) == dirty
    assert "patch" not in env


def test_without_a_commit_of_its_own_the_code_is_known_by_its_hash_and_no_other_repository_is_recorded(
    code: Path, tmp_path: Path
) -> None:
    shutil.rmtree(code / ".git")
    make_commit(tmp_path)
    (code / "step.py").write_text("lr = 0.2\n")
    run, env = _recorded(tmp_path / "runs")
    assert (env["commit"], env["dirty"], run.name.split("_")[-1]) == (None, None, "nogit")
    assert "commit: this folder lies in another git repository" in str(env["missing"])
    assert len(str(env["source_sha256"])) == 64
    assert not list(run.glob("*.patch"))


@pytest.mark.parametrize(("program", "named"), [(ROOT / "hlg/train.py", "hlg/train.py"), ("/own.py", "/own.py")])
def test_command_and_software_are_recorded(program: Path | str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [str(program), "--seed", "2"])
    monkeypatch.setenv("HLG_IMAGE_DIGEST", "sha256:" + "a" * 64)
    env = environment_facts(DEVICE, seed=2)
    assert env["argv"] == [named, "--seed", "2"]
    assert env["seed"] == 2
    assert env["variables"]["HLG_IMAGE_DIGEST"] == "sha256:" + "a" * 64
    assert env["packages"]["mindspore"]
    assert env["cpu"]["model"]
    assert env["cpu"]["cores"] >= 1

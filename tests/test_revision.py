"""Whose commit docker/revision.sh names, and why it names none."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.processes import make_commit, run_command

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

UNKNOWN = r"unknown sha256:[0-9a-f]{64} "


def unpack(folder: Path) -> Path:
    """What docker/revision.sh looks at, without a repository."""
    for name in ("docker/revision.sh", "hlg/__init__.py", "repro/errors.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def revision(folder: Path, *options: str, **variables: str) -> str:
    env = {"PATH": os.environ["PATH"], **variables}
    return run_command(folder / "docker/revision.sh", *options, cwd=Path("/"), env=env, inherit=False).stdout


def test_a_checkout_is_named_by_its_commit_and_changes(tmp_path: Path) -> None:
    commit = make_commit(unpack(tmp_path))
    assert revision(tmp_path) == f"{commit}\n"
    (tmp_path / "hlg/new.py").touch()
    assert revision(tmp_path) == f"{commit}\n"
    assert revision(tmp_path, "--untracked") == f"{commit}-dirty\n"
    (tmp_path / "hlg/__init__.py").write_text("changed\n")
    assert revision(tmp_path) == f"{commit}-dirty\n"
    assert "+changed" in revision(tmp_path, "--patch")


@pytest.mark.parametrize("tracked", [True, False])
def test_another_repository_further_up_says_nothing_of_this_code(tracked: bool, tmp_path: Path) -> None:
    inner = tmp_path / "vendor/hlg-repro"
    if tracked:
        unpack(inner)
    (tmp_path / "secret").write_text("before")
    make_commit(tmp_path)
    unpack(inner)
    (tmp_path / "secret").write_text("password")
    first = revision(inner)
    assert re.fullmatch(UNKNOWN + "this folder lies in another git repository\n", first)
    assert revision(inner, "--patch") == ""
    (inner / "hlg/__init__.py").write_text("changed\n")
    assert revision(inner).split()[1] != first.split()[1]


def test_the_variables_of_a_hook_do_not_name_another_repository(tmp_path: Path) -> None:
    other, here = unpack(tmp_path / "other"), unpack(tmp_path / "here")
    make_commit(other)
    commit = make_commit(here)
    assert revision(here, GIT_DIR=str(other / ".git"), GIT_WORK_TREE=str(here)) == f"{commit}\n"


def test_why_no_commit_is_known(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "find", "sort", "xargs", "sha256sum"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    plain, untracked, others = (unpack(tmp_path / name) for name in ("plain", "untracked", "others"))
    (untracked / ".gitignore").write_text("hlg\n")
    make_commit(untracked)
    make_commit(others)
    for folder, variables, why in (
        (plain, {"GIT_CEILING_DIRECTORIES": str(tmp_path)}, "this folder is no git checkout"),
        (plain, {"PATH": str(tmp_path / "bin")}, "git is not installed"),
        (untracked, {}, "the git repository of this folder has no commit with hlg/"),
        (others, {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}, "git does not trust this folder, which is another user's: "),
        (others, {"HLG_COMMIT": "unknown"}, "the image was built from no known commit"),
    ):
        assert re.match(UNKNOWN + re.escape(why), revision(folder, **variables)), why

"""Two commits by turns, in a repository made for it, and two kept files side by side."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from repro.bench.compare import main
from tests.support.processes import run_git
from tests.support.programs import Call

PROGRAM = """
import sys
print("ready", flush=True)
for _ in sys.stdin:
    print({seconds}, flush=True)
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits: the first takes 2 s a repetition, the second 1 s; and 0.5 s in what is not committed."""
    monkeypatch.chdir(tmp_path)
    run_git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "hlg").mkdir()
    (tmp_path / "hlg/__init__.py").touch()
    for seconds in (2.0, 1.0):
        (tmp_path / "hlg/bench.py").write_text(PROGRAM.format(seconds=seconds))
        run_git(tmp_path, "add", "hlg")
        run_git(tmp_path, "commit", "--quiet", "--message", f"{seconds}")
    (tmp_path / "hlg/bench.py").write_text(PROGRAM.format(seconds=0.5))
    return tmp_path


def test_commits_and_the_code_as_it_stands_are_measured_by_turns(repository: Path, call: Call) -> None:
    found = call(main, "main~1", "main", "--rounds", "2").out.splitlines()
    assert found[1].split()[:3] == ["A", "main~1", "2.0000"]
    assert found[2].split()[:3] == ["B", "main", "1.0000"]
    assert "0.500" in found[2]
    assert "0.500" in call(main, "main", ".", "--rounds", "1").out
    assert not list((repository / "build/compare").iterdir())  # nothing is left behind


def test_what_stands_behind_two_dashes_reaches_the_measurement(repository: Path, call: Call) -> None:
    (repository / "hlg/bench.py").write_text("import sys\nsys.exit(len(sys.argv))\n")
    said = call(main, ".", ".", "--what", "forward", "--rounds", "1", "--", "--batch_size", "8", code=2)
    told = len(["bench.py", "forward", "--paced", "--batch_size", "8"])
    assert f"has ended with exit code {told}" in said.err


def test_a_commit_without_the_measurement_is_named_and_nothing_is_left(repository: Path, call: Call) -> None:
    run_git(repository, "rm", "--quiet", "--force", "hlg/bench.py")
    run_git(repository, "commit", "--quiet", "--message", "none")
    assert "B main: has ended with exit code 1" in call(main, "main~1", "main", "--rounds", "1", code=2).err
    assert not list((repository / "build/compare").iterdir())


def test_a_repository_further_up_is_left_alone(repository: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    run_git(repository, "mv", "hlg", "vendor")
    run_git(repository, "commit", "--quiet", "--all", "--message", "another project")
    monkeypatch.chdir(repository / "vendor")
    said = call(main, "main", ".", "--rounds", "1", code=2).err
    assert said == "error: main: this commit has no hlg/, so git answers for another repository here\n"


def test_ctrl_c_is_one_line_and_leaves_no_folder(repository: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setattr("repro.bench.compare.pace_programs", Mock(side_effect=KeyboardInterrupt))
    said = call(main, "main~1", "main", code=130).err
    assert said == "stopped by Ctrl-C: no result; the checkouts of the commits are removed\n"
    assert not list((repository / "build/compare").iterdir())


def kept(path: Path, **changes: Any) -> str:
    found = {"what": "step", "batch_size": 8, "median_s": 1.5, "images_per_s": 5.0, "times_s": [1.0, 1.5, 3.0]}
    found["environment"] = {"cpu": {"model": "this"}, "packages": {"mindspore": "2.10.0"}}
    path.write_text(json.dumps(found | changes))
    return str(path)


def test_files_stand_side_by_side_with_what_differs(tmp_path: Path, call: Call) -> None:
    other = {"cpu": {"model": "that"}, "packages": {"mindspore": "2.10.0"}}
    said = call(main, kept(tmp_path / "a"), kept(tmp_path / "b", median_s=3.0, environment=other)).out
    rows = [line.split() for line in said.splitlines()]
    assert ["median_s", "1.5", "3", "2.000"] in rows
    assert ["cpu", "model", "this", "that"] in rows
    assert not any("mindspore" in row for row in rows)


def test_files_of_other_things_are_refused(tmp_path: Path, call: Call) -> None:
    step, other = kept(tmp_path / "a"), kept(tmp_path / "b", what="input")
    assert "A measured step and B input" in call(main, step, other, code=2).err
    (tmp_path / "b").write_text("[]")
    assert "expected one JSON object" in call(main, step, other, code=2).err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["nowhere", "."], "nowhere: is no commit and no file"), ([".", ".", "--rounds", "0"], "--rounds: found 0")],
)
def test_mistakes_are_said_in_a_line(arguments: list[str], reason: str, repository: Path, call: Call) -> None:
    assert reason in call(main, *arguments, code=2).err

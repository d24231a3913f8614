"""`make setup`: says what does not fit, and does nothing twice."""

import ast
import hashlib
import sys
from pathlib import Path

import pytest

from repro import bootstrap


def test_a_python_without_wheels_is_refused_and_the_supported_ones_are_named() -> None:
    said = bootstrap.unsupported((3, 13, 0), "Linux", "x86_64")
    assert "Python 3.13 is not supported" in said
    assert "3.11 or 3.12" in said
    assert "make setup PYTHON=python3.11" in said


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_supported_machines_pass(machine: str) -> None:
    assert bootstrap.unsupported((3, 11, 2), "Linux", machine) == ""


def test_a_system_without_wheels_is_refused_by_name() -> None:
    assert "Darwin on arm64 is not supported" in bootstrap.unsupported((3, 11), "Darwin", "arm64")


def test_an_environment_that_was_built_from_this_lock_is_left_alone(tmp_path: Path) -> None:
    lock, venv = tmp_path / "lock", tmp_path / "venv"
    lock.write_text("a==1\n")
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (venv / bootstrap.STAMP).write_text(hashlib.sha256(lock.read_bytes()).hexdigest())
    assert not bootstrap.build(venv, lock)


def test_a_failure_ends_in_one_sentence_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"could not import MindSpore: install the package libgomp1"):
        bootstrap.run(
            "import MindSpore",
            sys.executable,
            "-c",
            "raise ImportError('libgomp.so.1: cannot open shared object file')",
        )
    assert "libgomp.so.1" in capsys.readouterr().err


def test_an_environment_that_was_cut_short_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, venv = tmp_path / "lock", tmp_path / "venv"
    lock.write_text("")
    done: list[str] = []

    def run(what: str, *command: str, **options: object) -> None:
        done.append(what)
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        (venv / "bin" / "python").touch()
        if what == "install the packages" and len(done) < 4:
            raise SystemExit("error: cut short")

    monkeypatch.setattr(bootstrap, "run", run)
    with pytest.raises(SystemExit, match="cut short"):
        bootstrap.build(venv, lock)
    done += ["pad"] * 2
    assert bootstrap.build(venv, lock)
    assert not bootstrap.build(venv, lock)


def test_the_setup_script_reads_on_any_python_3() -> None:
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 4))

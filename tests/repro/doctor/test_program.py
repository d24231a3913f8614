"""The program of `make doctor` on this very machine."""

import json
import os
import sys
from pathlib import Path

import pytest

from repro.doctor import __main__ as doctor
from tests.support import ROOT
from tests.support.machines import FakeMachine
from tests.support.processes import run_command, run_module
from tests.support.programs import Call


def test_on_this_very_machine_a_run_on_the_cpu_is_looked_at_whatever_its_folders_are_called(tmp_path: Path) -> None:
    options = ("--runs", tmp_path / "läufe", "--imagenet", os.fsdecode(b"/\xff"))
    done = run_module("repro.doctor", *options, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (1, "")
    assert "Traceback" not in done.stdout
    assert "No such file or directory" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("do not start: ")
    assert "\033" not in done.stdout


def test_a_pager_that_is_closed_ends_it_without_a_trace(tmp_path: Path) -> None:
    assert run_command("bash", "-c", f"{sys.executable} -m repro.doctor --runs {tmp_path} | true").stderr == ""


@pytest.mark.parametrize("words", [["--device", "tpu"], ["--devices", "0,x"], ["--devices", "0,0"], ["--epochs", "x"]])
def test_a_wrong_option_is_exit_code_2(words: list[str], call: Call) -> None:
    assert words[0] in call(doctor.main, *words, code=2).err


def test_it_starts_where_nothing_is_installed() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import repro.doctor.__main__"
    assert run_command(sys.executable, "-I", "-S", "-c", code).stderr == ""


def test_the_findings_can_be_had_as_json_and_a_check_that_stumbles_is_a_warning_while_the_others_go_on(
    fake: FakeMachine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "clock_error_us", lambda: 1 // 0)
    options = ["--device", "gpu", "--runs", str(fake.root), "--venv", str(fake.venv), "--json"]
    assert doctor.main(options, fake.machine) == 1
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert found["driver"]["level"] == "failure"
    assert found["driver"]["fix"]
    assert found["clock"]["level"] == "warning"
    assert found["clock"]["text"].startswith("could not be checked (ZeroDivisionError")

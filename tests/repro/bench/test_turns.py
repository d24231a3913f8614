"""Programs that take turns: small ones here, which answer what they are told to."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from repro.bench import turns
from repro.bench.pacing import PacedProgram
from tests.support.programs import Call

ANSWER = """
import sys
print("compiling")
print("ready", flush=True)
for _, seconds in zip(sys.stdin, {seconds}):
    print(seconds, flush=True)
"""
Program = Callable[..., str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The words NAME=COMMAND of a program that answers with these seconds."""

    def write(name: str, *seconds: object, text: str = ANSWER) -> str:
        (tmp_path / f"{name}.py").write_text(text.format(seconds=seconds))
        return f"{name}={sys.executable} {tmp_path}/{name}.py"

    return write


def test_the_second_repetition_counts_and_ratios_are_of_one_round(program: Program, tmp_path: Path, call: Call) -> None:
    commands = program("ours", 9, 1.0, 9, 2.0, 9, 4.0), program("other", 9, 2.0, 9, 4.0, 9, 8.0)
    said = call(turns.main, "--rounds", "3", "--json", f"{tmp_path}/new/pace.json", *commands)
    first, second = json.loads((tmp_path / "new/pace.json").read_text())["programs"]
    assert (first["name"], first["median_s"], first["ratio"]) == ("ours", 2.0, 1.0)
    assert (second["name"], second["times_s"]) == ("other", [2.0, 4.0, 8.0])
    assert (second["ratio"], second["ratio_quartiles"]) == (2.0, [2.0, 2.0])
    assert "other    4.0000" in said.out


@pytest.mark.parametrize(
    ("seconds", "text", "reason"),
    [
        ((), "import sys; sys.exit(7)", "it: has ended with exit code 7, see above"),
        ((9, 1.0), ANSWER, "it: has ended"),
        (("soon",), ANSWER, "it: expected the seconds of a repetition, found 'soon'"),
    ],
)
def test_a_program_that_fails_is_named(program: Program, seconds: tuple, text: str, reason: str, call: Call) -> None:
    said = call(turns.main, "--rounds", "3", program("it", *seconds, text=text), code=2)
    assert f"error: {reason}" in said.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rounds", "0", "a=true"], "--rounds: found 0"),
        (["a"], "expected NAME=COMMAND"),
        (["a=true", "a=true"], "expected NAME=COMMAND"),
        (["a=/no/such/program"], "a: cannot be started"),
    ],
)
def test_mistakes_are_said_in_a_line(arguments: list[str], reason: str, call: Call) -> None:
    assert reason in call(turns.main, *arguments, code=2).err


def test_a_file_that_cannot_be_written_is_named_after_the_result(program: Program, tmp_path: Path, call: Call) -> None:
    (tmp_path / "taken.json").mkdir()
    said = call(turns.main, "--rounds", "1", "--json", f"{tmp_path}/taken.json", program("ours", 9, 1.0), code=2)
    assert "ours     1.0000" in said.out
    assert said.err == f"error: --json {tmp_path}/taken.json: Is a directory; the result above is in no file\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.py", "taken.json"]


def test_ctrl_c_is_a_line_and_ends_the_programs(program: Program, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[PacedProgram] = []
    monkeypatch.setattr(PacedProgram, "wait", lambda one: started.append(one))
    monkeypatch.setattr(PacedProgram, "turn", Mock(side_effect=KeyboardInterrupt))
    said = call(turns.main, program("ours", 1.0), program("other", 1.0), code=130)
    assert [one.process.returncode for one in started] == [0, 0]
    assert said.err == "stopped by Ctrl-C: no result, and the programs have ended\n"

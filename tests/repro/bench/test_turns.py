"""Programs that take turns: small ones here, which answer what they are told to."""

import json
import sys
from pathlib import Path

import pytest

from repro.bench import turns
from repro.bench.pacing import PacedProgram, pace_programs
from repro.errors import ReproError

ANSWER = """
import sys
print("compiling")
print("ready", flush=True)
for _, seconds in zip(sys.stdin, {seconds}):
    print(seconds, flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> object:
    def write(name: str, *seconds: object, text: str = ANSWER) -> str:
        (tmp_path / f"{name}.py").write_text(text.format(seconds=seconds))
        return f"{sys.executable} {tmp_path}/{name}.py"

    return write


def test_the_second_repetition_of_a_turn_counts_and_ratios_are_of_the_same_round(program, tmp_path, capsys) -> None:
    ours, other = program("ours", 9, 1.0, 9, 2.0, 9, 4.0), program("other", 9, 2.0, 9, 4.0, 9, 8.0)
    code = turns.main(["--rounds", "3", "--json", f"{tmp_path}/new/pace.json", f"ours={ours}", f"other={other}"])
    assert code == 0
    found = json.loads((tmp_path / "new/pace.json").read_text())
    first, second = found["programs"]
    assert (first["name"], first["median_s"], first["ratio"]) == ("ours", 2.0, 1.0)
    assert (second["name"], second["times_s"]) == ("other", [2.0, 4.0, 8.0])
    assert (second["ratio"], second["ratio_quartiles"]) == (2.0, [2.0, 2.0])
    assert "other    4.0000" in capsys.readouterr().out


def test_a_program_that_fails_is_named_with_its_exit_code(program) -> None:
    command = program("broken", text="import sys; sys.exit(7)")
    with pytest.raises(ReproError, match="broken: has ended with exit code 7"):
        pace_programs({"broken": command}, 1)


def test_a_program_that_ends_between_turns_is_named(program) -> None:
    with pytest.raises(ReproError, match="short: has ended"):
        pace_programs({"short": program("short", 9, 1.0)}, 3)


def test_an_answer_that_is_no_number_is_named(program) -> None:
    with pytest.raises(ReproError, match="odd: expected the seconds of a repetition, found 'soon'"):
        pace_programs({"odd": program("odd", "soon")}, 1)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rounds", "0", "a=true"], "--rounds: found 0"),
        (["a"], "expected NAME=COMMAND"),
        (["a=true", "a=true"], "expected NAME=COMMAND"),
        (["a=/no/such/program"], "a: cannot be started"),
    ],
)
def test_mistakes_are_said_in_a_line(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert turns.main(arguments) == 2
    assert reason in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named_behind_the_result(program, tmp_path, capsys) -> None:
    (tmp_path / "taken.json").mkdir()
    assert turns.main(["--rounds", "1", "--json", f"{tmp_path}/taken.json", f"ours={program('ours', 9, 1.0)}"]) == 2
    said = capsys.readouterr()
    assert "ours     1.0000" in said.out
    assert said.err == f"error: --json {tmp_path}/taken.json: Is a directory; the result above is in no file\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.py", "taken.json"]


def test_ctrl_c_is_one_line_and_ends_the_programs(program, capsys, monkeypatch) -> None:
    monkeypatch.setattr(PacedProgram, "turn", ctrl_c)
    started: list[PacedProgram] = []
    monkeypatch.setattr(PacedProgram, "wait", lambda one: started.append(one))
    assert turns.main([f"ours={program('ours', 1.0)}", f"other={program('other', 1.0)}"]) == 130
    assert [one.process.returncode for one in started] == [0, 0]
    assert capsys.readouterr().err == "stopped by Ctrl-C: no result, and the programs have ended\n"


def ctrl_c(_: PacedProgram) -> float:
    raise KeyboardInterrupt

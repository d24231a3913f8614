"""The table of speeds: made of kept measurements, and in the README as it is made."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from repro.markdown import read_table
from repro.speeds import GRAPHS, MACHINES, graphs, main, table

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "results" / "benchmarks"


def test_the_tables_in_the_readme_are_those_of_the_kept_measurements() -> None:
    for machine in MACHINES:
        assert read_table(ROOT / "README.md", f"speeds_{machine}") == table(KEPT / machine)
    assert read_table(ROOT / "README.md", GRAPHS) == graphs(KEPT)


@pytest.mark.parametrize(("machine", "repetitions"), [("epyc_26", 2), ("xeon", 2), ("epyc", 1)])
@pytest.mark.parametrize("what", ["step", "forward"])
def test_a_turn_has_as_many_repetitions_as_the_readme_says(what: str, machine: str, repetitions: int) -> None:
    found = json.loads((KEPT / machine / f"{what}.json").read_text())
    ours = next(program for program in found["programs"] if program["name"] == "ours")
    assert found["ours"]["times_s"][repetitions - 1 :: repetitions] == ours["times_s"]
    assert "in the last table, which is older, a turn was one repetition" in (ROOT / "README.md").read_text()


def _machines(found: Any) -> set[tuple[str, str | None, int]]:
    """What the environments in a measurement name as processor and cores."""
    if isinstance(found, list):
        return set().union(*map(_machines, found))
    if not isinstance(found, dict):
        return set()
    cpu = found.get("environment", {}).get("cpu")
    own = {(cpu["model"], cpu.get("kind"), cpu["cores"])} if cpu else set()
    return own.union(*map(_machines, found.values()))


@pytest.mark.parametrize("machine", MACHINES)
def test_what_stands_in_one_table_was_measured_on_one_machine(machine: str) -> None:
    files = [KEPT / machine / f"{name}.json" for name in ("forward", "step", "evaluate", "input", "startup")]
    found = {file: _machines(json.loads(file.read_text())) for file in files}
    if machine == "epyc":  # from before a start said what machine it was on
        assert found.pop(KEPT / machine / "startup.json") == set()
    assert len(set().union(*found.values())) == 1
    assert all(found.values())


def test_figures_are_those_of_the_files(tmp_path: Path) -> None:
    shutil.copytree(KEPT / "xeon", tmp_path / "kept")
    found = json.loads((tmp_path / "kept/step.json").read_text())
    found["programs"] = [
        {"name": name, "median_s": times[1], "times_s": times}
        for name, times in (
            ("ours", [1.0, 2.0, 4.0]),
            ("fused", [1.0, 1.0, 2.0]),
            ("PyTorch", [1.0, 1.0, 2.0]),
            ("published", [3.0, 7.0, 14.0]),
        )
    ]
    found["ours"] |= {"median_s": 2.0, "share_of_product": 0.25}
    (tmp_path / "kept/step.json").write_text(json.dumps(found))
    rows = table(tmp_path / "kept").splitlines()
    plain = "7.000 s, 3.50 x ours | 1.000 s, 0.50 x ours | 2.000 s, 25 % of the rate | 0.500 s"
    assert f"| Training step | {plain} |" in rows
    fused = "7.000 s, 7.00 x ours | 1.000 s, 1.00 x ours | 1.000 s, 50 % of the rate | 0.500 s"
    assert f"| Training step, fused kernels | {fused} |" in rows


@pytest.mark.parametrize("name", ["epyc/input.json", "epyc_26/step.json", "xeon/startup.json", "operators.json"])
@pytest.mark.parametrize(
    ("content", "reason"), [(None, "can't be read"), ("[]", "holds no measurement"), ("{}", "lacks")]
)
def test_a_measurement_that_is_missing_or_another_is_named(
    name: str, content: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(KEPT, tmp_path / "kept")
    (tmp_path / "kept" / name).unlink()
    if content:
        (tmp_path / "kept" / name).write_text(content)
    assert main(["--kept", str(tmp_path / "kept")]) == 2
    assert reason in capsys.readouterr().err

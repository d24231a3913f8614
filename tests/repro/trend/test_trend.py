"""The first commit at which a measure moved, of made-up files of real commits, one machine at a time."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from repro.check.baselines import write_baseline
from repro.trend.__main__ import main
from repro.trend.moves import follow
from repro.trend.readings import Reading, commit_order
from tests.support.checks import baseline
from tests.support.programs import Call

ORDER = {name: number for number, name in enumerate("abcdef")}


def moved(*values: float, noise: float = 0.35, **settings: object) -> list[str]:
    """The commits at which a measure moved that had these values one commit after the other."""
    readings = [
        Reading("here", "step", commit, (0.98 * value, value, 1.02 * value) if noise else (value,), noise, **settings)
        for commit, value in zip(ORDER, values, strict=False)
    ]
    (line,) = follow(reversed(readings), ORDER)
    return [line.readings[place].commit for place in line.moved]


def test_a_planted_jump_is_found_at_its_first_commit_and_noise_is_none() -> None:
    assert moved(20, 21, 19, 40, 41, 39) == ["d"]
    assert moved(20, 26, 20, 26, 20, 26) == []
    assert moved(20, 20, 10, 10, 20, 20) == ["c", "e"]


def test_a_loss_moves_at_any_difference_and_with_other_software_beyond_rounding() -> None:
    assert moved(1.5, 1.5, 1.5000001, noise=0) == ["c"]
    here, there = (Reading("here", "loss", name, (1.5,), band=1e-4, software=name) for name in "ab")
    assert follow([here, there], ORDER)[0].moved == ()
    assert follow([here, replace(there, values=(1.51,))], ORDER)[0].moved == (1,)


def test_machines_are_never_compared_and_files_of_one_commit_are_one_reading() -> None:
    readings = [Reading(machine, "step", commit, (20.0 if machine == "a" else 60.0,), 0.35)
                for commit in "abc" for machine in "aabb"]  # fmt: skip
    lines = follow(readings, ORDER)
    assert [(line.machine, len(line.readings), line.moved) for line in lines] == [("a", 3, ()), ("b", 3, ())]


@pytest.fixture
def commits() -> list[str]:
    found = list(commit_order())
    if len(found) < 3:
        pytest.skip("the history is not here")
    return found[-3:]


def bench_file(path: Path, commit: str, median: float, cpu: str = "Some CPU", dirty: bool = False) -> None:
    stats = {"q1": 0.99 * median, "median": median, "q3": 1.01 * median}
    found = {"machine_info": {"cpu": {"brand_raw": cpu, "count": 2}}, "commit_info": {"id": commit, "dirty": dirty}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**found, "benchmarks": [{"name": "test_rate_of[step]", "stats": stats}]}))


def device_file(path: Path, commit: str, gigabytes: float) -> None:
    row = {"work": "training", "images": "random", "precision": "O0", "batch": 8, "cards": 1}
    measured = {**row, "median_ms": 900.0, "resident_bytes": int(gigabytes * 1e9), "device_bytes": None}
    machine = {"device": "Some CPU", "target": "CPU", "cpu": {"cores": 2}, "keys": ["seed=2"], "commits": [commit]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**machine, "rows": [measured, {**row, "precision": "O3", "failed": "no memory"}]}))


def test_memory_on_a_device_moves_beyond_what_processes_differ_by(
    tmp_path: Path, call: Call, commits: list[str]
) -> None:
    for commit, gigabytes in zip(commits, (3.0, 3.1, 4.0), strict=True):
        device_file(tmp_path / "kept" / commit / "bench.json", commit, gigabytes)
    device_file(tmp_path / "kept/changed/bench.json", f"{commits[0]}-changed", 9.0)
    (tmp_path / "kept/training_random_o0_8x1.json").write_text('{"environment": {}, "times_s": [1]}')  # a part
    said = call(main, "--trend", tmp_path / "kept", "--out", tmp_path / "out").out
    (moved,) = [line for line in said.splitlines() if "moved," in line]
    assert all(part in moved for part in ("O0, 8 x 1 seed=2: memory, MB", commits[2][:8], "1.333 x"))
    assert said.count(": batch, ms") == 3
    assert (said.count("left out: "), "which is not one commit" in said) == (1, True)


def test_the_program_shows_what_ci_kept_in_gits_order(tmp_path: Path, call: Call, commits: list[str]) -> None:
    kept = tmp_path / "kept"
    for commit, median in zip(commits, (1.0, 1.1, 2.0), strict=True):
        bench_file(kept / commit / "bench.json", commit, median)
    write_baseline(replace(baseline(tmp_path), commit=commits[0], path=kept / "baseline.json"))
    bench_file(kept / "dirty.json", commits[0], 9.0, dirty=True)
    bench_file(kept / "gone.json", "f" * 40, 9.0)
    (kept / "other.json").write_text("{}")
    out = tmp_path / "out"
    said = call(main, "--trend", kept, "--out", out).out
    (jump,) = [line for line in said.splitlines() if "moved," in line]
    assert (commits[2][:8] in jump, "2.000 x" in jump) == (True, True)
    assert said.count("left out: ") == 3
    assert ": step, in calibration" in said
    assert {file.name for file in out.iterdir()} == {"trend.md", "light.svg", "dark.svg"}
    assert "**moved**, 2.000 x" in (out / "trend.md").read_text()
    before = (out / "light.svg").read_bytes()
    call(main, "--trend", kept, "--out", out)
    assert (out / "light.svg").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.json",
            '{"benchmarks": [{"name": "x"}], "commit_info": {"id": "a"}}',
            "a.json: machine_info: found nothing",
        ),
        ("a.json", "{", "a.json: found '{', expected one JSON object"),
        (
            "a.json",
            '{"target": "GPU", "rows": [{}], "commits": ["a"], "cpu": {"cores": 2}, "device": "x", "keys": []}',
            "a.json: rows: 0: work: found nothing",
        ),
        ("a.json", '{"target": "GPU", "rows": [], "commits": []}', "a.json: was measured of none"),
        ("a.json", "{}", "found no measurement of a commit; .*a.json: is of none of make baseline"),
        ("", "", "--trend: found .*none, which is no folder"),
    ],
)
def test_what_is_no_measurement_is_named(tmp_path: Path, call: Call, name: str, content: str, message: str) -> None:
    if name:
        (tmp_path / name).write_text(content)
    said = call(main, "--trend", tmp_path if name else tmp_path / "none", "--out", tmp_path / "out", code=2).err
    assert re.search(message, said), said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()

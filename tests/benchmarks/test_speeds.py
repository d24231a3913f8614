"""The table of speeds: made of kept measurements, and in the README as it is made."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from repro.errors import ReproError
from repro.markdown import read_table
from tests.benchmarks.speeds import FULL_SIZE, GRAPHS, KINDS, MACHINES, TIME, full_size, graphs, main, spent, table
from tests.support import ROOT

KEPT = ROOT / "results" / "benchmarks"


def test_the_tables_in_the_readme_are_those_of_the_kept_measurements() -> None:
    for machine in MACHINES:
        assert read_table(ROOT / "README.md", f"speeds_{machine}") == table(KEPT / machine)
    assert read_table(ROOT / "README.md", TIME) == spent(KEPT / MACHINES[0])
    assert read_table(ROOT / "README.md", FULL_SIZE) == full_size(KEPT / MACHINES[0])
    assert read_table(ROOT / "README.md", GRAPHS) == graphs(KEPT)


@pytest.mark.parametrize(("machine", "repetitions"), [("epyc_26", 2), ("xeon", 2), ("epyc", 1)])
@pytest.mark.parametrize("what", ["step", "forward"])
def test_a_turn_has_as_many_repetitions_as_the_readme_says(what: str, machine: str, repetitions: int) -> None:
    found = json.loads((KEPT / machine / f"{what}.json").read_text())
    ours = next(program for program in found["programs"] if program["name"] == "ours")
    assert found["ours"]["times_s"][repetitions - 1 :: repetitions] == ours["times_s"]
    assert "in the last table, which is older, a turn was one repetition" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("machine", MACHINES)
def test_images_are_of_the_size_that_the_readme_says(machine: str) -> None:
    sizes = {found["mean_file_bytes"] for found in json.loads((KEPT / machine / "input.json").read_text())["ours"]}
    (size,) = sizes
    assert f"JPEGs of {size / 1000:.0f} kB" in (ROOT / "README.md").read_text()


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
    """Where a step's time goes, and what files and logs take, stand under the speeds of the first one."""
    names = (
        "forward",
        "step",
        "evaluate",
        "input",
        "startup",
        *(("profile", "full_size") if machine == MACHINES[0] else ()),
    )
    files = [KEPT / machine / f"{name}.json" for name in names]
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


def _profiled(tmp_path: Path, batch: int = 8) -> Path:
    """The folder of the profile of a step of a few operators, its graph beside it."""
    folder = tmp_path / "kept" / "machine"
    folder.mkdir(parents=True)
    cpu = {"model": "Abacus", "kind": "wood", "cores": 2}

    def turn(median_s: float, **operators_ms: float) -> dict[str, Any]:
        step = {"batch_size": 8, "median_s": median_s, "product_flops_per_s": 1e9, "environment": {"cpu": cpu}}
        return {"step": step, "operators_ms": operators_ms}

    profile = {
        "copied_bytes_per_s": 2e9,
        "uncapped_product_flops_per_s": 2e9,
        "ours": [turn(0.5, MatMul=100, BatchMatMul=20, Conv2D=30, Mul=200), turn(0.7, MatMul=300, Conv2D=30, Mul=200)],
        "fused": [turn(0.3, MatMul=100, Conv2D=50, GraphKernel_Mul_fusion=90)],
    }
    (folder / "profile.json").write_text(json.dumps(profile))
    by_name = {
        "MatMul": {"operators": 3, "flops": 10**8, "bytes": 10**8},
        "Conv2D": {"operators": 1, "flops": 10**9, "bytes": 0},
        "Mul": {"operators": 9, "flops": 0, "bytes": 3 * 10**8},
    }
    graph = {"batch": batch, "graphs": {"cpu": {"by_name": by_name}}}
    (folder.parent / "operators.json").write_text(json.dumps(graph))
    return folder


def test_a_step_s_time_is_told_by_kind_of_operator_beside_what_arithmetic_and_memory_would_take(tmp_path: Path) -> None:
    header, _, *rows = spent(_profiled(tmp_path)).splitlines()
    assert header == (
        "| Training step on Abacus (wood), 2 cores, float32, batch 8 | Arithmetic, at 1 GFLOP/s | "
        "Read and written, at 2 GB/s | Here | Fused kernels |"
    )
    assert rows == [
        "| Products of matrices | 0.1 GFLOP, 100 ms | 0.1 GB, 50 ms | 210 ms | 100 ms |",
        "| Convolutions and their gradients | 1.0 GFLOP, 1000 ms | – | 30 ms | 50 ms |",
        "| Batch norm, softmax | – | – | 0 ms | 0 ms |",
        "| Optimizer | – | – | 0 ms | 0 ms |",
        "| The rest: layer norm, element by element, sums, order | – | 0.3 GB, 150 ms | 200 ms | 90 ms |",
        "| Between operators, and the profile itself | – | – | 160 ms | 60 ms |",
        "| All | 1.1 GFLOP, 1100 ms | 0.4 GB, 200 ms | 600 ms | 300 ms |",
        "| All, if oneDNN were not kept at AVX2: products at 2 GFLOP/s | 1.1 GFLOP, 550 ms | – | – | – |",
    ]


def test_every_operator_that_multiplies_has_a_kind_of_its_own() -> None:
    by_name = json.loads((KEPT / "operators.json").read_text())["graphs"]["cpu"]["by_name"]
    multiply = {name for name, counts in by_name.items() if counts["flops"]}
    assert multiply == {*KINDS["Products of matrices"], *KINDS["Convolutions and their gradients"]}


def test_a_step_s_time_and_its_graph_are_of_one_batch(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match=r"has a batch of 8, .*operators\.json one of 16"):
        spent(_profiled(tmp_path, batch=16))


@pytest.mark.parametrize(
    "name",
    [
        "epyc/input.json",
        "epyc_26/step.json",
        "epyc_26/profile.json",
        "epyc_26/full_size.json",
        "xeon/startup.json",
        "operators.json",
    ],
)
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

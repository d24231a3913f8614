"""The tables of speeds say what the kept measurements hold; that the README has them is tested in test_readme.py."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.speeds import KEPT, KINDS, MACHINES, speeds, step_time
from tests.support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("machine", "repetitions"), [("epyc_26", 2), ("xeon", 2), ("epyc", 1)])
@pytest.mark.parametrize("what", ["step", "forward"])
def test_a_turn_has_as_many_repetitions_as_the_readme_says(what: str, machine: str, repetitions: int) -> None:
    found = json.loads((KEPT / machine / f"{what}.json").read_text())
    ours = next(program for program in found["programs"] if program["name"] == "ours")
    assert found["ours"]["times_s"][repetitions - 1 :: repetitions] == ours["times_s"]
    assert "in the last table, which is older, a turn was one repetition" in README


@pytest.mark.parametrize("machine", MACHINES)
def test_images_are_of_the_size_that_the_readme_says(machine: str) -> None:
    (size,) = {found["mean_file_bytes"] for found in json.loads((KEPT / machine / "input.json").read_text())["ours"]}
    assert f"JPEGs of {size / 1000:.0f} kB" in README


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
    found = {file.stem: _machines(json.loads(file.read_text())) for file in (KEPT / machine).glob("*.json")}
    if machine == "epyc":  # from before a start said what machine it was on
        assert found.pop("startup") == set()
    assert len(set().union(*found.values())) == 1
    assert all(found.values())


def test_a_ratio_is_the_median_of_those_of_each_round(tmp_path: Path) -> None:
    shutil.copytree(KEPT / "xeon", tmp_path / "kept")
    found = json.loads((tmp_path / "kept/step.json").read_text())
    times = {"ours": [1.0, 2.0, 4.0], "fused": [1.0, 1.0, 2.0], "PyTorch": [1.0, 1.0, 2.0], "published": [3, 7, 14]}
    found["programs"] = [{"name": name, "median_s": took[1], "times_s": took} for name, took in times.items()]
    found["ours"] |= {"median_s": 2.0, "share_of_product": 0.25}
    (tmp_path / "kept/step.json").write_text(json.dumps(found))
    rows = speeds(tmp_path / "kept").splitlines()
    plain = "7.000 s, 3.50 x ours | 1.000 s, 0.50 x ours | 2.000 s, 25 % of the rate | 0.500 s"
    assert f"| Training step | {plain} |" in rows
    fused = "7.000 s, 7.00 x ours | 1.000 s, 1.00 x ours | 1.000 s, 50 % of the rate | 0.500 s"
    assert f"| Training step, fused kernels | {fused} |" in rows


def test_a_step_s_time_is_told_by_kind_of_operator_beside_what_arithmetic_and_memory_would_take(tmp_path: Path) -> None:
    environment = {"cpu": {"model": "Abacus", "kind": "wood", "cores": 2}}

    def turn(median_s: float, **operators_ms: float) -> dict[str, Any]:
        step = {"batch_size": 8, "median_s": median_s, "product_flops_per_s": 1e9, "environment": environment}
        return {"step": step, "operators_ms": operators_ms}

    profile = {
        "copied_bytes_per_s": 2e9,
        "uncapped_product_flops_per_s": 2e9,
        "ours": [turn(0.5, MatMul=100, BatchMatMul=20, Conv2D=30, Mul=200), turn(0.7, MatMul=300, Conv2D=30, Mul=200)],
        "fused": [turn(0.3, MatMul=100, Conv2D=50, GraphKernel_Mul_fusion=90)],
    }
    by_name = {
        "MatMul": {"operators": 3, "flops": 10**8, "bytes": 10**8},
        "Conv2D": {"operators": 1, "flops": 10**9, "bytes": 0},
        "Mul": {"operators": 9, "flops": 0, "bytes": 3 * 10**8},
    }
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine/profile.json").write_text(json.dumps(profile))
    (tmp_path / "operators.json").write_text(json.dumps({"graphs": {"cpu": {"by_name": by_name}}}))
    header, _, *rows = step_time(tmp_path / "machine").splitlines()
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


def test_the_graph_is_of_the_batch_that_was_profiled_and_what_multiplies_in_it_has_a_kind() -> None:
    graph = json.loads((KEPT / "operators.json").read_text())
    profile = json.loads((KEPT / MACHINES[0] / "profile.json").read_text())
    assert profile["ours"][0]["step"]["batch_size"] == graph["batch"]
    multiply = {name for name, counts in graph["graphs"]["cpu"]["by_name"].items() if counts["flops"]}
    assert multiply == {*KINDS["Products of matrices"], *KINDS["Convolutions and their gradients"]}

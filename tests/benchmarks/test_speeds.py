"""The tables of speeds say what the kept measurements hold; that a page has them is tested in test_readme.py."""

import json
from pathlib import Path

import pytest

from repro.bench.pacing import summarize_turns
from tests.benchmarks.speeds import KEPT, KINDS, MACHINES, environments, stacks

PAGE = (KEPT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("what", ["step", "forward"])
def test_a_turn_has_two_repetitions_as_the_page_says(what: str) -> None:
    found = json.loads((KEPT / MACHINES[0] / f"{what}.json").read_text())
    ours = next(program for program in found["programs"] if program["name"] == "ours")
    assert found["ours"]["times_s"][1::2] == ours["times_s"]
    assert "Each turn runs twice and\nonly the second is timed" in PAGE


@pytest.mark.parametrize("machine", MACHINES)
def test_images_are_of_the_size_that_the_page_says(machine: str) -> None:
    (size,) = {found["mean_file_bytes"] for found in json.loads((KEPT / machine / "input.json").read_text())["ours"]}
    assert f"JPEGs of {size / 1000:.0f} kB" in PAGE


@pytest.mark.parametrize("machine", MACHINES)
def test_what_stands_in_one_table_was_measured_on_one_machine(machine: str) -> None:
    files = {file.stem: json.loads(file.read_text()) for file in (KEPT / machine).glob("*.json")}
    machines = {name: [environment["cpu"] for environment in environments(found)] for name, found in files.items()}
    assert all(machines.values())
    assert len({(cpu["model"], cpu["kind"], cpu["cores"]) for found in machines.values() for cpu in found}) == 1


def test_the_graph_is_of_the_batch_that_was_profiled_and_what_multiplies_in_it_has_a_kind() -> None:
    graph = json.loads((KEPT / "operators.json").read_text())
    profile = json.loads((KEPT / MACHINES[0] / "profile.json").read_text())
    assert profile["ours"][0]["step"]["batch_size"] == graph["batch"]
    multiply = {name for name, counts in graph["graphs"]["cpu"]["by_name"].items() if counts["flops"]}
    assert multiply == {*KINDS["Products of matrices"], *KINDS["Convolutions and their gradients"]}


def test_stacks_are_set_beside_the_first_by_the_ratios_of_their_rounds(tmp_path: Path) -> None:
    cpu = {"model": "AMD EPYC", "kind": None, "cores": 2}
    step, forward = (summarize_turns({"Ours": [1.0, 2.0], "PyTorch": [slow, 2 * slow]}) for slow in (0.5, 3.0))
    record = {"batch": 8, "environment": {"cpu": cpu}, "step": step, "forward": forward}
    (path := tmp_path / "stacks.json").write_text(json.dumps(record))
    assert stacks(path).splitlines() == [
        "| On AMD EPYC, 2 cores, float32, batch 8 | Training step | Ratio | Forward pass | Ratio |",
        "| --- | --- | --- | --- | --- |",
        "| Ours | 1.500 s | 1.00 | 1.500 s | 1.00 |",
        "| PyTorch | 0.750 s | 0.50 | 4.500 s | 3.00 |",
    ]

"""Measuring one thing: what is written, and what is refused. No time is judged."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from hlg.bench import run, workloads
from hlg.config import Config
from hlg.errors import UserError
from hlg.files import write_result
from repro.bench.measurement import is_measured, read_measurement
from repro.bench.sweep import Sweep
from tests.support.processes import run_command, run_module

RATES = {"median_s", "quartiles_s", "images_per_s", "flops_per_s", "product_flops_per_s", "share_of_product"}


def measured(*options: str, stdin: str = "") -> str:
    """What the forward pass of the narrow network, in a process of its own, prints."""
    small = ("--batch_size=2", "--train_image_size=112", "--class_num=7")
    return run_module("tests.support.narrow", "hlg.bench", "forward", *options, *small, stdin=stdin, code=0).stdout


def test_paced_it_says_ready_and_answers_each_line_with_seconds_and_nothing_else(tmp_path: Path) -> None:
    ready, *seconds = measured("--paced", f"--json={tmp_path}/new/found.json", stdin="go\ngo\n").splitlines()
    assert ready == "ready"
    found = json.loads((tmp_path / "new/found.json").read_text())
    assert found.keys() >= RATES | {"peak_memory_bytes"}
    assert found["environment"]["packages"]["mindspore"]
    assert [float(text) for text in seconds] == found["times_s"]
    assert min(found["times_s"]) > 0
    assert found["compile_time_s"] > 0.2  # the graph, before the first repetition
    assert found["images_per_s"] * found["median_s"] == pytest.approx(2)
    assert found["share_of_product"] == pytest.approx(found["flops_per_s"] / found["product_flops_per_s"])


def test_an_evaluation_takes_batches_of_training_size(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "evaluate", lambda step, loader: [batch.labels.size for batch in loader])
    config = Config(class_num=3, eval_image_size=112, batch_size=2, eval_num_workers=1, eval_path=f"{tiny_data}/val")
    workload = workloads.evaluation_workload(config, ExitStack())
    assert (workload.images, workload.repeat()) == (8, [2, 2, 2, 2])
    assert workload.facts()["images"] == 9


def test_input_stands_beside_bare_decoding(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "INPUT_IMAGES", 3)
    monkeypatch.setattr(workloads, "DECODING_S", 0.1)
    config = Config(train_image_size=112, batch_size=2, train_num_workers=2, dataset_path=f"{tiny_data}/train")
    with ExitStack() as closing:
        workload = workloads.input_workload(config, closing)
        workload.repeat()
        found = workload.facts()
    assert (workload.images, workload.flops_per_image) == (4, 0)
    rates = found["images_per_s_per_core"], found["decoded_per_s_per_core"]
    assert found["share_of_decoding"] == pytest.approx(rates[0] / rates[1], rel=1e-6)


def test_a_result_that_cannot_be_written_is_named_and_no_half_of_it_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"/file/found\.json: can't be written: File exists"):
        write_result(tmp_path / "file/found.json", "{}")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_profile_names_the_costliest_operators(tmp_path: Path) -> None:
    said = measured("--steps=2", f"--profile={tmp_path}/profile")
    header, first, *_ = (tmp_path / "profile/operators.csv").read_text().splitlines()
    assert header == "operator,calls,total_ms,share_pct"
    assert "\nforward: " in said
    assert first.split(",")[0] in said


def test_quartiles_are_those_of_the_times() -> None:
    workload = workloads.Workload(lambda: None, images=6, flops_per_image=10)
    found = run.summarize_times([3.0, 1.0, 2.0, 5.0, 4.0], workload, product=40.0)
    assert (found["median_s"], found["quartiles_s"]) == (3.0, [2.0, 4.0])
    assert (found["images_per_s"], found["flops_per_s"], found["share_of_product"]) == (2.0, 20.0, 0.5)


def test_what_two_ranks_measured_is_read_as_a_row_of_a_device(tiny_data: Path, tmp_path: Path) -> None:
    keys = ("--train_image_size=112", "--eval_image_size=112", "--class_num=7", "--context_mode=1")
    sweep = Sweep("cpu", (2,), ("O0",), (2,), 2, str(tiny_data), keys)
    (one,) = (one for one in sweep.configurations() if one.files and one.work == "training")
    file = tmp_path / "found.json"
    program, *words = " ".join(sweep.command(one, file, tmp_path / "logs")).partition(" hlg.bench ")
    run_command(*program.split(), "tests.support.narrow", *" ".join(words).split(), code=0)
    found = read_measurement(file, 2)
    assert len(found.times_s) == 2
    assert 0 < found.flops_per_s < 1e12
    assert found.compile_s < 0.1  # for PyNative mode has no use for a graph
    assert found.device_bytes is None
    assert found.environment["device"]["count"] == 2
    assert is_measured(file, sweep, one)

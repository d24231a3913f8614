"""The bridges between the two packages are files: run folders and measurements, which hlg writes and repro reads."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlg.bench import __main__ as bench
from hlg.bench import run, workloads
from hlg.config import Affects, Config, dump, keys_that_affect
from hlg.console import escaped
from hlg.data import throughput
from hlg.files import POINTER, follow_links, load_json, read_plain, write_atomic
from hlg.model import network
from hlg.record.environment import environment_facts
from hlg.record.run_folder import RunFolder, epoch_line, eval_line, step_line
from hlg.runtime.device import Device
from repro.errors import ReproError, shown
from repro.files import pointed_path, read_json, read_regular
from repro.plan.__main__ import plan_options
from repro.plan.inputs import Origin, read_inputs
from repro.published.compare import compare_runs
from repro.published.figures import read_published
from repro.published.schema import Verdict
from repro.published.seeds import CHANGES_NOTHING
from repro.records.run_folder import read_run
from tests.support.narrow.network import STAGES

DEVICE = {"target": "CPU", "names": ["x86_64"], "count": 1}
SPLIT = {"path": "data/tiny/val", "images": 3, "classes": 2, "hash": "content:sha256:00"}


def facts(kind: str) -> dict[str, Any]:
    splits = {"train": SPLIT, "eval": SPLIT}
    return environment_facts(DEVICE, kind=kind, seed=1, dataset=splits, parameters=6147657)


def test_a_recorded_training_is_read_to_the_digit(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "train", "tiny", "CPU") as folder:
        folder.write("config.yml", dump(Config(max_epoch=1)))
        folder.write("env.json", facts("train"))
        folder.event("start", steps_per_epoch=7, epochs=1, global_batch=4, train_images=28, eval_images=3)
        folder.log("Args:")
        folder.log(step_line(0, 6, float("nan")))
        for step in range(7):
            folder.event("step", epoch=0, step=step, loss=float("nan"), lr=0.001, step_time_ms=1.0, data_wait_ms=0.1)
        folder.log(
            epoch_line(0, epoch_time_s=1 / 3, steps=7, loss=float("nan"), lr=0.001, images_per_s=84.0, accuracy=2 / 3)
        )
        folder.event("epoch", epoch=0, epoch_time_s=1 / 3, images_per_s=84.0, top1_pct=200 / 3)
        folder.log("training time used=0.33s")
        folder.log(f"last_metric[{2 / 3}]")
        folder.log("ip[None], mean_fps[84.00]")
        folder.event("end", training_time_s=1 / 3, mean_images_per_s=84.0, skipped_images=0)
    run = read_run(folder.path)
    assert run.log.epochs[0].step_time_s == 0.0476
    assert run.log.best_accuracy == 2 / 3
    assert run.log.foreign_lines == 0


def test_a_recorded_evaluation_is_read_and_is_incomparable_with_every_published_figure(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "eval", "tiny", "CPU") as folder:
        folder.write("config.yml", dump(Config()))
        folder.write("env.json", facts("eval"))
        folder.log(eval_line(2 / 3, 0.5, 0.5), timestamp=False)
        folder.event("eval", top1_pct=200 / 3, images=3, total_time_s=0.5)
        folder.write("eval.json", {"top1_pct": 200 / 3, "correct_top1": 2, "images": 3, "skipped_images": 0})
    claims = compare_runs(read_published(), [read_run(folder.path)])
    assert {claim.verdict for claim in claims if claim.run} == {Verdict.INCOMPARABLE}


def test_every_key_that_a_comparison_needs_is_a_key_of_the_configuration() -> None:
    needed = {key for figure in read_published() for key in (*figure.setting.workload, *figure.setting.recipe)}
    assert needed <= set(Config.__dataclass_fields__)


def test_both_packages_mean_the_same_keys_by_those_that_change_no_number() -> None:
    # Old run folders have to stay readable, so repro has its own list; it compares the number of devices itself.
    assert keys_that_affect(Affects.NOTHING) - {"run_distribute"} == CHANGES_NOTHING


@given(st.text(), st.sampled_from(["run", "latest_tiny", "a b"]))
def test_both_packages_escape_alike_and_follow_the_same_files_in_the_place_of_links(text: str, name: str) -> None:
    assert escaped(text) == shown(text)
    with TemporaryDirectory() as folder:
        write_atomic(Path(folder, "latest"), POINTER + name.encode() + b"\n")
        assert pointed_path(Path(folder, "latest")) == follow_links(Path(folder, "latest")) == Path(folder, name)


@pytest.mark.parametrize("text", ["{}", "[]", "1", "[" * 99, '{"a": ' * 49 + "{}" + "}" * 49, '{"a": NaN}', "\ufeff{}"])
def test_both_packages_read_the_same_json_and_no_pipe_and_no_more_than_they_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    try:
        told: object = load_json(path)
    except ValueError:
        told = None
    try:
        assert read_json(path) == told
    except ReproError:
        assert not isinstance(told, dict) or text.startswith("\ufeff")
    os.mkfifo(tmp_path / "pipe")
    for read in (read_plain, read_regular):
        assert read(path, len(text.encode())) == text.encode()
        for other in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, path):
            with pytest.raises(OSError, match=r"pipe or a device|Is a directory|more than 0 bytes"):
                read(other, 0)


@pytest.mark.usefixtures("pynative_mode")
def test_what_was_measured_is_read_as_a_plan_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "HLG", partial(network.HLG, stages=STAGES))
    monkeypatch.setattr(run.device, "start", lambda config: Device("CPU", "x86_64"))
    monkeypatch.setattr(run, "product_rate", lambda config: 1.0)
    monkeypatch.setattr(throughput, "DRAWN", replace(throughput.DRAWN, train=4))
    monkeypatch.setattr(workloads, "DECODING_S", 0.1)
    monkeypatch.setattr(workloads, "INPUT_IMAGES", 16)
    small = ["--batch_size=2", "--context_mode=1", "--class_num=7", "--steps=1"]
    small += ["--train_image_size=112", "--eval_image_size=112"]
    files = {what: tmp_path / f"{what}.json" for what in ("step", "evaluate", "input")}
    for what, file in files.items():
        assert bench.main([what, *small, f"--json={file}"]) == 0
    found = read_inputs(plan_options([word for what, file in files.items() for word in (f"--{what}", str(file))]))
    facts, quantities = found.facts, found.quantities
    assert (facts.batch, facts.image_size, facts.workers, facts.shared, facts.averages) == (2, 112, 14, True, 1)
    measured = {name for name, quantity in quantities.items() if quantity.origin is Origin.MEASURED}
    assert measured == {"batch", "step", "rate", "cores", "averaged", "eval_rate", "memory"}
    assert 0 < facts.averaged < 1e6  # the network is narrow
    assert "batch_size 2, published 128" in found.differs
    assert quantities["rate"].source.endswith("(drawn images, not yours)")

"""make plan: from files and options to what it says, what it keeps as JSON, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from repro.plan.__main__ import main, plan_options
from repro.plan.inputs import Inputs, Origin, read_inputs
from repro.plan.page import duration, plan_page
from repro.plan.plan import Plan, advice, make_plan
from tests.support.programs import Call

WORKLOAD = {"backbone": "hlg_mobile", "class_num": 1001, "train_image_size": 224, "batch_size": 128, "amp_level": "O3"}
WORKLOAD |= {"mixup": 0.2, "autoaugment": True, "train_num_workers": 14}
OF_EACH: dict[str, dict[str, Any]] = {
    "step": {"median_s": 0.25, "averaged_bytes": 24_603_432, "averages": 4, "compile_time_s": 60.0},
    "input": {"images_per_s_per_core": 50.0, "cores_busy": 13.5},
    "evaluate": {"images_per_s": 900.0},
}


def bench(folder: Path, what: str, /, *, target: str = "Ascend", cores: int = 96, **other: Any) -> Path:
    """What `python -m hlg.bench <what> --json FILE` leaves."""
    config = {key: other.pop(key, value) for key, value in WORKLOAD.items()}
    found = {"what": what, "batch_size": config["batch_size"], "times_s": [0.25] * 10, "peak_memory_bytes": 2 * 10**9}
    found |= OF_EACH[what] | {"drawn": False, "images": 1000, "mean_file_bytes": 110_000.0} | other
    found["environment"] = {"device": {"target": target}, "cpu": {"cores": cores}, "config": config}
    path = folder / f"{what}.json"
    path.write_text(json.dumps(found))
    return path


def inputs(*argv: object) -> Inputs:
    return read_inputs(plan_options([str(word) for word in argv]))


def plan(*argv: object) -> Plan:
    return make_plan(inputs(*argv))


def measured(folder: Path, *options: object, **of_step: Any) -> Plan:
    return plan("--step", bench(folder, "step", **of_step), "--input", bench(folder, "input", images=10**6), *options)


def of_origin(found: Inputs, origin: Origin) -> set[str]:
    return {name for name, quantity in found.quantities.items() if quantity.origin is origin}


def test_with_nothing_given_it_answers_from_the_published_figures() -> None:
    found = plan()
    assert (found.wanted.step_s, found.wanted.steps) == (pytest.approx(0.373), 1251)
    assert found.wanted.epoch_s == pytest.approx(466.6, abs=0.05)  # log: 466.64 to 466.71 s
    assert found.wanted.total_s / 143_108.96 == pytest.approx(1, abs=0.01)  # what the published log says
    assert of_origin(found.inputs, Origin.ASSUMED) == {"nodes", "rate", "cores", "link", "latency", "memory"}
    assert "which are assumed to come in time" in plan_page(found)


def test_what_is_measured_goes_before_what_was_published(tmp_path: Path) -> None:
    found = inputs(*(word for what in OF_EACH for word in (f"--{what}", bench(tmp_path, what))), "--cards", 1)
    expected = {"batch", "step", "rate", "cores", "averaged", "images", "eval_images", "eval_rate", "image_bytes"}
    assert of_origin(found, Origin.MEASURED) == expected | {"memory"}
    facts = found.facts
    assert (facts.step_s, facts.step_cards, facts.rate, facts.cores, facts.images) == (0.25, 1, 50, 96, 1000)
    assert (facts.start_s, facts.eval_rate, facts.shared) == (60, 900, False)
    assert (found.quantities["memory"].value, found.differs, found.warnings) == (4, (), ())


def test_what_is_given_goes_before_what_is_measured(tmp_path: Path) -> None:
    given = ("--step-ms", 373, "--input-rate", 7, "--cores", 3, "--link-gbps", 10, "--workers", 2)
    found = inputs("--input", bench(tmp_path, "input"), *given)
    facts = found.facts
    assert (facts.step_s, facts.step_cards, facts.rate, facts.cores, facts.workers) == (0.373, 1, 7, 3, 2)
    assert facts.link == 1.25e9
    assert found.quantities["step"].source == "--step-ms, of 1 card"


def test_drawn_images_tell_how_fast_and_neither_how_many_nor_how_large(tmp_path: Path) -> None:
    found = inputs("--input", bench(tmp_path, "input", drawn=True))
    assert (found.facts.rate, found.facts.images) == (50, 1_281_167)
    assert found.quantities["rate"].source.endswith("(drawn images, not yours)")
    assert found.quantities["image_bytes"].origin is Origin.PUBLISHED


def test_on_a_cpu_the_cores_do_both(tmp_path: Path) -> None:
    found = plan("--step", bench(tmp_path, "step", target="CPU", batch_size=8, amp_level="O0"), "--cards", 1)
    assert found.inputs.facts.shared
    other_work = "batch_size 8, published 128; amp_level O0, published O3; cards 1, published 8."
    assert f"Not the same work: {other_work}" in plan_page(found)


def test_cores_that_were_not_busy_are_pointed_out(tmp_path: Path) -> None:
    (warning,) = inputs("--input", bench(tmp_path, "input", cores_busy=6.0)).warnings
    assert "6.0 of 14 cores were busy" in warning


def test_what_is_not_known_is_to_be_measured_first() -> None:
    assert advice(plan("--step-ms", 900)).startswith("Measure first")


@pytest.mark.parametrize(
    ("options", "of_step", "beginning", "end"),
    [
        ("--workers 4 --cards 4", {}, "Raise train_num_workers from 4 to 11:", " cards wait while cores are idle."),
        ("--workers 11 --cards 4", {}, "Nothing", ""),
        # 8 cards x 128 images at 50 images a core and second, in 250 ms and 3.7 ms of all-reduce.
        ("--cores 40", {}, "More cores for the input: 81 a machine instead of 40 ", "or use 3 cards of a machine."),
        ("--link-gbps 1", {}, "A faster link: 12.5 Gbit/s bring the all-reduce to 10 % of a step.", ""),
        ("--latency-us 2000", {}, "More images a card, or fewer cards", ""),
        ("--nodes 8 --cores 999", {}, "The batch: 8,192 images a step are not the published 1,024. batch_size=16", ""),
        (
            "--nodes 3 --cores 999",
            {},
            "The batch: 3,072 images a step are not the published 1,024. batch_size=42 comes",
            "",
        ),
        ("", {"median_s": 0.746}, "The device: an image takes it 2 times as long", ""),
        ("", {}, "Nothing", ""),
    ],
)
def test_the_bottleneck_is_changed_first(tmp_path: Path, options: str, of_step: Any, beginning: str, end: str) -> None:
    said = advice(measured(tmp_path, *options.split(), **of_step))
    assert said.startswith(beginning)
    assert said.endswith(end)


def test_the_json_says_what_the_page_says(tmp_path: Path, call: Call) -> None:
    said = call(main, "--json", tmp_path / "new/plan.json", "--nodes", "2").out
    kept = json.loads((tmp_path / "new/plan.json").read_text())
    assert f"300 epochs {duration(kept['prediction']['total_s'])}, with" in " ".join(said.split())
    assert [row["cards"] for row in kept["kept_batch"]] == [8, 16, 64, 512]
    assert {row["global_batch"] for row in kept["kept_global_batch"]} == {1024}
    assert kept["prediction"]["sent_bytes"] == 2 * 15 / 16 * 24_603_432
    assert kept["change_first"].startswith("Measure first")
    assert (kept["inputs"]["link"]["origin"], kept["all_known"]) == ("assumed", False)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--cards", "0"), "argument --cards: found '0'; allowed: a whole number from 1 on"),
        (("--step-ms", "-1"), "argument --step-ms: found '-1'; allowed: a number from 0 on"),
        (("--link-gbps", "nan"), "argument --link-gbps: found 'nan'; allowed: a number from 0 on"),
        (("--cores", "0"), "argument --cores: found '0'; allowed: a number above 0"),
        (("--cards", "20000"), "20000 cards with 128 images each take more than the 1,281,167 images of an epoch"),
        (("--link-gbps", "0.5"), "the all-reduce of 8 cards alone would take"),
        (("--step", "x"), "x: no such file; python -m hlg.bench step --json x writes it\n"),
    ],
)
def test_what_cannot_be_is_refused(argv: tuple[str, str], said: str, call: Call) -> None:
    assert f"error: {said}" in call(main, *argv, code=2).err


@pytest.mark.parametrize(
    ("what", "wrong", "said"),
    [
        ("step", {"what": "input"}, "found a measurement of 'input', expected what python -m hlg.bench step"),
        ("step", {"what": None}, "found no measurement"),
        ("step", {"median_s": -1.0}, "median_s: found -1.0, expected a number above 0"),
        ("step", {"averaged_bytes": None}, "averaged_bytes: found None, expected a number"),
        ("input", {"train_num_workers": "x"}, "config.train_num_workers: found 'x', expected a whole number"),
        ("input", {"cores": 0}, "cpu.cores: found 0, expected a whole number from 1 on"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, call: Call, what: str, wrong: dict[str, Any], said: str) -> None:
    path = bench(tmp_path, what, **wrong)
    assert f"error: {path}: {said}" in call(main, f"--{what}", path, code=2).err


def test_measurements_that_do_not_belong_together_are_refused(tmp_path: Path, call: Call) -> None:
    step, small = bench(tmp_path, "step"), bench(tmp_path, "input", train_image_size=112)
    assert "step.json at 224 pixels" in call(main, "--step", step, "--input", small, code=2).err
    assert f"{step} has measured both" in call(main, "--step", step, "--step-ms", 373, code=2).err

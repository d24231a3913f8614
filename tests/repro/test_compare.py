"""Verdicts: what can be compared is judged by its rule, everything else is incomparable with the reason."""

import ast
import math
from pathlib import Path
from typing import Any

import pytest

import repro
from repro.compare import compare, judge
from repro.figures import read_published, verify_published
from repro.parse import read_run
from repro.schema import Claim, Measured, ReproError, Verdict
from tests.repro.folders import IMAGENET, TINY, eval_run, resume, tiny_eval_run, tiny_train_run, train_run

FIGURES = read_published()
PUBLISHED = Path(__file__).parents[2] / "results" / "published"


def claims(*folders: Path) -> dict[str, Claim]:
    return {claim.figure.key: claim for claim in compare(FIGURES, [read_run(folder) for folder in folders])}


def verdict(key: str, folder: Path) -> Verdict:
    return claims(folder)[key].verdict


# ------------------------------------------------------------------------------------------------- published


def test_every_published_value_that_stands_in_a_log_is_what_the_log_says() -> None:
    logs = verify_published(FIGURES, PUBLISHED)
    assert set(logs) == {"train_ascend910x8.log", "eval_gpu_rtx3090.log"}
    assert sum(bool(figure.log) for figure in FIGURES) == 9


def test_a_published_log_that_was_altered_is_an_error(tmp_path: Path) -> None:
    for path in PUBLISHED.glob("*.log"):
        (tmp_path / path.name).write_text(path.read_text().replace("0.75618", "0.76618"))
    with pytest.raises(ReproError, match=r"best_accuracy: found 76\.618, expected 75\.618 %"):
        verify_published(FIGURES, tmp_path)


def test_a_broken_file_of_figures_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "published.yml"
    path.write_text("rules: {}\nsettings: {}\nfigures: [{setting: nowhere}]\n")
    with pytest.raises(ReproError, match=r"published\.yml: found no 'nowhere'"):
        read_published(path)
    path.write_text("rules: {speed: {kind: speed, best: lower}}\n")
    with pytest.raises(ReproError, match=r"published\.yml: .*'best'"):
        read_published(path)


# ------------------------------------------------------------------------------------ incomparable


def test_without_a_run_nothing_is_measured() -> None:
    assert {claim.verdict for claim in compare(FIGURES, [])} == {Verdict.NOT_MEASURED}


def test_a_tiny_cpu_run_is_incomparable_in_every_row(tmp_path: Path) -> None:
    found = claims(tiny_train_run(tmp_path), tiny_eval_run(tmp_path))
    assert {claim.verdict for claim in found.values()} == {Verdict.INCOMPARABLE}
    assert all(claim.reasons and claim.difference is None and claim.measured for claim in found.values())


def test_a_tiny_cpu_run_says_what_differs(tmp_path: Path) -> None:
    claim = claims(tiny_train_run(tmp_path))["train_accuracy_best"]
    assert [reason.text for reason in claim.reasons] == [
        "1 x CPU (Intel Xeon), published 8 x Ascend 910",
        "2,560 training images of 10 classes, published 1,281,167 of 1,000",
        "640 evaluation images of 10 classes, published 50,000 of 1,000",
        "batch_size 32, published 128",
        "amp_level O0, published O3",
        "max_epoch 10, published 300",
        "warmup_epochs 1, published 20",
    ]


@pytest.mark.parametrize(
    ("changes", "topic"),
    [
        ({"devices": ["Ascend910"] * 7}, "hardware"),
        ({"devices": ["Ascend910B2"] * 8}, "hardware"),
        ({"devices": []}, "hardware"),
        ({"dataset": IMAGENET | {"train": TINY["train"]}}, "data"),
        ({"dataset": IMAGENET | {"eval": IMAGENET["eval"] | {"hash": "content:sha256:55"}}}, "data"),
        ({"dataset": IMAGENET | {"eval": IMAGENET["eval"] | {"hash": None}}}, "data"),
        ({"dataset": IMAGENET | {"train": None}}, "data"),
        ({"skipped_images": 3}, "data"),
        ({"config": {"train_image_size": 112}}, "image size"),
        ({"config": {"batch_size": 256}}, "batch"),
        ({"config": {"amp_level": "O2"}}, "precision"),
        ({"config": {"class_num": 1000}}, "model"),
        ({"config": {"shuffle_labels": 1}}, "recipe"),
        ({"config": {"pretrained": "best.ckpt"}}, "recipe"),
    ],
)
def test_one_condition_that_differs_is_enough(tmp_path: Path, changes: dict[str, Any], topic: str) -> None:
    claim = claims(train_run(tmp_path, **changes))["train_accuracy_best"]
    assert claim.verdict is Verdict.INCOMPARABLE
    assert {reason.topic for reason in claim.reasons} == {topic}


def test_a_resumption_with_changed_keys_makes_every_figure_incomparable(tmp_path: Path) -> None:
    events = [resume(12), resume(40, changed=["max_epoch 200 -> 300", "batch_size 256 -> 128"]), resume(80)]
    found = [claim for claim in claims(train_run(tmp_path, resumed=events)).values() if claim.run]
    assert len(found) == 8
    for claim in found:
        assert claim.verdict is Verdict.INCOMPARABLE
        assert claim.reasons[0].topic == "recipe"
        assert claim.reasons[0].text == "resumed with changed keys: max_epoch 200 -> 300, batch_size 256 -> 128"


def test_a_resumption_without_changes_is_no_reason(tmp_path: Path) -> None:
    found = claims(train_run(tmp_path, resumed=[resume(12), resume(250)]))
    assert found["train_accuracy_best"].verdict is Verdict.MATCH
    assert found["train_step_time"].verdict is Verdict.MATCH


def test_a_short_run_on_the_published_machine_measures_speed_and_not_accuracy(tmp_path: Path) -> None:
    found = claims(train_run(tmp_path, config={"max_epoch": 2}))
    assert found["train_step_time"].verdict is Verdict.MATCH
    assert found["train_step_time"].measured
    assert found["train_step_time"].measured.n == "n = 1 run, mean of the last 2 epochs"
    assert found["train_accuracy_last"].verdict is Verdict.INCOMPARABLE
    assert found["train_time"].verdict is Verdict.INCOMPARABLE


def test_a_parameter_count_is_shown_and_never_judged(tmp_path: Path) -> None:
    claim = claims(train_run(tmp_path))["parameters"]
    assert claim.verdict is Verdict.INCOMPARABLE
    assert claim.measured
    assert claim.measured.value == pytest.approx(6.147657)
    assert "6,147,657" in claim.reasons[0].text


def test_a_training_run_says_nothing_about_the_evaluation_figures(tmp_path: Path) -> None:
    assert verdict("eval_gpu_accuracy", train_run(tmp_path)) is Verdict.NOT_MEASURED


def test_the_same_checkpoint_on_an_ascend_is_judged_by_the_ascend_figure_alone(tmp_path: Path) -> None:
    found = claims(eval_run(tmp_path, devices=["Ascend910"], config={"amp_level": "O3"}))
    assert found["eval_ascend_accuracy"].verdict is Verdict.MATCH
    assert found["eval_gpu_accuracy"].verdict is Verdict.INCOMPARABLE


# ------------------------------------------------------------------------------------------------- judged


def test_the_published_run_itself_matches_every_figure_that_is_judged(tmp_path: Path) -> None:
    found = claims(train_run(tmp_path), eval_run(tmp_path))
    judged = {key for key, claim in found.items() if claim.verdict is Verdict.MATCH}
    assert set(found) - judged == {"parameters", "eval_ascend_accuracy"}
    assert found["train_time_hours"].measured
    assert found["train_time_hours"].measured.value == pytest.approx(39.7525, abs=1e-4)


@pytest.mark.parametrize(
    ("key", "changes", "expected"),
    [
        # 373 ms, rounded to 1 ms: within 3 % and 0.5 ms, so from 361.31 to 384.69.
        ("train_step_time", {"step_time_s": 0.3846}, Verdict.MATCH),
        ("train_step_time", {"step_time_s": 0.3847}, Verdict.WORSE),
        ("train_step_time", {"step_time_s": 0.3614}, Verdict.MATCH),
        ("train_step_time", {"step_time_s": 0.3613}, Verdict.BETTER),
        # 2745.055 images/s: from 2662.70 to 2827.41.
        ("train_fps", {"fps": 2662.71}, Verdict.MATCH),
        ("train_fps", {"fps": 2662.70}, Verdict.WORSE),
        ("train_fps", {"fps": 2827.40}, Verdict.MATCH),
        ("train_fps", {"fps": 2827.41}, Verdict.BETTER),
        # 143108.96 s: up to 147402.2288; 41 h, rounded to 1 h: up to 42.73 h = 153828 s.
        ("train_time", {"training_time_s": 147402.22}, Verdict.MATCH),
        ("train_time", {"training_time_s": 147402.23}, Verdict.WORSE),
        ("train_time_hours", {"training_time_s": 153828.00}, Verdict.MATCH),
        ("train_time_hours", {"training_time_s": 153828.01}, Verdict.WORSE),
        # 1.96 sqrt(0.1938^2 + 0.1920^2 + 2 * 0.15^2) = 0.677 points below 75.618 %, and 0.674 above.
        ("train_accuracy_best", {"best": 0.74942}, Verdict.MATCH),
        ("train_accuracy_best", {"best": 0.74936, "last": 0.749}, Verdict.WORSE),
        ("train_accuracy_best", {"best": 0.76288}, Verdict.MATCH),
        ("train_accuracy_best", {"best": 0.76292}, Verdict.BETTER),
        ("train_accuracy_last", {"last": 0.748}, Verdict.WORSE),
    ],
)
def test_the_borders_of_a_match(tmp_path: Path, key: str, changes: dict[str, Any], expected: Verdict) -> None:
    changes = {"last": min(0.75502, changes.get("best", 1))} | changes
    assert verdict(key, train_run(tmp_path, **changes)) is expected


def test_a_difference_of_exactly_three_percent_is_a_match(tmp_path: Path) -> None:
    run = read_run(train_run(tmp_path))
    for figure in (figure for figure in FIGURES if figure.rule.kind == "speed" and not figure.rounding):
        assert judge(figure, run, Measured(figure.value * 1.03, "")).verdict is Verdict.MATCH


def test_difference_and_allowance_are_in_the_unit_of_the_figure(tmp_path: Path) -> None:
    claim = claims(train_run(tmp_path, best=0.75118, last=0.75))["train_accuracy_best"]
    assert claim.difference == pytest.approx(-0.5)
    assert claim.allowed == pytest.approx(0.6769, abs=5e-5)
    assert claim.measured
    assert claim.measured.n == "n = 1 run, best of 300 epochs, 50,000 images"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_measured_value_that_is_not_finite_is_worse_and_says_so(tmp_path: Path, value: float) -> None:
    claim = claims(train_run(tmp_path, fps=value))["train_fps"]
    assert claim.verdict is Verdict.WORSE
    assert claim.reasons[0].text == f"the measured value is {value}"


def test_the_newest_comparable_run_is_shown_even_when_a_newer_one_cannot_be_compared(tmp_path: Path) -> None:
    older = train_run(tmp_path, name="20261101T000000Z_hlg_mobile_ascendx8_nogit")
    newer = train_run(tmp_path, name="20261102T000000Z_hlg_mobile_ascendx8_nogit", fps=1000.0)
    tiny = tiny_train_run(tmp_path, name="20261103T000000Z_tiny_cpux1_nogit")
    claim = claims(tiny, newer, older)["train_fps"]
    assert claim.run
    assert claim.run.folder == newer
    assert claim.verdict is Verdict.WORSE
    assert claims(tiny, older)["train_fps"].verdict is Verdict.MATCH


# ------------------------------------------------------------------------------------- the package


def test_the_package_never_imports_mindspore_or_hlg() -> None:
    imported = set()
    for path in Path(repro.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    assert "yaml" in imported
    assert not imported & {"mindspore", "hlg"}

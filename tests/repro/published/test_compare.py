"""Verdicts: what can be compared is judged by its rule, everything else is incomparable with the reason."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.errors import ReproError
from repro.published.compare import judge_figure
from repro.published.figures import verify_published
from repro.published.schema import Claim, Measured, Reason, Verdict
from repro.records.run_folder import read_run
from repro.records.schema import Run
from tests.support.folders import IMAGENET, eval_run, resume, tiny_eval_run, tiny_train_run, train_run
from tests.support.reports import FIGURES, PUBLISHED, claims_of

MATCH, BETTER, WORSE = Verdict.MATCH, Verdict.BETTER, Verdict.WORSE
INCOMPARABLE, NOT_MEASURED = Verdict.INCOMPARABLE, Verdict.NOT_MEASURED
KEYS = "train_accuracy_last", "train_step_time", "train_fps", "train_time"
ALL = set(KEYS)
WHOLE = {"train_accuracy_last", "train_time"}  # they depend on the whole recipe and on the evaluation


def claims(*runs: Path | Run) -> dict[str, Claim]:
    found = [read_run(run) if isinstance(run, Path) else run for run in runs]
    return {claim.figure.key: claim for claim in claims_of(*found)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The published run, from which others are made without writing them."""
    return read_run(train_run(tmp_path_factory.mktemp("trained")))


def test_every_published_value_that_stands_in_a_log_is_what_the_log_says(tmp_path: Path) -> None:
    logs = verify_published(FIGURES, PUBLISHED)
    assert set(logs) == {"train_ascend910x8.log", "eval_gpu_rtx3090.log"}
    assert sum(bool(figure.log) for figure in FIGURES) == 9
    for path in PUBLISHED.glob("*.log"):
        (tmp_path / path.name).write_text(path.read_text().replace("0.75618", "0.76618"))
    with pytest.raises(ReproError, match=r"best_accuracy: found 76\.618, expected 75\.618 %"):
        verify_published(FIGURES, tmp_path)


def data(split: str, **changes: object) -> dict[str, Any]:
    """ImageNet with a split that differs."""
    return {"dataset": IMAGENET | {split: IMAGENET[split] | changes}}


def test_a_tiny_cpu_run_is_incomparable_in_every_row_and_says_what_differs(tmp_path: Path) -> None:
    found = claims(tiny_train_run(tmp_path), tiny_eval_run(tmp_path))
    assert {claim.verdict for claim in found.values()} == {INCOMPARABLE}
    assert all(claim.reasons and claim.difference is None and claim.measured for claim in found.values())
    assert [reason.text for reason in found["train_accuracy_best"].reasons] == [
        "1 x CPU (Intel Xeon), published 8 x Ascend 910",
        "2,560 training images of 10 classes, published 1,281,167 of 1,000",
        "640 evaluation images of 10 classes, published 50,000 of 1,000",
        "batch_size 32, published 128",
        "amp_level O0, published O3",
        "max_epoch 10, published 300",
        "warmup_epochs 1, published 20",
    ]
    # Of its own 640 images, and of the published 50,000.
    assert found["eval_gpu_accuracy"].evidence[1] == "95 % interval 81.36 to 86.98 %, published 75.11 to 75.86 %"


@pytest.mark.parametrize(
    ("changes", "keys", "topic", "text"),
    [
        ({"devices": ["Ascend910"] * 4}, ALL, "hardware", "4 x Ascend910, published 8 x Ascend 910"),
        ({"devices": ["Ascend910B2"] * 8}, ALL, "hardware", "8 x Ascend910B2, published 8 x"),
        (data("train", images=1281166), ALL, "data", "1,281,166 training images of 1,000 classes, published 1,281,167"),
        (data("eval", hash="content:sha256:55"), WHOLE, "data", "evaluation set with a hash of kind content, files-"),
        (data("eval", hash="files-sizes:sha256:55"), set(), "", ""),  # of an older run
        (data("eval", hash=None), WHOLE, "data", "evaluation set with no"),
        ({"dataset": IMAGENET | {"train": None}}, ALL, "data", "training set not recorded"),
        ({"skipped_images": 3}, ALL, "data", "3 unreadable images were skipped"),
        ({"config": {"train_image_size": 112}}, ALL, "image size", "train_image_size 112, published 224"),
        ({"config": {"batch_size": 64}}, ALL, "batch", "batch_size 64, published 128"),
        ({"config": {"amp_level": "O0"}}, ALL, "precision", "amp_level O0, published O3"),
        ({"config": {"class_num": 1000}}, ALL, "model", "class_num 1000, published 1001"),
        ({"config": {"pretrained": "best.ckpt"}}, WHOLE, "recipe", "pretrained best.ckpt, published none"),
    ],
)
def test_a_difference_is_enough(tmp_path: Path, changes: dict[str, Any], keys: set[str], topic: str, text: str) -> None:
    found = claims(train_run(tmp_path, **changes))
    assert {key for key in ALL if found[key].verdict is INCOMPARABLE} == keys
    for claim in (found[key] for key in keys):
        assert {reason.topic for reason in claim.reasons} == {topic}
        assert claim.reasons[0].text.startswith(text)
        assert (claim.difference, claim.relative, claim.allowed) == (None, None, None)


def test_only_a_resumption_with_changed_keys_makes_every_figure_incomparable(tmp_path: Path) -> None:
    found = claims(train_run(tmp_path / "unchanged", resumed=[resume(12), resume(250)]))
    assert {found[key].verdict for key in ALL} == {MATCH}
    events = [resume(12), resume(40, changed=["max_epoch 200 -> 300", "batch_size 256 -> 128"]), resume(80)]
    about = [claim for claim in claims(train_run(tmp_path / "changed", resumed=events)).values() if claim.run]
    assert len(about) == 8
    reason = Reason("recipe", "resumed with changed keys: max_epoch 200 -> 300, batch_size 256 -> 128")
    assert {(claim.verdict, claim.reasons[0]) for claim in about} == {(INCOMPARABLE, reason)}


def test_a_short_run_on_the_published_machine_measures_speed_and_not_accuracy(tmp_path: Path) -> None:
    found = claims(train_run(tmp_path / "3", config={"max_epoch": 3}))
    assert [found[key].verdict for key in KEYS] == [INCOMPARABLE, MATCH, MATCH, INCOMPARABLE]
    assert found["train_step_time"].measured.n == "n = 1 run, mean of the last 2 epochs"
    claim = claims(train_run(tmp_path / "2", config={"max_epoch": 2}))["train_step_time"]
    assert claim.reasons == (Reason("noise", "one epoch alone does not tell how far epochs differ"),)


def test_the_published_run_itself_matches_every_figure_that_is_judged(trained: Run, tmp_path: Path) -> None:
    assert {claim.verdict for claim in claims().values()} == {NOT_MEASURED}
    assert claims(trained)["eval_gpu_accuracy"].verdict is NOT_MEASURED
    found = claims(trained, eval_run(tmp_path))
    judged = {key for key, claim in found.items() if claim.verdict is MATCH}
    assert set(found) - judged == {"parameters", "eval_ascend_accuracy"}
    assert found["parameters"].measured.value == pytest.approx(6.147657)
    assert "6,147,657" in found["parameters"].reasons[0].text  # why it is never judged
    on_ascend = claims(eval_run(tmp_path / "ascend", devices=["Ascend910"], config={"amp_level": "O3"}))
    assert {key for key, claim in on_ascend.items() if claim.verdict is MATCH} == {"eval_ascend_accuracy"}
    assert found["train_time_hours"].measured.value == pytest.approx(39.7525, abs=1e-4)


@pytest.mark.parametrize(
    ("key", "changes", "expected"),
    [
        # 373 ms, rounded to 1 ms: within 3 % and 0.5 ms, so from 361.31 to 384.69.
        ("train_step_time", {"step_time_s": 0.3846}, MATCH),
        ("train_step_time", {"step_time_s": 0.3847}, WORSE),
        ("train_step_time", {"step_time_s": 0.3614}, MATCH),
        ("train_step_time", {"step_time_s": 0.3613}, BETTER),
        # 2745.055 images/s: from 2662.70 to 2827.41.
        ("train_fps", {"fps": 2662.70}, WORSE),
        ("train_fps", {"fps": 2827.41}, BETTER),
        # 41 h, rounded to 1 h: up to 42.73 h = 153828 s.
        ("train_time_hours", {"training_time_s": 153828.00}, MATCH),
        ("train_time_hours", {"training_time_s": 153828.01}, WORSE),
        # 1.96 sqrt(0.1938^2 + 0.1920^2 + 2 * 0.15^2) = 0.677 points below 75.618 %, and 0.674 above.
        ("train_accuracy_best", {"best": 0.74942}, MATCH),
        ("train_accuracy_best", {"best": 0.76288}, MATCH),
        ("train_accuracy_best", {"best": 0.76292}, BETTER),
    ],
)
def test_the_borders_of_a_match(tmp_path: Path, key: str, changes: dict[str, Any], expected: Verdict) -> None:
    changes = {"last": min(0.75502, changes.get("best", 1))} | changes
    assert claims(train_run(tmp_path, **changes))[key].verdict is expected


def test_a_difference_of_exactly_three_percent_is_a_match(trained: Run) -> None:
    for figure in (figure for figure in FIGURES if figure.rule.kind == "speed" and not figure.rounding):
        assert judge_figure(figure, trained, Measured(figure.value * 1.03, "")).verdict is MATCH


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_measured_value_that_is_not_finite_is_worse_and_says_so(tmp_path: Path, value: float) -> None:
    claim = claims(train_run(tmp_path, fps=value))["train_fps"]
    assert claim.verdict is WORSE
    assert claim.reasons[0].text == f"the measured value is {value}"


def test_the_newest_comparable_run_is_shown_even_when_a_newer_one_cannot_be_compared(tmp_path: Path) -> None:
    older = train_run(tmp_path, name="20261101T000000Z_hlg_mobile_ascendx8_nogit")
    newer = train_run(tmp_path, name="20261102T000000Z_hlg_mobile_ascendx8_nogit", fps=1000.0)
    tiny = tiny_train_run(tmp_path, name="20261103T000000Z_tiny_cpux1_nogit")
    claim = claims(tiny, newer, older)["train_fps"]
    assert (claim.run.folder, claim.verdict) == (newer, WORSE)
    assert claims(tiny, older)["train_fps"].verdict is MATCH


def seeded(run: Run, seed: int, top1: float) -> Run:
    """The run as it would be with this seed and this accuracy, a share, in every epoch."""
    epochs = tuple(replace(epoch, accuracy=top1) for epoch in run.log.epochs)
    return replace(
        run,
        folder=run.folder.with_name(f"20261123T{seed:02}0000Z_hlg_mobile_ascendx8_1a2b3c4d"),
        config={**run.config, "seed": seed},
        log=replace(run.log, epochs=epochs, best_accuracy=top1),
    )


def best(run: Run, *shares: float) -> Claim:
    """What is said of the best accuracy, by a run of each seed with these accuracies."""
    runs = [seeded(run, seed, top1) for seed, top1 in enumerate(shares, 1)]
    return claims(*runs)["train_accuracy_best"]


def test_one_seed_is_judged_by_an_assumed_spread_that_is_said_to_be_assumed(trained: Run) -> None:
    claim = best(trained, 0.75118)
    assert (claim.evidence, claim.seeds) == (("one seed", "s = 0.15 points, assumed"), None)
    assert (claim.difference, claim.allowed) == (pytest.approx(-0.5), pytest.approx(0.6769, abs=5e-5))  # points
    assert claim.measured.n == "n = 1 run, best of 300 epochs, 50,000 images"


def test_several_seeds_are_judged_by_their_own_spread_and_students_t(trained: Run) -> None:
    # By hand: s of 75.0, 75.2, 75.4 is 0.2; t of 2 is 4.302653; p = 75.4 on 50,000 images beside 75.618.
    claim = best(trained, 0.750, 0.752, 0.754)
    sampling = 1.96**2 * (75.4 * 24.6 + 75.618 * 24.382) / 50_000
    assert claim.allowed == pytest.approx(math.sqrt(sampling + 2 * (4.302653 * 0.2) ** 2))
    assert claim.verdict is MATCH
    assert claim.evidence == ("mean 75.200 % of 3 seeds", "s = 0.2 points measured over 3 seeds")
    assert (claim.seeds.n, claim.seeds.mean) == (3, pytest.approx(75.2))


def test_seeds_that_differ_too_much_can_match_nothing_and_can_still_be_worse(trained: Run) -> None:
    claim = best(trained, 0.750, 0.756)
    assert (claim.verdict, claim.difference) == (INCOMPARABLE, None)
    assert claim.reasons == (Reason("noise", "the 95 % interval is 7.64 points, a match is within 2 at most"),)
    assert claim.evidence == ("mean 75.300 % of 2 seeds", "s = 0.424 points measured over 2 seeds")
    assert best(trained, 0.60, 0.606).verdict is WORSE
    assert best(trained, math.nan, 0.756).reasons[0].topic == "noise"  # and what is not finite is no spread


def test_a_run_of_another_recipe_lends_its_seeds_to_no_other_and_shows_them_itself(trained: Run) -> None:
    other = replace(trained, config={**trained.config, "lr_max": 0.01})
    runs = [seeded(other, 1, 0.5), seeded(other, 2, 0.52), seeded(trained, 3, 0.756)]
    assert claims(*runs)["train_accuracy_best"].seeds is None
    claim = best(other, 0.5, 0.52)
    assert claim.verdict is INCOMPARABLE
    assert claim.evidence == ("mean 51.000 % of 2 seeds", "s = 1.41 points measured over 2 seeds")


def timed(run: Run, *step_times_s: float, first: int = 0) -> Run:
    """The run with one epoch for each of these times, the first of this number."""
    epochs = tuple(
        replace(run.log.epochs[0], epoch=first + at, step_time_s=time, fps=1024 / time)
        for at, time in enumerate(step_times_s)
    )
    return replace(run, log=replace(run.log, epochs=epochs))


def test_a_speed_is_the_mean_of_the_last_epochs_with_their_deviation(trained: Run) -> None:
    # By hand: 371, 373, 373, 375 ms: mean 373, deviation sqrt(8 / 3) = 1.633.
    claim = claims(timed(trained, 0.9, 0.9, 0.371, 0.373, 0.373, 0.375))["train_step_time"]
    assert (claim.measured.value, claim.measured.spread) == (pytest.approx(373), pytest.approx(math.sqrt(8 / 3)))
    assert (claim.measured.n, claim.measured.epochs) == ("n = 1 run, mean of the last 4 epochs", 4)
    assert claim.evidence == ("s = 1.63 ms over 4 epochs",)


@pytest.mark.parametrize("key", ["train_step_time", "train_fps", "train_mean_fps"])
def test_epoch_0_never_counts_and_alone_is_compared_with_nothing_and_hides_no_older_run(trained: Run, key: str) -> None:
    short = replace(timed(trained, 0.373), folder=trained.folder.with_name("20261201T000000Z_hlg_mobile"))
    claim = claims(short)[key]
    assert (claim.verdict, [reason.topic for reason in claim.reasons]) == (INCOMPARABLE, ["warm-up"])
    assert claim.evidence == ("one epoch, no spread",)
    assert claim.measured.value == pytest.approx(claim.figure.value, rel=1e-3)
    assert claims(trained, short)[key].run is trained
    assert claims(timed(trained, 9.9, 0.373, 0.373, 0.373))[key].measured.epochs == 3  # without epoch 0
    assert claims(timed(trained, 0.373, 0.373, 0.373, first=296))[key].measured.epochs == 3  # all of a later excerpt


def test_epochs_that_scatter_more_than_the_rule_allows_are_noise(trained: Run) -> None:
    # By hand: 353, 393, 353, 393 ms: mean 373, s = 23.09, t = 3.182, t s / 2 = 36.74 ms, and 3 % are 11.19 ms.
    claim = claims(timed(trained, 0.4, 0.353, 0.393, 0.353, 0.393))["train_step_time"]
    assert (claim.verdict, claim.difference) == (INCOMPARABLE, None)
    known = "the mean is known to 36.7 ms (3.18 s / sqrt(n), s = 23.1 ms over 4 epochs)"
    assert claim.reasons == (Reason("noise", f"{known}, more than the 11.2 ms that the rule allows"),)
    assert claim.evidence == ("s = 23.1 ms over 4 epochs",)
    assert claims(timed(trained, 0.4, 0.367, 0.379, 0.367, 0.379))["train_step_time"].verdict is MATCH  # 10.2 ms

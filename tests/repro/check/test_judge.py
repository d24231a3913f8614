"""What the gate says of a run: what is exact, what has a band, what cannot be compared, and what has changed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.check.judge import Judgment, judge_run
from repro.check.measurements import Speed
from repro.published.schema import Verdict
from repro.records.run_folder import read_run
from tests.support import ROOT
from tests.support.checks import LOSSES, baseline, check_run, off, sse

MATCH, BETTER, WORSE = Verdict.MATCH, Verdict.BETTER, Verdict.WORSE
INCOMPARABLE, NOT_MEASURED = Verdict.INCOMPARABLE, Verdict.NOT_MEASURED
OTHER_CPU = {"cpu": {"model": "AMD EPYC", "cores": 2}}
NEWER = {"packages": {"mindspore": "2.11.0", "numpy": "1.26.4", "pillow": "13.0.0"}}


def held(tmp_path: Path, **changes: Any) -> Judgment:
    """A run with these changes, against the baseline."""
    return judge_run(read_run(check_run(tmp_path, 9, **changes)), [baseline(tmp_path)], tmp_path)


def verdicts(judgment: Judgment) -> tuple[Verdict, ...]:
    """Of losses, accuracy and speed; how other seeds converge is tested in test_convergence.py."""
    return tuple(finding.verdict for finding in judgment.findings if finding.name != "convergence")


def reason(judgment: Judgment, name: str) -> str:
    return next(finding.reason for finding in judgment.findings if finding.name == name)


def test_a_run_that_repeats_the_baseline_matches(tmp_path: Path) -> None:
    found = held(tmp_path)
    assert verdicts(found) == (MATCH, MATCH, MATCH)
    assert found.verdict is MATCH
    assert reason(found, "losses") == "all 40 are the baseline's, bit for bit"
    assert found.changes == ()


# --- losses


def test_in_the_same_environment_the_smallest_difference_is_a_regression_and_its_step_is_named(tmp_path: Path) -> None:
    found = held(tmp_path, losses=off(1e-12, since=17))
    assert found.verdict is WORSE
    assert reason(found, "losses").startswith(
        "the first to differ is that of step 17: 2.13, baseline 2.13; in the same"
    )


def test_elsewhere_losses_may_part_as_far_as_rounding_was_seen_to(tmp_path: Path) -> None:
    found = held(tmp_path, losses=off(0.003, since=10), env=NEWER)
    assert verdicts(found) == (MATCH, MATCH, MATCH)
    assert "within what rounding explains (mindspore 2.10.0 -> 2.11.0): up to 0.003, allowed 0.004" in reason(
        found, "losses"
    )


@pytest.mark.parametrize(("by", "since", "step"), [(0.005, 10, 10), (1e-4, 3, 3), (float("nan"), 20, 20)])
def test_elsewhere_losses_beyond_it_are_a_regression(tmp_path: Path, by: float, since: int, step: int) -> None:
    losses = (*LOSSES[:since], *(loss + by for loss in LOSSES[since:-1]), LOSSES[-1])
    found = held(tmp_path, losses=losses, env=NEWER)
    assert found.verdict is WORSE
    assert reason(found, "losses").startswith(f"step {step}: ")


def test_elsewhere_a_few_roundings_are_allowed_where_no_variant_differed(tmp_path: Path) -> None:
    assert held(tmp_path, losses=off(1e-5), env=NEWER).verdict is MATCH


def test_without_a_band_losses_of_another_environment_cannot_be_compared_unless_they_are_not_finite(
    tmp_path: Path,
) -> None:
    kept = replace(baseline(tmp_path), band=None)
    found = judge_run(read_run(check_run(tmp_path, 8, losses=off(1e-6), env=NEWER)), [kept], tmp_path)
    assert found.verdict is INCOMPARABLE
    assert "the baseline has no band for that" in reason(found, "losses")
    broken = (*LOSSES[:20], float("nan"), *LOSSES[21:])
    assert judge_run(read_run(check_run(tmp_path, 9, losses=broken, env=NEWER)), [kept], tmp_path).verdict is WORSE


def test_another_number_of_steps_is_a_regression(tmp_path: Path) -> None:
    assert reason(held(tmp_path, losses=LOSSES[:39]), "losses") == "39 steps, the baseline has 40"


# --- accuracy


@pytest.mark.parametrize("top1_pct", [29.84375, 30.15625, 100.0])
def test_in_the_same_environment_accuracy_is_the_same_or_it_is_wrong(tmp_path: Path, top1_pct: float) -> None:
    found = held(tmp_path, top1_pct=top1_pct)
    assert verdicts(found) == (MATCH, WORSE, MATCH)
    assert f"{top1_pct:.3f} %, baseline 30.000 % (one seed, 640 images)" in reason(found, "accuracy")


def test_elsewhere_accuracy_may_be_off_by_chance_and_rounding_and_no_more(tmp_path: Path) -> None:
    # 640 images at 30 %: 95 % of differences are within 5.0 points, and rounding was seen to give one more.
    assert verdicts(held(tmp_path / "a", top1_pct=24.5, env=NEWER))[1] is MATCH
    assert verdicts(held(tmp_path / "b", top1_pct=23.5, env=NEWER))[1] is WORSE
    assert verdicts(held(tmp_path / "c", top1_pct=36.5, env=NEWER))[1] is BETTER


# --- speed


def test_a_slower_machine_is_no_slower_step(tmp_path: Path) -> None:
    assert held(tmp_path, step_ms=2400.0, calibration_ms=120.0).verdict is MATCH


def test_a_slower_step_is_a_regression_whatever_the_machine_does(tmp_path: Path) -> None:
    found = held(tmp_path, step_ms=1200.0, slow_moments=range(15, 25))
    assert verdicts(found) == (MATCH, MATCH, WORSE)
    assert "a step takes 30.0 calibrations" in reason(found, "speed")
    assert "slower by 50%" in reason(found, "speed")


def test_a_faster_step_asks_for_a_new_baseline(tmp_path: Path) -> None:
    found = held(tmp_path, step_ms=500.0)
    assert found.verdict is MATCH
    assert "faster by 60%; if that stays, make a new baseline" in reason(found, "speed")


def test_less_than_the_noise_of_the_baseline_is_no_slower_step(tmp_path: Path) -> None:
    assert held(tmp_path, step_ms=950.0).verdict is MATCH


@pytest.mark.parametrize("env", [OTHER_CPU, {"cpu": {"model": "Intel Xeon", "cores": 4}}])
def test_on_another_machine_speed_cannot_be_compared_and_numbers_can(tmp_path: Path, env: dict[str, Any]) -> None:
    found = held(tmp_path, env=env, step_ms=4000.0)
    assert verdicts(found) == (MATCH, MATCH, INCOMPARABLE)
    assert found.verdict is MATCH
    assert "but calibrated otherwise: " in reason(found, "speed")


def test_what_the_run_did_not_measure_never_passes(tmp_path: Path) -> None:
    found = held(tmp_path, calibration_ms=None)
    assert verdicts(found) == (MATCH, MATCH, NOT_MEASURED)
    assert found.verdict is NOT_MEASURED


def test_another_calculation_between_the_steps_is_no_measure_of_speed(tmp_path: Path) -> None:
    kept = baseline(tmp_path, env={"calibration": "6 products"})
    found = judge_run(
        read_run(check_run(tmp_path, 9, env={"calibration": "9 products"}, step_ms=9000.0)), [kept], tmp_path
    )
    assert verdicts(found)[2] is INCOMPARABLE


@pytest.mark.parametrize("name", ["OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"])
def test_a_variable_of_the_calibration_alone_makes_the_speed_incomparable_and_excuses_no_loss(
    tmp_path: Path, name: str
) -> None:
    env = {"variables": {"ONEDNN_MAX_CPU_ISA": "AVX2", name: "1"}}
    found = held(tmp_path, losses=off(1e-6), env=env, step_ms=4000.0)
    assert verdicts(found) == (WORSE, MATCH, INCOMPARABLE)
    assert f"{name} None -> 1" in reason(found, "speed")


@pytest.mark.parametrize("kind", ["family 26.2.1, x86-64-v4", None])
def test_two_processors_of_one_name_are_two(tmp_path: Path, kind: str | None) -> None:
    """Or an older run, whose record says no more than the name that virtual machines give to many."""
    kept = baseline(tmp_path, env={"cpu": {"model": "AMD EPYC", "kind": "family 25.1.1, x86-64-v3", "cores": 2}})
    env = {"cpu": {"model": "AMD EPYC", "kind": kind, "cores": 2}}
    run = check_run(tmp_path, 9, losses=off(1e-6), top1_pct=30.5, env=env, step_ms=4000.0)
    found = judge_run(read_run(run), [kept], tmp_path)
    assert verdicts(found) == (MATCH, MATCH, INCOMPARABLE)
    now = f"AMD EPYC ({kind})" if kind else "AMD EPYC"
    assert f"cpu AMD EPYC (family 25.1.1, x86-64-v3) -> {now}" in reason(found, "losses")


# --- which baseline


def test_another_recipe_data_or_device_is_incomparable_and_says_how_to_make_a_baseline(tmp_path: Path) -> None:
    found = held(tmp_path, config={"lr_max": 0.5})
    assert verdicts(found) == (INCOMPARABLE,) * 3
    assert reason(found, "speed") == (
        "the nearest baseline has lr_max 0.001, this run 0.5; make a baseline where the results are known to be good "
        "and the machine is quiet: make baseline"
    )


def test_where_there_is_no_baseline_nothing_can_be_said(tmp_path: Path) -> None:
    found = judge_run(read_run(check_run(tmp_path)), [], tmp_path / "baselines")
    assert found.verdict is INCOMPARABLE
    assert "baselines holds no baseline of the recipe 'check'" in reason(found, "losses")


def test_of_several_baselines_that_of_the_same_machine_is_taken_whatever_else_differs(tmp_path: Path) -> None:
    here = baseline(tmp_path / "here")
    there = replace(here, environment={**here.environment, "cpu": "AMD EPYC", "mindspore": "2.11.0"})
    for n, (env, expected) in enumerate(
        (({}, here), (NEWER, here), (OTHER_CPU, there), ({**NEWER, **OTHER_CPU}, there))
    ):
        assert judge_run(read_run(check_run(tmp_path, n, env=env)), [there, here], tmp_path).baseline is expected


@pytest.mark.parametrize(
    "env", [{"resumed": [{"commit": "0" * 40}]}, {"resumed": [{"packages": {"mindspore": "2.11.0"}}]}]
)
def test_a_run_that_was_resumed_on_another_footing_cannot_be_compared(tmp_path: Path, env: dict[str, Any]) -> None:
    found = held(tmp_path, env=env)
    assert found.verdict is INCOMPARABLE
    assert reason(found, "losses").startswith("resumed on another footing: commit ")


def test_a_key_that_is_new_since_the_baseline_changes_nothing_and_is_named(tmp_path: Path) -> None:
    found = held(tmp_path, config={"brand_new": 3})
    assert found.verdict is MATCH
    assert found.changes == ("brand_new: new since the baseline, 3",)


# --- what has changed


def test_packages_machine_commits_and_patches_that_changed_are_named(tmp_path: Path) -> None:
    env = {**NEWER, **OTHER_CPU, "commit": "0" * 40, "dirty": True, "patch": "code-1.patch"}
    assert held(tmp_path, env=env).changes == (
        "mindspore: 2.10.0 -> 2.11.0",
        "cpu: Intel Xeon -> AMD EPYC",
        "commits 1a2b3c4d5e6f..000000000000",
        "uncommitted changes, kept in code-1.patch",
    )


def test_commits_that_git_knows_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "".join(f"{n:07x} commit {n}\n" for n in range(12))
    (tmp_path / "git").write_text(f"#!/bin/sh\ncat <<'END'\n{answer}END\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (changes,) = held(tmp_path / "runs", env={"commit": "0" * 40}).changes
    assert changes.startswith("commits 1a2b3c4d5e6f..000000000000: 0000000 commit 0; 0000001 commit 1; ")
    assert changes.endswith("0000009 commit 9; and 2 more")


def test_an_environment_that_rounds_as_the_variant_did_matches(tmp_path: Path) -> None:
    assert held(tmp_path, losses=off(0.001, since=10), env=sse()).verdict is MATCH


# --- real runs


def test_no_repetition_on_a_quiet_or_a_busy_machine_is_called_a_regression(tmp_path: Path) -> None:
    noise = json.loads((ROOT / "results/noise.json").read_text())
    kept = noise["baseline"]
    speeds = tuple(Speed(**speed) for speed in kept["speeds"])
    quiet = replace(baseline(tmp_path), losses=tuple(kept["losses"]), speeds=speeds)
    found = []
    for i, run in enumerate(noise["runs"]):
        times = {"step_ms": run["step_ms"], "calibration_ms": run["calibration_ms"]}
        found.append(
            judge_run(read_run(check_run(tmp_path, 10 + i, losses=kept["losses"], **times)), [quiet], tmp_path)
        )
    assert len(found) >= 20
    assert {verdicts(judgment)[:2] for judgment in found} == {(MATCH, MATCH)}
    assert WORSE not in {verdicts(judgment)[2] for judgment in found}

"""What the gate says of a run: what is exact, what has a band, what cannot be compared, and what has changed."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.check.judge import ADVICE, Judgment, judge_run
from repro.check.measurements import Speed
from repro.published.schema import Verdict
from tests.support import ROOT
from tests.support.checks import LOSSES, baseline, off, short_run

MATCH, BETTER, WORSE = Verdict.MATCH, Verdict.BETTER, Verdict.WORSE
INCOMPARABLE, NOT_MEASURED = Verdict.INCOMPARABLE, Verdict.NOT_MEASURED
SAME, NOTHING = (MATCH,) * 3, (INCOMPARABLE,) * 3  # of losses, accuracy and speed
LOSSES_WORSE, ACCURACY_WORSE, SPEED_WORSE = (WORSE, MATCH, MATCH), (MATCH, WORSE, MATCH), (MATCH, MATCH, WORSE)
NO_SPEED, SPEED_BETTER = (MATCH, MATCH, INCOMPARABLE), (MATCH, MATCH, BETTER)
ROUNDING = "within what rounding explains (mindspore 2.10.0 -> 2.11.0)"
OTHER_CPU = {"cpu": {"model": "AMD EPYC", "cores": 2}}
NEWER = {"packages": {"mindspore": "2.11.0", "numpy": "1.26.4", "pillow": "13.0.0"}}
EPYC = {"model": "AMD EPYC", "kind": "family 25.1.1, x86-64-v3", "cores": 2}


def held(tmp_path: Path, **changes: Any) -> Judgment:
    """A run with these changes, against the baseline."""
    return judge_run(short_run(tmp_path, 9, **changes), [baseline(tmp_path)], tmp_path)


def verdicts(judgment: Judgment) -> tuple[Verdict, ...]:
    """Of losses, accuracy and speed; how other seeds converge is tested in test_convergence.py."""
    return tuple(finding.verdict for finding in judgment.findings if finding.name != "convergence")


def reason(judgment: Judgment, name: str) -> str:
    return next(finding.reason for finding in judgment.findings if finding.name == name)


@pytest.mark.parametrize(
    ("changes", "expected", "said"),
    [
        ({}, SAME, "losses: all 40 match the baseline bit for bit"),
        # In the same environment the smallest difference is a regression.
        ({"losses": off(1e-12, 17)}, LOSSES_WORSE, "losses: the first to differ is that of step 17: 2.13, baseline"),
        ({"losses": LOSSES[:39]}, LOSSES_WORSE, "losses: 39 steps, the baseline has 40"),
        ({"top1_pct": 29.84375}, ACCURACY_WORSE, "accuracy: 29.844 %, baseline 30.000 % (one seed, 640 images)"),
        # In another one losses may part as far as rounding was seen to, and by a few roundings.
        ({"losses": off(0.003, 10), "env": NEWER}, SAME, f"losses: {ROUNDING}: up to 0.003, allowed 0.004"),
        ({"losses": off(1e-5), "env": NEWER}, SAME, f"losses: {ROUNDING}"),
        ({"losses": off(0.005, 10), "env": NEWER}, LOSSES_WORSE, "losses: step 10: "),
        ({"losses": off(1e-4, 3), "env": NEWER}, LOSSES_WORSE, "losses: step 3: "),
        ({"losses": off(math.nan, 20), "env": NEWER}, LOSSES_WORSE, "losses: step 20: nan"),
        # 640 images at 30 %: 95 % of differences are within 5.0 points, and rounding was seen to give one more.
        ({"top1_pct": 24.5, "env": NEWER}, SAME, "accuracy: 24.500 %, baseline 30.000 %"),
        ({"top1_pct": 23.5, "env": NEWER}, ACCURACY_WORSE, "accuracy: 23.500 %, baseline 30.000 %"),
        ({"top1_pct": 36.5, "env": NEWER}, (MATCH, BETTER, MATCH), "accuracy: 36.500 %, baseline 30.000 %"),
        # A slower machine is no slower step, and neither is the noise of the baseline.
        ({"step_ms": 2400.0, "calibration_ms": 120.0}, SAME, "speed: a step takes 20.0 calibrations"),
        ({"step_ms": 950.0}, SAME, "speed: a step takes 23.8 calibrations"),
        ({"step_ms": 1200.0, "slow_moments": range(15, 25)}, SPEED_WORSE, "speed: a step takes 30.0 ... slower by 50%"),
        ({"step_ms": 500.0}, SPEED_BETTER, "speed: a step takes 12.5 ... faster by 60%; if that stays, make a"),
        # What is no number is worse, and never a match.
        ({"step_ms": [800.0] * 39 + [math.nan]}, SPEED_WORSE, "speed: a step takes nan"),
        ({"step_ms": math.inf}, SPEED_WORSE, "speed: a step takes inf"),
        ({"calibration_ms": None}, (MATCH, MATCH, NOT_MEASURED), "speed: the run has too few steps, or calibration"),
        # On another machine the speed cannot be compared and the numbers can.
        ({"env": OTHER_CPU, "step_ms": 4e3}, NO_SPEED, "speed: a step takes 100.0 ... but calibrated differently: cpu"),
        ({"env": {"cpu": {"model": "Intel Xeon", "cores": 4}}}, NO_SPEED, "speed: a step takes 20.0 calibrations"),
        # Nothing can be compared with another workload, and a run of two environments with nothing.
        ({"config": {"lr_max": 1}}, NOTHING, f"speed: the nearest baseline has lr_max 0.001, this run 1; {ADVICE}"),
        ({"env": {"resumed": [{"commit": "0" * 40}]}}, NOTHING, "losses: resumed in a different environment: commit "),
    ],
)
def test_a_run_is_judged_by_its_losses_its_accuracy_and_its_speed(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[Verdict, ...], said: str
) -> None:
    found = held(tmp_path, **changes)
    assert verdicts(found) == expected
    name, _, said = said.partition(": ")
    first, *others = said.split(" ... ")
    assert reason(found, name).startswith(first)
    assert all(text in reason(found, name) for text in others)
    # A speed that is better or incomparable takes nothing from the numbers.
    worst = [verdict for verdict in (WORSE, NOT_MEASURED) if verdict in expected]
    assert found.verdict is (worst[0] if worst else INCOMPARABLE if INCOMPARABLE in expected[:2] else MATCH)


def test_without_a_band_losses_of_another_environment_cannot_be_compared_unless_not_finite(tmp_path: Path) -> None:
    kept = replace(baseline(tmp_path), band=None)
    found = judge_run(short_run(tmp_path, 8, losses=off(1e-6), env=NEWER), [kept], tmp_path)
    assert found.verdict is INCOMPARABLE
    assert "the baseline has no band for that" in reason(found, "losses")
    broken = short_run(tmp_path, 9, losses=off(math.nan, 20), env=NEWER)
    assert judge_run(broken, [kept], tmp_path).verdict is WORSE


@pytest.mark.parametrize(
    "other",
    [{"variables": {"ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "1"}}, {"calibration": "9 products"}],
)
def test_other_calibrations_make_speed_incomparable_and_excuse_no_loss(tmp_path: Path, other: dict[str, Any]) -> None:
    kept = baseline(tmp_path, env={"calibration": "6 products"})
    run = short_run(tmp_path, 9, losses=off(1e-6), env={"calibration": "6 products", **other}, step_ms=4000.0)
    assert verdicts(judge_run(run, [kept], tmp_path)) == (WORSE, MATCH, INCOMPARABLE)


@pytest.mark.parametrize("kind", ["family 26.2.1, x86-64-v4", None])
def test_two_processors_of_one_name_are_two(tmp_path: Path, kind: str | None) -> None:
    """Or an older run, whose record says no more than the name that virtual machines give to many."""
    kept = baseline(tmp_path, env={"cpu": EPYC})
    changes = {"losses": off(1e-6), "top1_pct": 30.5, "env": {"cpu": EPYC | {"kind": kind}}, "step_ms": 4000.0}
    found = judge_run(short_run(tmp_path, 9, **changes), [kept], tmp_path)
    assert verdicts(found) == NO_SPEED
    now = f"AMD EPYC ({kind})" if kind else "AMD EPYC"
    assert f"cpu AMD EPYC (family 25.1.1, x86-64-v3) -> {now}" in reason(found, "losses")


def test_of_several_baselines_that_of_the_same_machine_is_taken_whatever_else_differs(tmp_path: Path) -> None:
    here = baseline(tmp_path / "here")
    there = replace(here, environment={**here.environment, "cpu": "AMD EPYC", "mindspore": "2.11.0"})
    of = (({}, here), (NEWER, here), (OTHER_CPU, there), ({**NEWER, **OTHER_CPU}, there))
    for n, (env, expected) in enumerate(of):
        assert judge_run(short_run(tmp_path, n, env=env), [there, here], tmp_path).baseline is expected
    nothing = judge_run(short_run(tmp_path, 9), [], tmp_path / "baselines")
    assert nothing.verdict is INCOMPARABLE
    assert "baselines holds no baseline of the recipe 'check'" in reason(nothing, "losses")


def test_what_changed_since_the_baseline_is_named_and_a_new_key_changes_nothing(tmp_path: Path) -> None:
    assert held(tmp_path / "same").changes == ()
    env = {**NEWER, **OTHER_CPU, "commit": "0" * 40, "dirty": True, "patch": "code-1.patch"}
    found = held(tmp_path, env=env, config={"brand_new": 3, "class_map": ""})
    assert found.verdict is MATCH
    assert found.changes == (
        "mindspore: 2.10.0 -> 2.11.0",
        "cpu: Intel Xeon -> AMD EPYC",
        "brand_new: new since the baseline, 3",
        "class_map: new since the baseline, empty",
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


def test_no_repetition_on_a_quiet_or_a_busy_machine_is_called_a_regression(tmp_path: Path) -> None:
    noise = json.loads((ROOT / "results/noise.json").read_text())
    kept = noise["baseline"]
    speeds = tuple(Speed(**speed) for speed in kept["speeds"])
    quiet = replace(baseline(tmp_path), losses=tuple(kept["losses"]), speeds=speeds)
    found = []
    for i, run in enumerate(noise["runs"]):
        times = {"step_ms": run["step_ms"], "calibration_ms": run["calibration_ms"]}
        found.append(judge_run(short_run(tmp_path, 10 + i, losses=kept["losses"], **times), [quiet], tmp_path))
    assert len(found) >= 20
    assert {verdicts(judgment)[:2] for judgment in found} == {(MATCH, MATCH)}
    assert WORSE not in {verdicts(judgment)[2] for judgment in found}

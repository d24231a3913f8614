"""What many seeds of a recipe gave, and how a new run is held against them."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.check.baselines import read_baselines
from repro.check.convergence import convergence_table, main
from repro.check.judge import Finding, judge_run
from repro.check.references import PLACE, Reference, make_reference, read_reference, run_points, write_reference
from repro.check.workload import differing_keys
from repro.errors import ReproError
from repro.markdown import read_table
from repro.published.schema import Verdict
from repro.records.schema import Run
from tests.support import ROOT
from tests.support.checks import LOSSES, STEPS, baseline, off, short_run
from tests.support.programs import Call

(KEPT,) = (ROOT / "results/convergence").glob("check_*.json")
SEEDS = range(1, 13)
MATCH, BETTER, WORSE = Verdict.MATCH, Verdict.BETTER, Verdict.WORSE
ELSEWHERE = {"device": {"target": "GPU", "names": ["A100"], "count": 1}, "cpu": {"model": "other", "cores": 64}}
Held = Callable[..., Finding]


def seed_run(folder: Path, seed: int, **changes: Any) -> Run:
    """The run of a seed: its losses and its accuracy lie around 2.3 and 30 %."""
    config = {"seed": seed, **changes.pop("config", {})}
    found = {"losses": off(0.01 * (seed % 5 - 2)), "top1_pct": 30.0 + 2 * (seed % 4 - 1.5), **changes}
    return short_run(folder, seed, config=config, **found)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("seeds")
    return make_reference([seed_run(folder, seed) for seed in SEEDS], folder / "kept")


@pytest.fixture
def held(tmp_path: Path, reference: Reference) -> Held:
    """What the gate finds of the convergence of a run with these changes."""

    def call(**changes: Any) -> Finding:
        run = seed_run(tmp_path, 99, **changes)
        found = judge_run(run, [baseline(tmp_path / "baseline")], tmp_path, [reference])
        return next(finding for finding in found.findings if finding.name == "convergence")

    return call


def test_a_point_is_the_mean_loss_of_a_quarter_or_the_accuracy(reference: Reference) -> None:
    points = reference.points
    assert [point.title for point in points] == [
        *("loss, mean of steps 0 to 9", "loss, mean of steps 10 to 19", "loss, mean of steps 20 to 29"),
        *("loss, mean of steps 30 to 39", "top-1 accuracy at the end, %"),
    ]
    assert [run_points(LOSSES, 30.0)[part] for part in (0, 3, 4)] == pytest.approx([2.255, 1.955, 30.0])
    assert points[0].mean == pytest.approx(2.255, abs=0.002)
    assert points[4].deviation == pytest.approx(2.335, abs=0.001)  # of 27, 29, 31, 33, three times each
    t = 3.106  # of 11 degrees of freedom, at 0.995: 5 % over five points and two sides
    for end in (points[4].low, points[4].high):
        assert abs(end - points[4].mean) == pytest.approx(t * points[4].deviation * (1 + 1 / 12) ** 0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "verdict", "what"),
    [
        ({"env": ELSEWHERE, "config": {"new": 0}}, MATCH, "all 5 points are consistent with 12 seeds (one run, 95%)"),
        ({"losses": off(0.2, since=30)}, WORSE, "loss, mean of steps 30 to 39: 2.1"),
        ({"losses": off(-0.2, since=30)}, BETTER, "loss, mean of steps 30 to 39: 1.7"),
        ({"top1_pct": 15.0}, WORSE, "top-1 accuracy at the end, %: 15.000, but 12 seeds"),
        ({"top1_pct": 45.0}, BETTER, "top-1 accuracy at the end, %: 45.000"),
        ({"losses": off(math.nan, 5)}, WORSE, "steps 0 to 9: nan"),
        ({"losses": LOSSES[:39]}, Verdict.NOT_MEASURED, "expected 40 steps, and an evaluation of 640 images"),
        ({"config": {"lr_max": 0.5}}, Verdict.INCOMPARABLE, "no reference seeds for 'check'"),
    ],
)
def test_another_seed_passes_on_any_device_and_what_is_none_is_found_by_its_first_point(
    held: Held, changes: dict[str, Any], verdict: Verdict, what: str
) -> None:
    found = held(**changes)
    assert found.verdict is verdict
    assert what in found.reason


def test_a_run_that_converges_worse_is_a_regression_without_a_baseline(tmp_path: Path, reference: Reference) -> None:
    run = seed_run(tmp_path, 50, losses=off(0.5))
    assert judge_run(run, [], tmp_path, [reference]).verdict is WORSE
    good = judge_run(seed_run(tmp_path, 51), [], tmp_path, [reference])
    assert good.verdict is Verdict.INCOMPARABLE  # that it converges says not that its numbers are the same


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"config": {"lr_max": 0.5}}, "found 12 runs, of which 11 differ in their seeds alone; expected 10 or more"),
        ({"config": {"seed": 1}}, "found 12 runs, of which 11 differ"),
        ({"env": {"dirty": True}}, "the code had uncommitted changes"),
        ({"losses": off(math.nan, 3)}, "found no accuracy, or a loss that is not finite"),
    ],
)
def test_runs_that_are_not_seeds_of_one_recipe_make_none(odd: dict[str, Any], message: str, tmp_path: Path) -> None:
    runs = [seed_run(tmp_path, seed) for seed in range(1, 12)]
    with pytest.raises(ReproError, match=message):
        make_reference([*runs, seed_run(tmp_path, 12, **odd)], tmp_path)
    with pytest.raises(ReproError, match="found 9 runs, of which 9 differ in their seeds alone; expected 10 or more"):
        make_reference(runs[:9], tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("losses", [[2.0] * STEPS] * 9, "expected losses and accuracies of 10 seeds or more, as many of each"),
        ("losses", [[2.0] * 3] * 12, "found 3 steps, expected 4 or more"),
        ("top1_pct", "high", "top1_pct: found 'high', expected a list"),
    ],
)
def test_a_broken_file_is_an_error(key: str, value: object, message: str, reference: Reference, tmp_path: Path) -> None:
    write_reference(replace(reference, path=tmp_path / "check.json"))
    found = json.loads((tmp_path / "check.json").read_text())
    (tmp_path / "check.json").write_text(json.dumps({**found, key: value}))
    with pytest.raises(ReproError, match=message):
        read_reference(tmp_path / "check.json")


def test_the_program_keeps_them_and_renews_the_table(tmp_path: Path, call: Call) -> None:
    for seed in SEEDS:
        seed_run(tmp_path / "runs", seed)
    page = tmp_path / "page.md"
    page.write_text("<!-- table: convergence -->\n<!-- end -->\n")
    said = call(main, tmp_path / "runs", "--out", tmp_path / "kept", "--update", page)
    (file,) = (tmp_path / "kept").iterdir()
    kept = read_reference(file)
    assert read_table(page, "convergence") == convergence_table(kept)
    assert f"{kept.path}: 12 seeds, 640 images to evaluate" in said.out
    call(main, tmp_path, "--out", tmp_path / "kept", code=2)


def passes(losses: Sequence[float], top1: float, kept: Reference) -> bool:
    return all(p.low <= v <= p.high for v, p in zip(run_points(losses, top1), kept.points, strict=True))


def test_of_the_kept_seeds_about_as_many_fail_among_the_others_as_the_level_says() -> None:
    kept = read_reference(KEPT)
    failed = 0
    for at in range(len(kept.seeds)):
        losses, top1 = list(kept.losses), list(kept.top1_pct)
        own = losses.pop(at), top1.pop(at)
        failed += not passes(*own, replace(kept, losses=tuple(losses), top1_pct=tuple(top1)))
    assert failed == 1  # as its page says; of 20 at 5 % one is to be expected


def test_the_kept_runs_are_those_of_other_seeds_of_the_kept_baseline() -> None:
    kept = read_reference(KEPT)
    (base,) = [found for found in read_baselines(ROOT / "results/baselines") if found.recipe == kept.recipe]
    assert {"batch_size", "train set", "parameters"} <= kept.workload.keys() <= base.workload.keys() - PLACE
    assert not differing_keys(kept.workload, base.workload)  # a key that came later changes nothing

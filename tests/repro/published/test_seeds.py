"""Several seeds: which runs belong together, and what is said of them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.published.schema import SeedGroup, Spread
from repro.published.seeds import CHANGES_NOTHING, group_seeds, unfit
from repro.records.run_folder import read_run
from repro.records.schema import DataSet, ResumeEvent, Run
from tests.support.folders import tiny_eval_run, tiny_train_run

RESUMED = ResumeEvent("2026-11-23T09:00:00Z", 4, 4, "tiny-0004.ckpt", 0, (), None)
OTHER_DATA = DataSet(2560, 10, "content", "content:sha256:99")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of seed 1, from which others are made without writing them."""
    return read_run(tiny_train_run(tmp_path_factory.mktemp("seeds")))


def made(run: Run, *, seed: int = 1, hour: int = 8, config: dict[str, Any] | None = None, **changes: Any) -> Run:
    """The run as it would be with these changes of keys, of the environment or of itself, started at this hour."""
    own = {key: changes.pop(key) for key in ("eval_images", "skipped_images", "resumptions") if key in changes}
    if "data" in changes:
        changes["datasets"] = {**run.env.datasets, **changes.pop("data")}
    return replace(
        run,
        folder=run.folder.with_name(f"20261123T{hour:02}0000Z_tiny_cpux1_nogit"),
        config={**run.config, "seed": seed, **(config or {})},
        env=replace(run.env, **changes),
        **own,
    )


def scored(run: Run, best: float, last: float | None = None, **changes: Any) -> Run:
    """With this accuracy, a share, at best and in every epoch."""
    accuracy = best if last is None else last
    epochs = tuple(replace(epoch, accuracy=accuracy, **changes) for epoch in run.log.epochs)
    return replace(run, log=replace(run.log, best_accuracy=best, epochs=epochs))


def only(runs: Sequence[Run]) -> SeedGroup:
    (group,) = group_seeds(runs)
    return group


def spread(group: SeedGroup, title: str) -> Spread:
    (found,) = [spread for spread in group.spreads if spread.title.startswith(title)]
    return found


def test_three_seeds_have_a_mean_and_the_deviation_of_a_sample(run: Run) -> None:
    # By hand: best 80, 82, 84: mean 82, deviation sqrt((4 + 0 + 4) / 2) = 2. Last 79, 79, 82: mean 80, sqrt(3).
    # Step time 100, 110, 150 ms: mean 120, sqrt((400 + 100 + 900) / 2) = sqrt(700). Images/s 10, 20, 40: sqrt(700/3).
    rows = [(1, 0.80, 0.79, 0.100, 10.0), (2, 0.82, 0.79, 0.110, 20.0), (3, 0.84, 0.82, 0.150, 40.0)]
    runs = [scored(made(run, seed=seed), best, last, step_time_s=time, fps=fps) for seed, best, last, time, fps in rows]
    group = only(runs)
    assert (group.seeds, group.repetitions, group.notes) == ((1, 2, 3), 0, ())
    expected = [
        ("Top-1 accuracy, best epoch", "%", 82.0, 2.0, 80.0, 84.0),
        ("Top-1 accuracy, last epoch", "%", 80.0, math.sqrt(3), 79.0, 82.0),
        ("Time of a training step", "ms", 120.0, math.sqrt(700), 100.0, 150.0),
        ("Images per second, last epochs", "images/s", 70 / 3, math.sqrt(700 / 3), 10.0, 40.0),
    ]
    for found, (title, unit, *numbers) in zip(group.spreads, expected, strict=True):
        assert (found.title, found.unit, found.n) == (title, unit, 3)
        assert [found.mean, found.deviation, found.minimum, found.maximum] == pytest.approx(numbers)


def test_of_each_seed_the_newest_run_counts_and_the_others_are_counted_as_repetitions(run: Run) -> None:
    runs = [
        scored(made(run, seed=seed, hour=hour), top1)
        for seed, hour, top1 in ((2, 12, 0.6), (1, 9, 0.5), (1, 11, 0.4), (1, 10, 0.3))
    ]
    group = only(runs)
    assert group.runs == (runs[2], runs[0])
    assert (group.seeds, group.repetitions) == ((1, 2), 2)
    found = spread(group, "Top-1 accuracy, best")
    assert (found.n, found.minimum, found.maximum) == (2, 40.0, 60.0)
    assert group_seeds([]) == group_seeds(runs[1:]) == []  # one seed, however often it was run


def test_a_number_that_is_not_finite_is_not_averaged_away(run: Run) -> None:
    group = only([scored(made(run, seed=1), 0.5, fps=math.inf), scored(made(run, seed=2), 0.5, fps=-math.inf)])
    found = spread(group, "Images per second")
    assert all(map(math.isnan, (found.mean, found.deviation, found.minimum, found.maximum)))
    assert spread(group, "Top-1 accuracy, best").mean == 50


def test_what_was_never_evaluated_or_is_a_warm_up_alone_is_not_averaged(run: Run) -> None:
    epochs = tuple(replace(epoch, accuracy=None) for epoch in run.log.epochs)
    blind = replace(run, log=replace(run.log, epochs=epochs, best_accuracy=-1.0))
    short = replace(run, log=replace(run.log, epochs=run.log.epochs[:1]))
    for one, units in ((blind, ["ms", "images/s"]), (short, ["%", "%"])):
        assert [found.unit for found in only([made(one, seed=1), made(one, seed=2)]).spreads] == units


def test_keys_that_change_no_number_may_differ_and_other_workers_leave_out_the_speed(run: Run) -> None:
    free = dict.fromkeys(CHANGES_NOTHING, "other")
    group = only([made(run, seed=1), made(run, seed=2, config=free)])
    assert [found.unit for found in group.spreads] == ["%", "%"]
    assert group.notes == ("speed left out, since train_num_workers differs",)


OTHER: dict[str, Any] = {"config": {"lr_max": "other"}, "data": {"train": OTHER_DATA}, "commit": "0" * 40}
OTHER |= {"software": "MindSpore 2.9.0", "target": "GPU", "device_names": ("aarch64",), "device_count": 2}
OTHER |= {"cpu": "AMD EPYC", "eval_images": 639, "skipped_images": 3}


@pytest.mark.parametrize("what", OTHER)
def test_runs_that_differ_in_anything_else_are_not_grouped(run: Run, what: str) -> None:
    assert group_seeds([made(run, seed=1), made(run, seed=2, **{what: OTHER[what]})]) == []


def test_the_cpu_of_an_accelerators_host_may_differ(run: Run) -> None:
    on = {"target": "Ascend", "device_names": ("Ascend910",) * 8, "device_count": 8}
    assert only([made(run, seed=1, **on), made(run, seed=2, cpu="AMD EPYC", **on)]).seeds == (1, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dirty": True}, "the code had uncommitted changes"),
        ({"dirty": None}, "changes of the code are not recorded"),
        ({"commit": None, "dirty": None}, "the commit of the code is not recorded"),
        ({"resumed_on": ("dirty False -> True",)}, "resumed in a different environment: dirty False -> True"),
        ({"datasets": {}}, "the hash of the data is not recorded"),
        ({"data": {"eval": replace(OTHER_DATA, hash=None)}}, "the hash of the data is not recorded"),
        ({"config": {"seed": None}}, "the seed is not recorded"),
        ({"resumptions": (replace(RESUMED, changed=("lr_max 1 -> 2",)),)}, "resumed with changed keys: lr_max 1 -> 2"),
    ],
)
def test_a_run_without_a_clean_record_is_grouped_with_no_other(run: Run, changes: dict[str, Any], reason: str) -> None:
    runs = [made(run, **{"seed": seed} | changes) for seed in (1, 2)]
    assert group_seeds(runs) == []
    assert {unfit(run) for run in runs} == {reason}


def test_a_run_that_was_resumed_unchanged_is_grouped_and_an_evaluation_is_not(run: Run, tmp_path: Path) -> None:
    assert only([made(run, seed=1), made(run, seed=2, resumptions=(RESUMED,))]).seeds == (1, 2)
    evaluation = read_run(tiny_eval_run(tmp_path))
    assert group_seeds([made(evaluation, seed=1), made(evaluation, seed=2)]) == []

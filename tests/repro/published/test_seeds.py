"""Several seeds: which runs belong together, and what is said of them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.published.schema import SeedGroup, Spread
from repro.published.seeds import FREE, group_seeds, unfit
from repro.records.run_folder import read_run
from repro.records.schema import Run
from tests.support.folders import TINY, resume, tiny_eval_run, tiny_train_run

TINY_CONFIG = {"batch_size": 32, "max_epoch": 10, "warmup_epochs": 1, "amp_level": "O0", "train_num_workers": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of seed 1, from which others are made without writing them."""
    return read_run(tiny_train_run(tmp_path_factory.mktemp("seeds"), config=TINY_CONFIG))


def made(run: Run, *, seed: int = 1, hour: int = 8, config: dict[str, Any] | None = None, **env: Any) -> Run:
    """The run as it would be with these changes, started at this hour."""
    return replace(
        run,
        folder=run.folder.with_name(f"20261123T{hour:02}0000Z_tiny_cpux1_nogit"),
        config={**run.config, "seed": seed, **(config or {})},
        env=replace(run.env, **env),
    )


def scored(run: Run, top1: float, **changes: Any) -> Run:
    """With this accuracy, a share, in every epoch."""
    epochs = tuple(replace(epoch, accuracy=top1, **changes) for epoch in run.log.epochs)
    return replace(run, log=replace(run.log, best_accuracy=top1, epochs=epochs))


def only(runs: Sequence[Run]) -> SeedGroup:
    (group,) = group_seeds(runs)
    return group


def spread(group: SeedGroup, title: str) -> Spread:
    (found,) = [spread for spread in group.spreads if spread.title.startswith(title)]
    return found


# ------------------------------------------------------------------------------------------------- numbers


def test_three_seeds_have_a_mean_and_the_deviation_of_a_sample(tmp_path: Path) -> None:
    # By hand: best 80, 82, 84: mean 82, deviation sqrt((4 + 0 + 4) / 2) = 2. Last 79, 79, 82: mean 80, sqrt(3).
    # Step time 100, 110, 150 ms: mean 120, sqrt((400 + 100 + 900) / 2) = sqrt(700). Images/s 10, 20, 40: sqrt(700/3).
    measured = [(1, 0.80, 0.79, 0.100, 10.0), (2, 0.82, 0.79, 0.110, 20.0), (3, 0.84, 0.82, 0.150, 40.0)]
    folders = [
        tiny_train_run(
            tmp_path,
            name=f"20261123T0{seed}0000Z_tiny_cpux1_1a2b3c4d",
            seed=seed,
            best=best,
            last=last,
            step_time_s=step_time_s,
            fps=fps,
        )
        for seed, best, last, step_time_s, fps in measured
    ]
    group = only([read_run(folder) for folder in folders])
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


def test_two_seeds_show_a_deviation_too(run: Run) -> None:
    found = spread(only([scored(made(run, seed=1), 0.8), scored(made(run, seed=5), 0.82)]), "Top-1 accuracy, last")
    assert (found.n, found.mean) == (2, pytest.approx(81))
    assert found.deviation == pytest.approx(math.sqrt(2))


def test_one_seed_alone_is_no_group_however_often_it_was_run(run: Run) -> None:
    assert group_seeds([]) == []
    assert group_seeds([made(run, hour=hour) for hour in (8, 9, 10)]) == []


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


def test_a_number_that_is_not_finite_is_not_averaged_away(run: Run) -> None:
    runs = [scored(made(run, seed=1), 0.5, fps=math.inf), scored(made(run, seed=2), 0.5, fps=-math.inf)]
    found = spread(only(runs), "Images per second")
    assert all(map(math.isnan, (found.mean, found.deviation, found.minimum, found.maximum)))
    assert spread(only(runs), "Top-1 accuracy, best").mean == 50


def test_runs_that_were_never_evaluated_have_a_speed_alone(run: Run) -> None:
    epochs = tuple(replace(epoch, accuracy=None) for epoch in run.log.epochs)
    blind = replace(run, log=replace(run.log, epochs=epochs, best_accuracy=-1.0))
    group = only([made(blind, seed=1), made(blind, seed=2)])
    assert [found.unit for found in group.spreads] == ["ms", "images/s"]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_the_mean_lies_between_minimum_and_maximum(run: Run, shares: list[float]) -> None:
    found = spread(only([scored(made(run, seed=seed), top1) for seed, top1 in enumerate(shares)]), "Top-1 accuracy, b")
    assert found.n == len(shares)
    assert found.minimum <= found.mean <= found.maximum
    assert 0 <= found.deviation <= found.maximum - found.minimum
    assert (found.deviation == 0) == (found.minimum == found.maximum)


def test_the_speed_of_warm_ups_alone_is_not_averaged(run: Run) -> None:
    short = replace(run, log=replace(run.log, epochs=run.log.epochs[:1]))
    assert [found.unit for found in only([made(short, seed=1), made(short, seed=2)]).spreads] == ["%", "%"]


# ------------------------------------------------------------------------------------------------- grouping


MIXED = [(seed, lr_max) for seed in (1, 2, 3) for lr_max in (0.1, 0.2)] + [(1, 0.1), (4, 0.3)]


@given(st.permutations(range(len(MIXED))))
def test_the_groups_do_not_depend_on_the_order_of_the_runs(run: Run, order: list[int]) -> None:
    runs = [made(run, seed=seed, hour=hour, config={"lr_max": lr}) for hour, (seed, lr) in enumerate(MIXED)]
    groups = group_seeds([runs[i] for i in order])
    assert groups == group_seeds(runs)
    assert [(group.seeds, group.repetitions) for group in groups] == [((1, 2, 3), 1), ((1, 2, 3), 0)]


@pytest.mark.parametrize("key", ["lr_max", "batch_size", "max_epoch", "shuffle_labels", "on_unreadable", "a_new_key"])
def test_runs_that_differ_in_one_key_of_the_recipe_are_not_grouped(run: Run, key: str) -> None:
    assert group_seeds([made(run, seed=1), made(run, seed=2, config={key: "other"})]) == []


@pytest.mark.parametrize("key", sorted(FREE - {"seed"}))
def test_a_key_that_changes_no_number_may_differ(run: Run, key: str) -> None:
    assert only([made(run, seed=1), made(run, seed=2, config={key: "other"})]).seeds == (1, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"commit": "0" * 40},
        {"software": "MindSpore 2.9.0"},
        {"target": "GPU"},
        {"device_names": ("aarch64",)},
        {"device_count": 2},
        {"cpu": "AMD EPYC"},
    ],
)
def test_runs_of_other_code_software_or_devices_are_not_grouped(run: Run, changes: dict[str, Any]) -> None:
    assert group_seeds([made(run, seed=1), made(run, seed=2, **changes)]) == []


def test_the_cpu_of_an_accelerators_host_may_differ(run: Run) -> None:
    on = {"target": "Ascend", "device_names": ("Ascend910",) * 8, "device_count": 8}
    assert only([made(run, seed=1, **on), made(run, seed=2, cpu="AMD EPYC", **on)]).seeds == (1, 2)


@pytest.mark.parametrize("split", ["train", "eval"])
@pytest.mark.parametrize("change", [{"images": 2559}, {"classes": 9}, {"hash": "content:sha256:99"}])
def test_runs_on_other_data_are_not_grouped_though_the_path_is_the_same(
    tmp_path: Path, run: Run, split: str, change: dict[str, Any]
) -> None:
    other = read_run(tiny_train_run(tmp_path, dataset=TINY | {split: TINY[split] | change}, config=TINY_CONFIG))
    assert group_seeds([made(run, seed=1), made(other, seed=2)]) == []


def test_runs_that_skipped_other_images_are_not_grouped(run: Run) -> None:
    assert group_seeds([made(run, seed=1), replace(made(run, seed=2), skipped_images=3)]) == []


def test_speed_is_left_out_where_the_workers_differ_and_accuracy_is_not(run: Run) -> None:
    group = only([made(run, seed=1), made(run, seed=2, config={"train_num_workers": 14})])
    assert [found.unit for found in group.spreads] == ["%", "%"]
    assert group.notes == ("speed left out, since train_num_workers differs",)


def test_an_evaluation_is_in_no_group(tmp_path: Path) -> None:
    evaluation = read_run(tiny_eval_run(tmp_path))
    assert group_seeds([made(evaluation, seed=1), made(evaluation, seed=2)]) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dirty": True}, "the code had uncommitted changes"),
        ({"dirty": None}, "changes of the code are not recorded"),
        ({"commit": None, "dirty": None}, "the commit of the code is not recorded"),
        ({"resumed_on": ("dirty False -> True",)}, "resumed on another footing: dirty False -> True"),
        ({"datasets": {}}, "the hash of the data is not recorded"),
        ({"config": {"seed": None}}, "the seed is not recorded"),
    ],
)
def test_a_run_that_is_no_clean_record_of_one_state_is_grouped_with_no_other(
    run: Run, changes: dict[str, Any], reason: str
) -> None:
    runs = [made(run, **{"seed": seed} | changes) for seed in (1, 2)]
    assert group_seeds(runs) == []
    assert {unfit(run) for run in runs} == {reason}


def test_data_without_a_hash_are_not_known_to_agree(tmp_path: Path) -> None:
    found = read_run(tiny_train_run(tmp_path, dataset=TINY | {"eval": TINY["eval"] | {"hash": None}}))
    assert unfit(found) == "the hash of the data is not recorded"


def test_a_run_that_was_resumed_unchanged_is_grouped_and_one_with_changes_is_not(tmp_path: Path, run: Run) -> None:
    plain = read_run(tiny_train_run(tmp_path / "plain", config=TINY_CONFIG, resumed=[resume(4)]))
    assert only([made(run, seed=1), made(plain, seed=2)]).seeds == (1, 2)
    event = resume(4, changed=["lr_max 0.1 -> 0.001"])
    changed = read_run(tiny_train_run(tmp_path / "changed", config=TINY_CONFIG, resumed=[event]))
    assert group_seeds([made(run, seed=1), made(changed, seed=2)]) == []
    assert unfit(changed) == "resumed with changed keys: lr_max 0.1 -> 0.001"

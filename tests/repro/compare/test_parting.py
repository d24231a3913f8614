"""Where numbers part, what differs and what that can change, and what chance explains."""

from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from repro.compare.chance import Chance, contrast_shares, contrast_times, estimate_median, estimate_share
from repro.compare.comparison import compare_folders
from repro.compare.differences import Effect, find_differences
from repro.compare.parting import find_parting
from repro.published.seeds import group_seeds
from repro.records.run_folder import read_runs
from repro.records.schema import ResumeEvent, Run
from repro.report.time_to_target import elapsed_s
from tests.support import ROOT


def with_losses(run: Run, changed: dict[int, float], **more: Any) -> Run:
    losses = array("d", run.steps.loss)
    for step, loss in changed.items():
        losses[step] = loss
    return replace(run, steps=replace(run.steps, loss=losses), **more)


def told(run: Run, first: Run) -> str:
    one = compare_folders([first, run], None).told()[0]
    return "\n".join((one.answer, one.cause, *one.hints))


def test_a_last_bit_is_rounding_and_what_is_beyond_it_is_told_apart(trained: Run) -> None:
    loss = trained.steps.loss
    run = with_losses(trained, {5: float(np.nextafter(loss[5], 9)), 9: loss[9] * 1.001})
    found = find_parting(run, trained)
    assert (found.bits, found.beyond, found.rounds, found.same) == (5, 9, True, False)
    assert "B parts from A at step 5, by 4.4e-16 of" in told(run, trained)
    assert "as rounding does; beyond rounding from step 9 on" in told(run, trained)
    assert not find_parting(with_losses(trained, {5: 0.5}), trained).rounds
    assert "no recorded difference can change a number" in told(run, trained)
    half = replace(run, config={**run.config, "amp_level": "O3"})
    assert find_parting(half, trained).beyond is None


@pytest.mark.parametrize(
    ("step", "more", "said"),
    [
        (0, {}, "step 0 is before any update"),
        (1, {}, "the first backward pass, the update or the second batch differ"),
        (160, {}, "step 160 is the first of epoch 2: the order of its images is drawn anew"),
        (
            100,
            {"resumptions": (ResumeEvent("", 99, 1, "x.ckpt", 3, (), 20.0),)},
            "B was resumed at step 99 from x.ckpt",
        ),
    ],
)
def test_the_place_of_the_first_difference_is_explained(
    step: int, more: dict[str, Any], said: str, trained: Run
) -> None:
    assert said in told(with_losses(trained, {step: 9.0}, **more), trained)


def test_what_is_not_finite_is_the_same_only_as_itself(trained: Run) -> None:
    diverged = with_losses(trained, {7: float("nan")})
    assert find_parting(diverged, diverged).same
    assert "at step 7, where one loss is not finite: more than rounding" in told(diverged, trained)


def test_steps_of_other_epochs_are_not_compared_one_by_one(trained: Run) -> None:
    assert "B takes 40 steps an epoch and A 80" in told(replace(trained, steps_per_epoch=40), trained)


@pytest.mark.parametrize(
    ("facts", "keys", "name", "effect"),
    [
        ({}, {"lr_max": 0.5}, "key lr_max", Effect.NUMBERS),
        ({}, {"graph_kernel": 1}, "key graph_kernel", Effect.ROUNDING),
        ({}, {"eval_num_workers": 9}, "key eval_num_workers", Effect.SPEED),
        ({}, {"resume": "there"}, "key resume", Effect.NOTHING),
        ({"packages": {"numpy": "9"}}, {}, "package numpy", Effect.NUMBERS),
        ({"variables": {"OMP_NUM_THREADS": "1"}}, {}, "variable OMP_NUM_THREADS", Effect.ROUNDING),
        ({"variables": {"OPENBLAS_CORETYPE": "Zen"}}, {}, "variable OPENBLAS_CORETYPE", Effect.NOTHING),
        ({"device": {"driver": "580"}}, {}, "device driver", Effect.ROUNDING),
        ({"cpu": {"model": "other"}}, {}, "processor model", Effect.ROUNDING),
        ({"dataset": {"train": {"hash": "content:1"}}}, {}, "train set hash", Effect.NUMBERS),
        ({"classes": ["a", "c"]}, {}, "class map", Effect.NUMBERS),
    ],
)
def test_each_difference_has_what_it_can_change(
    facts: dict[str, Any], keys: dict[str, Any], name: str, effect: Effect, trained: Run
) -> None:
    first = replace(trained, env=replace(trained.env, facts={"classes": ["a", "b"]}))
    run = replace(first, config={**first.config, **keys}, env=replace(first.env, facts={**first.env.facts, **facts}))
    assert [(one.label, one.effect) for one in find_differences([first, run])] == [(name, effect)]


def test_a_key_that_only_one_run_knows_is_no_difference_where_it_is_off(trained: Run) -> None:
    for value, count in ((0, 0), ("", 0), (0.0, 0), (1, 1)):
        run = replace(trained, config={**trained.config, "later": value})
        assert len(find_differences([trained, run])) == count


def test_an_accuracy_is_beyond_chance_by_images_and_seeds_and_measured_seeds_count_more(trained: Run) -> None:
    seeds = read_runs(ROOT / "results/seeds")[0]
    (group,) = group_seeds(seeds)
    runs = (seeds[0], seeds[1])

    def chance(points: float, *groups: Any) -> Any:
        values = estimate_share(90.0 - points, 320, ""), estimate_share(90.0, 320, "")
        return contrast_shares(runs, values, groups or (None, None), "best_accuracy")

    assert chance(3.0, group, None).chance is Chance.WITHIN
    assert chance(50.0, group, None).chance is Chance.BEYOND
    assert "measured over 3 seeds" in chance(3.0, group, None).why
    assert "assumed, one seed" in chance(3.0).why


def test_a_step_time_is_beyond_chance_where_runs_do_not_scatter_so_far() -> None:
    times = [100.0, 101.0, 102.0] * 9

    def chance(factor: float) -> Any:
        values = estimate_median([factor * time for time in times], ""), estimate_median(times, "")
        found = contrast_times(values, (None, None), "step_time")
        return found and (round(found.value, 3), found.chance)

    assert chance(1.2) == (1.2, Chance.WITHIN)
    assert chance(1.5) == (1.5, Chance.BEYOND)
    assert chance(-1.0) is None


def test_the_time_to_an_accuracy_lies_between_the_evaluations_that_could_have_reached_it(trained: Run) -> None:
    figures = {one.title: one for one in compare_folders([trained, trained], 75.0).figures}
    value = figures["Time to 75 %"].values[0]
    first = next(n for n, epoch in enumerate(trained.log.epochs) if (epoch.accuracy or 0) >= 0.75)
    assert value
    assert value.interval
    assert value.value == pytest.approx(elapsed_s(trained, first))
    assert value.interval.low < value.value <= value.interval.high
    never = {one.title: one for one in compare_folders([trained, trained], 99.9).figures}["Time to 99.9 %"].values[0]
    assert never
    assert never.value == float("inf")

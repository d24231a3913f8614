"""The audit: what is printed from true numbers is consistent, what was altered is not."""

import math
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.audit import __main__ as audit
from repro.audit.consistency import Agreement, Check, Known, audit_log, known_of
from repro.records.run_folder import read_run
from repro.records.schema import Epoch, EvalLine, Log
from tests.support import ROOT
from tests.support.folders import train_run
from tests.support.programs import Call

PUBLISHED = ROOT / "results/published"
CONSISTENT, CONTRADICTORY, UNTOLD = Agreement


def trained(seed: int, epochs: int, steps: int, batch: int, images: int) -> tuple[Log, Known]:
    """A training's log as its program would print it, and what is known of it."""
    draw = random.Random(seed)
    times = [draw.uniform(0.2, 2.0) * steps for _ in range(epochs)]
    costs = [draw.uniform(0.5, 20.0) for _ in range(epochs)]
    scores = [draw.randint(0, images) / images for _ in range(epochs)]
    rates = [steps * batch / time for time in times]
    lines = tuple(
        Epoch(i, i, *(round(time, 2), round(time / steps, 4), 2.5, 0, round(rate, 2), round(score, 6), round(cost, 2)))
        for i, (time, rate, score, cost) in enumerate(zip(times, rates, scores, costs, strict=True))
    )
    total = sum(times) + sum(costs) + draw.uniform(0, 9)
    log = Log(
        *(Path("train.log"), lines, None, epochs, None),
        training_time_s=round(total, 2),
        best_accuracy=max(scores),
        mean_fps=round(sum(rates) / epochs, 2),
        foreign_lines=0,
    )
    left_over = draw.randrange(batch)  # what is no whole batch is left out
    return log, Known(batch, steps * batch + left_over, images, batch, epochs)


def verdicts(log: Log, known: Known) -> dict[str, Check]:
    return {check.claim: check for check in audit_log(log, known)}


def contradictory(log: Log, known: Known) -> set[str]:
    return {claim for claim, check in verdicts(log, known).items() if check.agreement is CONTRADICTORY}


@given(
    seed=st.integers(0, 10**6),
    epochs=st.integers(1, 40),
    steps=st.integers(2, 2000),
    batch=st.integers(1, 2048),
    images=st.integers(10, 50_000),
    excerpt=st.booleans(),
    beside=st.booleans(),
)
def test_what_is_printed_from_true_numbers_is_consistent(
    seed: int, epochs: int, steps: int, batch: int, images: int, excerpt: bool, beside: bool
) -> None:
    log, known = trained(seed, epochs, steps, batch, images)
    if excerpt and epochs > 4:  # the end of a log alone; its other epochs may have been quicker
        log = replace(log, epochs=log.epochs[-4:], training_time_s=(log.training_time_s or 0) + 30.0 * epochs * steps)
    found = verdicts(log, known if beside else Known())
    assert all(check.agreement is not CONTRADICTORY for check in found.values()), found
    assert found["fps"].agreement is CONSISTENT


@pytest.mark.parametrize(
    ("altered", "claims"),
    [
        ({"fps": 1.02}, {"fps", "mean_fps"}),
        ({"step_time_s": 1.02}, {"fps", "epoch time"}),
        ({"epoch_time_s": 0.9}, {"epoch time"}),
        ({"eval_cost_s": 100}, {"training time used"}),
        ({"accuracy": 0.9999}, {"accuracy"}),
    ],
)
def test_an_altered_number_of_an_epoch_is_caught_by_its_checks(altered: dict[str, float], claims: set[str]) -> None:
    log, known = trained(seed=3, epochs=6, steps=80, batch=16, images=320)
    lowest = min(log.epochs, key=lambda epoch: epoch.accuracy or 0)
    changed = {key: getattr(lowest, key) * factor for key, factor in altered.items()}
    epochs = tuple(replace(epoch, **changed) if epoch is lowest else epoch for epoch in log.epochs)
    assert contradictory(replace(log, epochs=epochs), known) == claims


@pytest.mark.parametrize(
    ("altered", "known_otherwise", "claim", "by"),
    [
        ({"best_accuracy": 0.99}, {}, "last_metric", "points"),
        ({"mean_fps": 1.0}, {}, "mean_fps", "images/s"),
        ({"training_time_s": 10.0}, {}, "training time used", "s, "),
        ({}, {"global_batch": 32, "train_images": None}, "fps", "16 images a step, 50 %"),
        ({}, {"epochs": 7}, "epochs", "1 epochs"),
    ],
)
def test_an_altered_closing_line_and_another_batch_or_length_are_caught(
    altered: dict[str, float], known_otherwise: dict[str, Any], claim: str, by: str
) -> None:
    log, known = trained(seed=4, epochs=6, steps=80, batch=16, images=320)
    log, known = replace(log, **altered), replace(known, **known_otherwise)
    assert contradictory(log, known) == {claim}
    assert by in verdicts(log, known)[claim].by


def test_a_number_that_is_not_finite_leaves_its_checks_untold() -> None:
    log, known = trained(seed=6, epochs=2, steps=80, batch=16, images=320)
    broken = replace(log.epochs[1], fps=math.nan, step_time_s=math.nan)
    found = verdicts(replace(log, epochs=(log.epochs[0], broken)), known)
    assert {claim for claim, check in found.items() if check.agreement is UNTOLD} == {"fps", "epoch time", "mean_fps"}


ODD = st.sampled_from([0.0, math.nan, math.inf, 1.0, 0.5])


@given(numbers=st.lists(ODD, min_size=11, max_size=11), known=st.booleans(), first=st.sampled_from([0, 3]))
def test_no_number_however_odd_breaks_the_audit(numbers: list[float], known: bool, first: int) -> None:
    log, beside = trained(seed=7, epochs=2, steps=80, batch=16, images=320)
    names = ("epoch_time_s", "step_time_s", "loss", "fps", "accuracy", "eval_cost_s")
    odd = replace(log.epochs[1], epoch=first, **dict(zip(names, numbers, strict=False)))  # type: ignore[arg-type]
    line = EvalLine(9, *numbers[6:9])
    broken = replace(log, epochs=(odd,), evaluation=line, training_time_s=numbers[9], best_accuracy=numbers[10])
    assert list(audit_log(broken, beside if known else Known()))


def test_an_evaluation_holds_all_images_in_whole_steps() -> None:
    line = EvalLine(1, 0.754880, 0.2441, 95.4355)
    empty = replace(trained(1, 1, 2, 1, 10)[0], epochs=(), evaluation=line)
    known = Known(eval_images=50_000, eval_batch=128)
    assert {check.agreement for check in audit_log(empty, known)} == {CONSISTENT}
    found = verdicts(replace(empty, evaluation=replace(line, total_s=96.0)), known)
    assert found["total cost time"].agreement is CONTRADICTORY
    found = verdicts(replace(empty, evaluation=replace(line, accuracy=0.754889)), known)
    assert found["accuracy"].by == "0.42 images (the evaluation)"


def test_how_many_images_a_training_that_skipped_some_evaluated_is_not_known(tmp_path: Path) -> None:
    folders = [train_run(tmp_path, name=f"{count}_skipped", skipped_images=count) for count in (0, 1)]
    assert [known_of(read_run(folder)).eval_images for folder in folders] == [50_000, None]


def test_the_kept_audit_of_what_was_published_is_up_to_date(tmp_path: Path) -> None:
    assert audit.main(["--published", str(PUBLISHED), "--check"]) == 0
    copy = tmp_path / "published"
    shutil.copytree(PUBLISHED, copy)
    (copy / "audit.md").write_text("old")
    assert audit.main(["--published", str(copy), "--check"]) == 1
    assert audit.main(["--published", str(copy)]) == 0
    assert (copy / "audit.md").read_text() == (PUBLISHED / "audit.md").read_text()


def test_the_kept_runs_are_consistent_as_folders_and_as_bare_logs(call: Call) -> None:
    kept = sorted((ROOT / "results/kept").iterdir())
    logs = [log for run in kept for log in run.glob("*.log")]
    assert call(audit.main, *kept, *logs).out.count(" 0 contradictory") == 2 * len(kept) > 0


def test_a_log_that_contradicts_itself_ends_with_1(tmp_path: Path, call: Call) -> None:
    text = (PUBLISHED / "train_ascend910x8.log").read_text().replace("fps=2745.00", "fps=2845.00")
    (tmp_path / "colleague.log").write_text(text)
    assert "contradictory by" in call(audit.main, tmp_path / "colleague.log", code=1).out


def test_what_cannot_be_audited_is_one_line_and_exit_code_2(tmp_path: Path, call: Call) -> None:
    (tmp_path / "notes.txt").write_text("nothing of the kind\n")
    for record, said in ((tmp_path / "notes.txt", "found no epoch"), (tmp_path / "missing.log", "cannot be read")):
        error = call(audit.main, record, code=2).err
        assert error.startswith("error: ")
        assert said in error

"""`make compare`: what it says and writes of runs of every state, and what it refuses."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.compare import __main__ as program
from repro.report.charts.build import PageCharts
from tests.repro.compare.conftest import TRAINED, Vary
from tests.support import ROOT
from tests.support.folders import tiny_eval_run
from tests.support.programs import Call, Said

SEEDS = sorted((ROOT / "results/seeds").glob("2*"))
Compare = Callable[..., Said]


@pytest.fixture
def compare(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Runs the program without its charts, which take a second; it must end with this exit code."""
    monkeypatch.setattr(program, "comparison_charts", lambda *_: PageCharts())
    return lambda *words, code=1: call(program.main, "--out", tmp_path / "compare.md", *words, code=code)


def test_two_seeds_part_at_the_first_step_the_seed_is_named_and_the_page_has_their_curves(
    tmp_path: Path, call: Call
) -> None:
    out = tmp_path / "compare.md"
    said = call(program.main, *SEEDS[:2], "--target-top1", 75, "--out", out, code=1).out
    assert re.search(
        r"B parts from A at step \d+, by .*: more than rounding explains\n +it can come from key seed\n", said
    )
    assert re.search(r"Time to 75 %, s +A ", said)
    assert "within chance" in said
    page, html = out.read_text(), out.with_suffix(".html").read_text()
    assert "measured over 3 seeds" in page  # of which two are compared
    assert "| key | seed | 1 | 2 |" in page
    for key in ("accuracy", "loss", "parting", "step-time", "step-times"):
        assert f'id="{key}-title"' in html
    assert "<script" not in html
    assert "published" not in html.split("<main")[1]


def test_where_things_lie_and_how_many_workers_read_them_changes_no_number(vary: Vary, compare: Compare) -> None:
    said = compare(TRAINED, vary(dataset_path="/elsewhere", train_num_workers=7), code=0).out
    assert "B has the losses of A, bit for bit, in all 480 steps that both have" in said
    assert "none of the 2 recorded differences changed a number" in said
    assert said.index("can change the speed alone:\n") < said.index("key train_num_workers  2  7")
    assert "changes nothing that is measured:\n   key dataset_path\n" in said
    assert "the same" in said.split("Top-1, best epoch")[1].split("Step time")[0]


def test_a_run_that_still_trains_is_compared_as_far_as_it_has_come(vary: Vary, compare: Compare) -> None:
    said = compare(TRAINED, vary(unfinished=200), code=0).out
    assert "2 of 6 epochs, 196 steps, not finished" in said
    assert "bit for bit, in all 196 steps that both have" in said
    assert "Top-1, epoch 1, %" in said  # the last that both have


def test_runs_of_other_lengths_kinds_and_numbers_stand_beside_each_other(
    vary: Vary, compare: Compare, tmp_path: Path
) -> None:
    evaluated = tiny_eval_run(tmp_path / "runs")
    said = compare(vary(), *SEEDS[:1], evaluated).out
    assert "C and A are a training and an evaluation, which have no numbers in common" in said
    assert re.search(r"Top-1, evaluation, % +A +–\n +B +–\n +C +84\.375 ", said)
    again = tiny_eval_run(tmp_path / "runs", name="20261123T100000Z_tiny_cpux1_nogit")
    assert "B has the accuracy of A" in compare(evaluated, again, code=0).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{one}"], "RUN: found 1, expected 2 to 6 run folders"),
        (["{one}", "{one}"], "this is the run {one} once more"),
        (["{one}", "nowhere"], "nowhere: no such folder"),
        (["{one}", "tests"], "tests: not the name of a run folder"),
        (["{one}", "{broken}"], "the seal is broken: changed train.log"),
        (["{one}", "{empty}"], "no step is recorded yet; wait for the first one"),
        (["{one}", "{bare}"], "env.json: missing, expected in a run folder"),
        (["{one}", "{two}", "--target-top1", "101"], "--target-top1: found 101, expected an accuracy in percent"),
        (["{one}", "{two}", "--out", "page.html"], "--out: found 'page.html', expected the name of a page"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_nothing_is_written(
    words: list[str], said: str, vary: Vary, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    places = {"one": TRAINED, "two": SEEDS[0], "broken": vary(10), "empty": vary(11, unfinished=1)}
    (places["broken"] / "train.log").write_text("")
    places["bare"] = tmp_path / "20261123T110000Z_tiny_cpux1_nogit"
    places["bare"].mkdir()
    found = compare(*(word.format(**places) for word in words), code=2)
    assert found.err.startswith("error: ")
    assert found.err.count("\n") == 1
    assert said.format(**places) in found.err
    assert not list(tmp_path.glob("compare.*"))

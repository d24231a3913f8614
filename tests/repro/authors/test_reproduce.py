"""The whole comparison: what is trained is kept with a page, and the page can be made again from what is kept."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from repro.authors import page
from repro.authors.page import SIDES, Sides, front_table, kept_page
from repro.authors.repetition import AuthorsRun
from repro.authors.reproduce import main
from repro.records.run_folder import read_run
from repro.records.schema import Steps
from tests.support import ROOT
from tests.support.programs import Call

OURS = read_run(ROOT / "results/kept/20261125T130834Z_tiny_cpux1_7ade8202")
EVALUATION = read_run(ROOT / "results/kept/20261125T131554Z_tiny_cpux1_7ade8202")
FACTS = {
    "code": {"repository": "https://example.org/models", "commit": "a" * 40, "first": True, "changed": []},
    "stack": {"mindspore": "1.7.0", "python": "3.9.18"},
    "recipe": "tiny",
}


def _sides(changed: Sequence[str] = ()) -> Sides:
    """Theirs are ours with a little noise; the control's losses stay at 2.5."""
    facts = {**FACTS, "code": {**FACTS["code"], "changed": list(changed)}}  # type: ignore[dict-item]
    noisy = [type(OURS.steps.loss)("d", [loss + shift for loss in OURS.steps.loss]) for shift in (-0.01, 0, 0.01)]
    theirs = [AuthorsRun(Path("theirs"), "key", facts, losses, EVALUATION) for losses in noisy]
    flat = replace(OURS, steps=Steps(loss=type(OURS.steps.loss)("d", [2.5] * len(OURS.steps.loss))))
    return Sides(theirs, [OURS] * 3, [flat] * 3)


def test_the_page_says_verdict_control_code_and_stacks() -> None:
    text = kept_page(_sides())
    assert "**Same** within the margins; the control, **different**." in text
    assert "commit aaaaaaaaa, as first published, unchanged; MindSpore 1.7.0, Python 3.9.18." in text
    assert "| top-1 at the end | 90.9 % | 0.0 | 3 | 90.9 % | 0.0 | 3 | +0.0 | +0.0 to +0.0 | ±15 | same |" in text
    assert text.count("\n| theirs | [theirs](authors/theirs) |") == 3


def test_a_change_of_their_code_is_on_the_page() -> None:
    assert "changed: src/hlg.py changed; MindSpore" in kept_page(_sides(["src/hlg.py changed"]))


def test_the_front_page_has_the_measures_and_the_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "| all | not run | not run | not run | not run | can't tell |" in front_table(tmp_path)
    (tmp_path / SIDES[0]).mkdir()
    monkeypatch.setattr(page, "read_sides", lambda folder: _sides())
    rows = front_table(tmp_path).splitlines()
    assert (
        rows[6]
        == "| top-1 at the end | 90.9 % ± 0.0 (n = 3) | 90.9 % ± 0.0 (n = 3) | +0.0 (+0.0 to +0.0) | ±15 | same |"
    )
    assert "different, as it must be" in rows[7]


def test_a_mistake_in_the_options_is_said_before_anything_is_trained(call: Call) -> None:
    assert "--seeds: found '1 2'; allowed: 3 or more" in call(main, "--seeds", "1 2", code=2).err
    assert "--published: found nothing; name the authors' code" in call(main, code=2).err
    assert "--repeat: found 'x'; allowed: 1 to 1000" in call(main, "--published", "x", "--repeat", "x", code=2).err

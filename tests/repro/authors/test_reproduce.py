"""The whole comparison: what is trained is kept with a page, and the page can be made again from what is kept."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from repro.authors import page, reproduce
from repro.authors.page import RUNS, front_table, kept_page, read_archive, reproduction_of
from repro.authors.repetition import AuthorsRun, read_repetition
from repro.authors.reproduce import main
from repro.records.run_folder import read_run
from repro.records.schema import Steps
from repro.reproduction.comparison import DIFFERENT, SAME, verdict_of
from repro.reproduction.record import KEPT, RECORD, Reproduction, read_reproduction, record_text
from tests.support import ROOT
from tests.support.folders import seal
from tests.support.programs import Call

OURS = read_run(ROOT / "results/kept/20261125T130834Z_tiny_cpux1_7ade8202")
EVALUATION = read_run(ROOT / "results/kept/20261125T131554Z_tiny_cpux1_7ade8202")
FACTS = {
    "code": {"repository": "https://example.org/models", "commit": "a" * 40, "first": True, "changed": []},
    "stack": {"mindspore": "1.7.0", "python": "3.9.18"},
    "recipe": "tiny",
}


def test_the_kept_page_and_record_are_made_from_the_kept_runs() -> None:
    found = read_archive(ROOT / KEPT / RUNS)
    assert kept_page(found) == (ROOT / KEPT / "report.md").read_text()
    assert record_text(found) == (ROOT / KEPT / RECORD).read_text()
    assert (verdict_of(found.measures), verdict_of(found.control_measures)) == (SAME, DIFFERENT)


def _sides(changed: Sequence[str] = ()) -> Reproduction:
    """Theirs are ours with a little noise; the control's losses stay at 2.5."""
    facts = {**FACTS, "code": {**FACTS["code"], "changed": list(changed)}}  # type: ignore[dict-item]
    noisy = [type(OURS.steps.loss)("d", [loss + shift for loss in OURS.steps.loss]) for shift in (-0.01, 0, 0.01)]
    theirs = [
        AuthorsRun(Path("theirs"), "key", facts, losses, 100 * EVALUATION.log.evaluation.accuracy) for losses in noisy
    ]
    flat = replace(OURS, steps=Steps(loss=type(OURS.steps.loss)("d", [2.5] * len(OURS.steps.loss))))
    return reproduction_of(theirs, [OURS] * 3, [flat] * 3)


def test_the_page_says_verdict_control_code_and_stacks() -> None:
    text = kept_page(_sides())
    assert "**Same** within the margins; the control, **different**." in text
    assert "commit aaaaaaaaa, as first published, unchanged; MindSpore 1.7.0, Python 3.9.18." in text
    assert "| top-1 at the end | 90.9 % | 0.0 | 3 | 90.9 % | 0.0 | 3 | +0.0 | +0.0 to +0.0 | ±15 | same |" in text
    assert text.count("\n| theirs | theirs |") == 3


def test_a_change_of_their_code_is_on_the_page() -> None:
    assert "changed: src/hlg.py changed; MindSpore" in kept_page(_sides(["src/hlg.py changed"]))


def test_the_front_page_has_the_measures_and_the_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "| all | not run | not run | not run | not run | can't tell |" in front_table(tmp_path)
    (tmp_path / RUNS).touch()
    monkeypatch.setattr(page, "read_archive", lambda folder: _sides())
    picture, _, table = front_table(tmp_path).partition("\n\n")
    assert 'src="results/reproduce/light.svg"' in picture
    rows = table.splitlines()
    assert rows[6] == "| top-1 at the end | 90.9 % ± 0.0 | 90.9 % ± 0.0 | +0.0 (+0.0 to +0.0) | ±15 | same |"
    assert "different, as it must be" in rows[7]


def _keep_theirs(folder: Path) -> AuthorsRun:
    """A sealed training of theirs with the losses of ours."""
    shutil.copytree(EVALUATION.folder, folder / "evaluation")
    (folder / "config.yml").write_text("max_epoch: 6\n")
    (folder / "env.json").write_text(json.dumps({**FACTS, "kind": "authors", "key": "k"}))
    at = "2026-11-29 07:00:00,000:INFO:"
    lines = [f"{at}epoch[0], step_num[{step}], loss={loss:.6f}" for step, loss in enumerate(OURS.steps.loss)]
    end = "epoch time: 2.00s, per step time: 1.0000s, loss=1.000000, lr=0.001000, fps=4.00"
    lines += [*(f"{at}epoch[{epoch}], {end}" for epoch in range(6)), f"{at}training time used=9.00s"]
    (folder / "train.log").write_text("\n".join(lines) + "\n")
    seal(folder)
    return read_repetition(folder)


def test_what_was_trained_is_kept_with_its_page(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = [_keep_theirs(Path(f"build/20261129T07000{n}Z_theirs")) for n in range(3)]
    ours = []
    for n in range(3):
        shutil.copytree(OURS.folder, copy := Path(f"build/20261129T08000{n}Z_ours"))
        ours.append(read_run(copy))
    monkeypatch.setattr(reproduce, "job_of", lambda *_: None)
    monkeypatch.setattr(reproduce, "draw_data", lambda *_: None)
    monkeypatch.setattr(reproduce, "repeat_theirs", lambda *_: theirs)
    monkeypatch.setattr(reproduce, "train_ours", lambda *_: ours)
    said = call(main, code=1).out  # the control is no other than ours, so it is not different
    assert "verdict: same" in said
    assert "control: same, expected different" in said
    text = (KEPT / "report.md").read_text()
    assert call(main, "--kept", code=1).out == said
    assert (KEPT / "report.md").read_text() == text
    names = ["comparison.json", "dark.svg", "light.svg", "report.md", RUNS]
    assert sorted(path.name for path in KEPT.iterdir()) == names
    assert read_reproduction(KEPT / RECORD) == read_archive(KEPT / RUNS)
    assert (KEPT / "light.svg").read_text().count("theirs, MindSpore 1.7.0 (n = 3)") == 1
    packed = (KEPT / RUNS).read_bytes()
    call(main, code=1)
    assert (KEPT / RUNS).read_bytes() == packed
    (theirs[0].folder / "train.log").write_text("")
    said = call(main, code=2).err
    assert f"{KEPT / RUNS}: authors/{theirs[0].folder.name}: the seal is broken: changed train.log" in said
    (KEPT / RUNS).write_bytes(packed[:-100])
    assert f"{KEPT / RUNS}: can't be read" in call(main, "--kept", code=2).err


def test_a_mistake_in_the_options_is_said_before_anything_is_trained(call: Call) -> None:
    assert "--seeds: found '1 2'; allowed: 3 or more" in call(main, "--seeds", "1 2", code=2).err
    assert "--published: found nothing; name the authors' code" in call(main, code=2).err
    assert "--repeat: found 'x'; allowed: 1 to 1000" in call(main, "--published", "x", "--repeat", "x", code=2).err

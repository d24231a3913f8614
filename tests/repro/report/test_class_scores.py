"""What an evaluation got right of each class, from its record to the pages."""

from pathlib import Path

import pytest

from repro.errors import ReproError
from repro.records.run_folder import read_run
from repro.report.charts.build import PageCharts
from repro.report.html_page import html_report
from repro.report.markdown_page import markdown_report
from repro.report.run_facts import known_facts
from tests.support.folders import CLASSES, eval_run
from tests.support.reports import claims_of


def test_the_hardest_classes_come_first_and_one_without_a_name_has_none(tmp_path: Path) -> None:
    run = read_run(eval_run(tmp_path, counts=CLASSES))
    page = markdown_report(claims_of(run), [run], [], {}, {}, tmp_path / "report.md")
    hardest, confused = page.split("## Classes")[1].split("Most confused classes")
    assert hardest.splitlines()[-4:-1] == [
        "| --- | --- | --- | --- | --- |",
        "| n01443537 |  | 30000 | 66.67 | 99.00 |",
        "| n01440764 | tench | 20000 | 88.72 | 95.00 |",
    ]
    assert "| n01443537 |  | n01440764 | tench | 9999 |\n| n01440764 | tench | output 1000 |  | 2 |" in confused


def test_an_evaluation_that_did_not_count_classes_has_no_such_section(tmp_path: Path) -> None:
    run = read_run(eval_run(tmp_path))
    claims = claims_of(run)
    assert "## Classes" not in markdown_report(claims, [run], [], {}, {}, tmp_path / "report.md")
    assert 'href="#classes"' not in html_report(claims, [run], [], {}, {}, tmp_path / "r.html", PageCharts(), [])


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"classes": CLASSES["classes"][:1]}, "classes: 20000 images, 17744 right; but in all 50000, 37744"),
        (CLASSES, "classes: not those of"),  # env.json names others
        ({"classes": ["tench"]}, "classes: 0: found 'tench', expected an object"),
        ({"confused": [{"class": "a", "taken_for": "b"}]}, "confused: 0: images: found nothing"),
    ],
)
def test_counts_that_do_not_fit_are_an_error_that_names_them(tmp_path: Path, counts: dict, said: str) -> None:
    with pytest.raises(ReproError) as raised:
        read_run(eval_run(tmp_path, counts=counts, env={"classes": ["n01440764", "n01443538"]}))
    assert f"eval.json: {said}" in str(raised.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("same", "the same as the checkpoint's, in the same order"),
        ("unknown", "not compared with the checkpoint's, which names none: taken in order"),
    ],
)
def test_the_report_says_how_classes_were_compared_with_the_checkpoints(tmp_path: Path, how: str, said: str) -> None:
    env = {"classes": ["n01440764", "n01443537"]}
    run = read_run(eval_run(tmp_path, counts={**CLASSES, "classes_compared": how}, env=env))
    assert dict(known_facts(run))["Classes"] == said

"""What an evaluation got right of each class, from its record to the pages."""

import json
from pathlib import Path

import pytest

from repro.errors import ReproError
from repro.published.compare import compare_runs
from repro.published.figures import read_published
from repro.records.run_folder import read_run
from repro.records.schema import Run
from repro.report import class_scores, html_page, markdown_page
from repro.report.charts.build import PageCharts
from repro.report.exports import files as exports
from tests.support.folders import CLASSES, eval_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return read_run(eval_run(tmp_path, counts=CLASSES))


def test_the_classes_right_least_often_come_first(run: Run) -> None:
    assert class_scores.hardest_classes(run) == [
        ("n01443537", "", "30000", "66.67", "99.00"),
        ("n01440764", "tench", "20000", "88.72", "95.00"),
    ]


def test_a_pair_that_is_confused_has_the_names_of_both(run: Run) -> None:
    assert class_scores.confused_pairs(run) == [
        ("n01443537", "", "n01440764", "tench", "9999"),
        ("n01440764", "tench", "output 1000", "", "2"),
    ]


def test_both_tables_are_on_the_pages_and_whole_in_the_files_for_programs(run: Run, tmp_path: Path) -> None:
    claims = compare_runs(read_published(), [run])
    page = markdown_page.markdown_report(claims, [run], [], {}, tmp_path / "report.md")
    assert "| n01443537 |  | 30000 | 66.67 | 99.00 |" in page
    assert "| n01443537 |  | n01440764 | tench | 9999 |" in page
    html = html_page.html_report(claims, [run], [], {}, tmp_path / "report.html", PageCharts(), [])
    assert '<a href="#classes">' in html
    assert "<td>66.67</td>" in html
    files = exports.export_files(claims, [run])
    rows = json.loads(files["tables/classes.json"])
    assert [row["class"] for row in rows] == ["n01440764", "n01443537"]
    assert json.loads(files["tables/confusions.json"])[0]["taken_for"] == "n01440764"


def test_an_evaluation_that_did_not_count_classes_has_no_such_section(tmp_path: Path) -> None:
    run = read_run(eval_run(tmp_path))
    claims = compare_runs(read_published(), [run])
    assert "## Classes" not in markdown_page.markdown_report(claims, [run], [], {}, tmp_path / "report.md")
    assert "#classes" not in html_page.html_report(claims, [run], [], {}, tmp_path / "r.html", PageCharts(), [])


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"classes": CLASSES["classes"][:1]}, "classes: 20000 images, 17744 right; but in all 50000, 37744"),
        ({"classes": ["tench"]}, "classes: 0: found 'tench', expected an object"),
        ({"confused": [{"class": "a", "taken_for": "b"}]}, "confused: 0: images: found nothing"),
    ],
)
def test_counts_that_do_not_fit_are_an_error_that_names_them(tmp_path: Path, counts: dict, said: str) -> None:
    with pytest.raises(ReproError) as raised:
        read_run(eval_run(tmp_path, counts=counts))
    assert f"eval.json: {said}" in str(raised.value)

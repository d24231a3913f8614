"""`make report`: what it writes and says, the table between markers that cannot drift, and what it refuses."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.report import __main__ as program
from repro.report.charts.build import PageCharts
from tests.support.archives import files_in
from tests.support.folders import tiny_eval_run, tiny_train_run
from tests.support.programs import Call, Said
from tests.support.reports import PUBLISHED
from tests.support.reproductions import keep, reproduction

Report = Callable[..., Said]
MARKERS = "# Title\n\n<!-- table: results -->\n<!-- end -->\n\nMore.\n"


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the charts out, which take a second: see charts/test_drawing.py and test_html_page.py."""
    monkeypatch.setattr(program, "build_charts", lambda *_: (PageCharts(), {}))


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(MARKERS)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "report.md"


@pytest.fixture
def report(runs: Path, out: Path, call: Call) -> Report:
    """Runs the program as `make report` does, which must end with this exit code."""
    words = ("--runs", runs, "--published", PUBLISHED, "--checks", out.parent, "--out", out)
    return lambda *more, code=0: call(program.main, *words, *more, code=code)


def test_it_writes_two_pages_and_a_folder_and_shows_the_table(runs: Path, out: Path, report: Report) -> None:
    tiny_train_run(runs)
    unfinished = tiny_eval_run(runs)
    (unfinished / "SHA256SUMS").unlink()
    said = report().out.splitlines()
    assert unfinished.name in out.read_text().split("Unfinished")[1]
    assert unfinished.name in out.with_suffix(".html").read_text()
    assert (out.with_suffix("") / "tables/results.csv").is_file()
    assert said[1].startswith("Top-1 accuracy, best epoch")
    html, folder = out.with_suffix(".html"), out.with_suffix("")
    assert said[-2:] == [
        f"{html}: the same with curves and runs; {folder}: figures, tables and formats",
        f"{out}: the whole table with sources, runs and reasons",
    ]


def test_named_runs_are_read_instead_of_all(runs: Path, out: Path, report: Report) -> None:
    named = tiny_train_run(runs)
    tiny_eval_run(runs)
    report(named)
    page = out.read_text()
    assert named.name in page
    assert "20261123T090000Z" not in page


def test_a_target_accuracy_is_a_row_of_each_run_that_has_one_whether_it_was_reached_or_not(
    runs: Path, out: Path, report: Report
) -> None:
    config = {"batch_size": 32, "max_epoch": 10, "target_top1": 84.0}
    tiny_train_run(runs, config=config)
    tiny_train_run(runs, config={**config, "target_top1": 99.0}, name="20261123T100000Z_tiny_cpux1_nogit")
    said = report().out
    assert "T080000Z_tiny_cpux1_nogit: target_top1 84 %: epoch 0, 84.375 % after 474.70 s of training\n" in said
    assert "T100000Z_tiny_cpux1_nogit: target_top1 99 %: not reached\n" in said
    for page in (out.read_text(), out.with_suffix(".html").read_text()):
        assert re.search("84 %.*epoch 0, 84.375 %.*474.70 s(.|\\n)*99 %.*not reached", page)
    table = (out.with_suffix("") / "tables/runs.csv").read_text().splitlines()
    assert ",84.0,0,474.7," in table[1]


def test_update_puts_the_table_between_markers_with_links_from_there(runs: Path, readme: Path, report: Report) -> None:
    tiny_train_run(runs)
    report("--update", readme)
    text = readme.read_text()
    assert text.startswith("# Title\n\n<!-- table: results -->\n| Figure | Published |")
    assert text.endswith("<!-- end -->\n\nMore.\n")
    assert "](results/runs/20261123T080000Z_tiny_cpux1_nogit)" in text


def test_check_notices_drift_and_writes_nothing(runs: Path, readme: Path, tmp_path: Path, report: Report) -> None:
    tiny_train_run(runs)
    report("--update", readme)
    check = ("--out", tmp_path / "elsewhere/report.md", "--check", readme)
    before = files_in(tmp_path)
    report(*check)
    assert files_in(tmp_path) == before
    readme.write_text(readme.read_text().replace("84.375 %", "94.375 %"))
    before = files_in(tmp_path)
    assert "out of date" in report(*check, code=1).err
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("text", ["# Title\n", MARKERS + MARKERS, MARKERS.replace("<!-- end -->", "")])
def test_markers_that_are_not_there_once_are_an_error(readme: Path, report: Report, text: str) -> None:
    readme.write_text(text)
    assert "expected a line '<!-- table: results -->' once" in report("--check", readme, code=2).err


@pytest.mark.parametrize("name", ["report", "report.html", "results/"])
def test_a_page_with_another_ending_is_an_error(name: str, tmp_path: Path, report: Report) -> None:
    assert "expected the name of a page that ends with .md" in report("--out", tmp_path / name, code=2).err


def test_broken_runs_are_named_in_no_table_and_hide_none(runs: Path, out: Path, readme: Path, report: Report) -> None:
    folder, good = tiny_train_run(runs), tiny_eval_run(runs)
    (folder / "train.log").write_text("")
    (runs / "latest_tiny").mkdir()  # no run folder
    said = report("--update", readme, code=2).err
    assert re.search(r"error: .*20261123T080000Z_tiny_cpux1_nogit: .*changed train\.log", said)
    assert re.search(r"error: .*latest_tiny: not the name of a run folder", said)
    for page in (out.read_text(), out.with_suffix(".html").read_text()):
        assert good.name in page
        assert "changed train" in page.split("Broken")[1]
    assert good.name in readme.read_text()
    assert folder.name not in readme.read_text()


def test_a_damaged_comparison_with_the_authors_code_is_named_and_not_shown(
    out: Path, tmp_path: Path, report: Report
) -> None:
    path = keep(out.parent, reproduction())
    report()
    assert "came out as different, as it must. [The comparison](reproduce/report.md)" in out.read_text()
    path.write_bytes(path.read_bytes()[:1000])
    said = report(code=2).err
    assert re.search(
        r"error: .*comparison\.json: found .*make it again: python -m repro\.authors\.reproduce --kept", said
    )
    assert said.count("\n") == 1
    for page in (out.read_text(), out.with_suffix(".html").read_text()):
        assert "The comparison with the authors" in page
        assert "Theirs (n" not in page


@pytest.mark.parametrize("page", ["report", "update"])
def test_a_full_disk_leaves_every_older_page_as_it_was(
    page: str, runs: Path, readme: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    report("--update", readme)
    tiny_train_run(runs)
    before = files_in(readme.parent)
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if page == "report" or target == readme:
            raise OSError(28, "No space left on device", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    report("--update", readme, code=2)
    after = files_in(readme.parent)
    assert after["README.md"] == before["README.md"]
    assert not [name for name in after if ".partial" in name]

"""The page and the table between markers: what a reader sees, and that it cannot drift."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.markdown import md
from repro.report.__main__ import main
from tests.support import ROOT
from tests.support.folders import resume, seal, tiny_eval_run, tiny_train_run, train_run

PUBLISHED = str(ROOT / "results" / "published")
Report = Callable[..., tuple[int, str]]
MARKERS = "# Title\n\n<!-- table: results -->\n<!-- end -->\n\nMore.\n"


@pytest.fixture
def report(tmp_path: Path, runs: Path) -> Report:
    """Runs the program; returns its exit code and the page."""

    def call(*arguments: object) -> tuple[int, str]:
        out = tmp_path / "results" / "report.md"
        code = main(["--runs", str(runs), "--published", PUBLISHED, "--out", str(out), *map(str, arguments)])
        return code, out.read_text() if out.exists() else ""

    return call


def rows(page: str) -> list[str]:
    return [line for line in page.splitlines() if "| **" in line]


def test_a_page_without_runs_has_a_row_for_every_published_figure(report: Report) -> None:
    code, page = report()
    assert code == 0
    assert len(rows(page)) == 12
    assert page.count("**not measured**") == 13  # once more where the verdicts are explained
    assert "No finished run." in page


def test_an_incomparable_run_shows_its_value_its_reason_and_no_difference(report: Report, runs: Path) -> None:
    tiny_train_run(runs)
    row = rows(report()[1])[0].split(" | ")
    assert row[3] == "84.375 % (n = 1 run, best of 10 epochs, 640 images)"
    assert row[4] == "–"
    assert row[5] == "one seed"
    assert row[6] == "**incomparable**: hardware, data, batch, precision, recipe (1)"
    assert row[7] == "[20261123T080000Z_tiny_cpux1_nogit](runs/20261123T080000Z_tiny_cpux1_nogit) |"


def test_the_reasons_stand_in_full_below_the_table(report: Report, runs: Path) -> None:
    tiny_train_run(runs)
    (note,) = re.findall(r"^1\. .*$", report()[1], re.MULTILINE)
    assert note.endswith("warmup_epochs 1, published 20.")
    assert "1 x CPU (Intel Xeon), published 8 x Ascend 910; 2,560 training images of 10 classes" in note


def test_a_comparable_run_shows_difference_and_allowance(report: Report, runs: Path) -> None:
    train_run(runs, step_time_s=0.4)
    row = rows(report()[1])[2].split(" | ")
    assert row[1] == "373 ms (8 x Ascend 910)"
    assert row[3] == "400.0 ms (n = 1 run, mean of the last 4 epochs)"
    assert row[4] == "+27.0 ms, +7.24 % (match within 11.7)"
    assert row[5] == "s = 0 ms over 4 epochs"
    assert row[6] == "**worse**"


def test_long_times_are_shown_in_hours_too(report: Report, runs: Path) -> None:
    train_run(runs)
    row = rows(report()[1])[5]
    assert "143,108.96 s = 39.75 h (n = 1 run, 300 epochs)" in row


def test_unfinished_runs_foreign_lines_and_absent_checkpoints_are_said(report: Report, runs: Path) -> None:
    (tiny_eval_run(runs) / "SHA256SUMS").unlink()
    folder = tiny_train_run(runs, extra_lines=["[WARNING] a", "[WARNING] b"])
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "a.ckpt").write_text("")
    seal(folder)
    (folder / "checkpoints" / "a.ckpt").unlink()
    page = report()[1]
    assert "| 1a2b3c4d5e6f | 2 | 1 sealed, not kept here |" in page
    assert (
        "- [20261123T090000Z_tiny_cpux1_nogit](runs/20261123T090000Z_tiny_cpux1_nogit)" in page.split("Unfinished")[1]
    )


def test_resumptions_are_said_with_what_was_changed_in_full(report: Report, runs: Path) -> None:
    tiny_train_run(runs, resumed=[resume(4), resume(6, changed=["max_epoch 8 -> 10", "lr_max 0.1 -> 0.001"])])
    (line,) = [line for line in report()[1].splitlines() if "resumed at step" in line]
    assert line == (
        "- [20261123T080000Z_tiny_cpux1_nogit](runs/20261123T080000Z_tiny_cpux1_nogit): resumed at step 4 (epoch 4) "
        "from hlg_mobile-0004.ckpt on 2026-11-23T09:00:00Z, steps run again: 3, compiled again in 25.10 s; resumed at "
        "step 6 (epoch 6) from hlg_mobile-0006.ckpt on 2026-11-23T09:00:00Z, steps run again: 3, compiled again in "
        "25.10 s, **changed**: max_epoch 8 -&gt; 10, lr_max 0.1 -&gt; 0.001"
    )


def test_a_resumption_on_another_footing_is_said(report: Report, runs: Path) -> None:
    tiny_train_run(runs, resumed=[resume(4)], env={"resumed": [{"commit": "0" * 40}]})
    footing = f"**on another footing**: commit 1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d -&gt; {'0' * 40}, dirty False"
    assert footing in report()[1]


def test_a_run_that_was_never_interrupted_is_not_called_resumed(report: Report, runs: Path) -> None:
    tiny_train_run(runs)
    assert "resumed at" not in report()[1]


# ------------------------------------------------------------------------------------------- several seeds


def several(page: str) -> list[str]:
    return page.split("## Several seeds\n\n")[1].split("\n\n## ")[0].splitlines()


def seed_run(runs: Path, seed: int, hour: int, top1: float) -> Path:
    name = f"20261123T{hour:02}0000Z_tiny_cpux1_1a2b3c4d"
    return tiny_train_run(runs, name=name, seed=seed, best=top1, last=top1)


def test_a_page_without_two_seeds_of_one_recipe_says_so(report: Report, runs: Path) -> None:
    seed_run(runs, 1, 8, 0.8)
    seed_run(runs, 1, 9, 0.8)
    assert several(report()[1]) == ["No recipe was run with two or more seeds."]


def test_mean_and_deviation_stand_between_the_runs_and_the_published_logs(report: Report, runs: Path) -> None:
    for seed, hour, top1 in ((3, 8, 0.84), (1, 9, 0.7), (2, 10, 0.82), (1, 11, 0.8)):
        seed_run(runs, seed, hour, top1)
    page = report()[1]
    assert re.findall(r"^## (.*)", page, re.MULTILINE)[:3] == ["Runs", "Several seeds", "The published logs"]
    lines = several(page)
    recipe = "| tiny_cpux1_1a2b3c4d (1) | 1, 2, 3 |"
    assert lines[4:8] == [
        f"{recipe} Top-1 accuracy, best epoch | 3 | 82.000 % | 2.000 points | 80.000 % | 84.000 % |",
        f"{recipe} Top-1 accuracy, last epoch | 3 | 82.000 % | 2.000 points | 80.000 % | 84.000 % |",
        f"{recipe} Time of a training step | 3 | 373.1 ms | 0.0 ms | 373.1 ms | 373.1 ms |",
        f"{recipe} Images per second, last epochs | 3 | 2,744.82 images/s | 0.00 images/s | 2,744.82 images/s "
        "| 2,744.82 images/s |",
    ]
    assert lines[-1] == (
        "1. seed 1 [20261123T110000Z_tiny_cpux1_1a2b3c4d](runs/20261123T110000Z_tiny_cpux1_1a2b3c4d), "
        "seed 2 [20261123T100000Z_tiny_cpux1_1a2b3c4d](runs/20261123T100000Z_tiny_cpux1_1a2b3c4d), "
        "seed 3 [20261123T080000Z_tiny_cpux1_1a2b3c4d](runs/20261123T080000Z_tiny_cpux1_1a2b3c4d); "
        "older runs of the same seeds that are left out: 1."
    )


def test_the_claims_stay_those_of_one_run_and_show_their_seeds_beside_it(report: Report, runs: Path) -> None:
    seed_run(runs, 1, 8, 0.8)
    seed_run(runs, 2, 9, 0.84)
    row = rows(report()[1])[0].split(" | ")
    assert row[3] == "84.000 % (n = 1 run, best of 10 epochs, 640 images)"
    assert row[5] == "mean 82.000 % of 2 seeds; s = 2.83 points measured over 2 seeds"


def test_one_seed_is_said_to_prove_nothing(report: Report, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_run(runs)
    page = report()[1]
    row = rows(page)[0].split(" | ")
    assert row[5:7] == ["one seed; s = 0.15 points, assumed", "**match**"]
    assert "One seed never proves anything: a match of one seed says that" in page.split("## Definitions")[1]
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Top-1 accuracy, best"))
    assert line.endswith("one seed; s = 0.15 points, assumed  match")


def test_a_run_that_can_never_be_counted_together_with_others_is_named_with_the_reason(
    report: Report, runs: Path
) -> None:
    tiny_train_run(runs, env={"dirty": True})
    assert several(report()[1])[2:] == [
        "Never counted together with others:",
        "",
        "- [20261123T080000Z_tiny_cpux1_nogit](runs/20261123T080000Z_tiny_cpux1_nogit): "
        "the code had uncommitted changes",
    ]


def test_the_terminal_shows_mean_and_deviation_below_the_table(
    report: Report, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed_run(runs, 1, 8, 0.8)
    report()
    assert "standard deviation" not in capsys.readouterr().out
    seed_run(runs, 2, 9, 0.82)
    report()
    lines = capsys.readouterr().out.splitlines()
    assert lines[14:17] == [
        "tiny_cpux1_1a2b3c4d",
        "seeds 1, 2                      n  mean               standard deviation",
        "Top-1 accuracy, best epoch      2  81.000 %           1.414 points",
    ]
    assert lines[-1].endswith("report.md: the whole table with sources, runs and reasons")


# ---------------------------------------------------------------------------------------------- the page


def test_the_same_records_give_the_same_page(report: Report, runs: Path) -> None:
    tiny_train_run(runs)
    assert report() == report()


def test_text_from_files_cannot_act_as_markdown(report: Report, runs: Path) -> None:
    tiny_train_run(runs, devices=["Chip | `x` <script>\n# [a](b) *c* <!-- end -->"])
    page = report()[1]
    assert r"Chip \| \`x\` &lt;script&gt; \# \[a\](b) \*c\* &lt;!-- end --&gt;" in page
    assert "<script>" not in page


@given(st.text())
def test_escaped_text_is_one_line_without_an_active_character(text: str) -> None:
    escaped = md(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*\[\]|]|[<>]", escaped)


def test_named_runs_are_read_instead_of_all(report: Report, runs: Path) -> None:
    named = tiny_train_run(runs)
    tiny_eval_run(runs)
    assert "tiny_cpux1" in report()[1]
    assert "20261123T090000Z" not in report(named)[1]


def test_update_puts_the_table_between_the_markers_with_links_from_there(
    report: Report, runs: Path, tmp_path: Path
) -> None:
    tiny_train_run(runs)
    readme = tmp_path / "README.md"
    readme.write_text(MARKERS)
    assert report("--update", readme)[0] == 0
    text = readme.read_text()
    assert text.startswith("# Title\n\n<!-- table: results -->\n| Figure | Published |")
    assert text.endswith("<!-- end -->\n\nMore.\n")
    assert "](results/runs/20261123T080000Z_tiny_cpux1_nogit)" in text


def test_check_notices_when_the_table_drifts_and_writes_nothing(
    report: Report, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_train_run(runs)
    readme = tmp_path / "README.md"
    readme.write_text(MARKERS)
    report("--update", readme)
    assert report("--check", readme)[0] == 0
    drifted = readme.read_text().replace("84.375 %", "94.375 %")
    readme.write_text(drifted)
    assert report("--check", readme)[0] == 1
    assert "out of date" in capsys.readouterr().err
    assert readme.read_text() == drifted


def test_a_new_run_makes_the_table_drift(report: Report, runs: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(MARKERS)
    report("--update", readme)
    tiny_train_run(runs)
    assert report("--check", readme)[0] == 1


@pytest.mark.parametrize("text", ["# Title\n", MARKERS + MARKERS, MARKERS.replace("<!-- end -->", "")])
def test_markers_that_are_not_there_once_are_an_error(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    assert report("--check", readme)[0] == 2
    assert "expected a line '<!-- table: results -->' once" in capsys.readouterr().err


def test_a_broken_run_ends_the_program_with_its_name(
    report: Report, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_train_run(runs)
    (folder / "train.log").write_text("")
    code, page = report()
    assert (code, page) == (2, "")
    assert re.match(r"error: .*20261123T080000Z_tiny_cpux1_nogit: .*changed train\.log", capsys.readouterr().err)

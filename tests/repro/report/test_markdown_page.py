"""The report as Markdown: what a reader sees of figures, runs and seeds, on the page and on a terminal."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from repro.markdown import md
from repro.records.run_folder import read_run
from repro.records.schema import Run
from repro.report.markdown_page import markdown_report, terminal_table
from repro.report.seed_table import terminal_seeds
from tests.support.folders import resume, seal, tiny_train_run, train_run
from tests.support.reports import LOGS, claims_of

LINK = "[{0}](runs/{0})"


def page(*runs: Run, unfinished: Sequence[Path] = ()) -> str:
    """The page of these runs, which lies beside their folder."""
    target = runs[0].folder.parents[1] / "report.md"
    return markdown_report(claims_of(*runs), runs, unfinished, {}, LOGS, target)


def rows(page: str) -> list[list[str]]:
    return [line.split(" | ") for line in page.splitlines() if "| **" in line]


def test_a_comparable_run_shows_difference_and_allowance_and_long_times_in_hours(runs: Path) -> None:
    run = read_run(train_run(runs, step_time_s=0.4))
    found = rows(page(run))
    assert found[0][5:7] == ["one seed; s = 0.15 points, assumed", "**match**"]
    assert found[2][1] == "373 ms (8 x Ascend 910)"
    assert found[2][3] == "400.0 ms (n = 1 run, mean of the last 4 epochs)"
    assert found[2][4:7] == ["+27.0 ms, +7.24 % (match within 11.7)", "s = 0 ms over 4 epochs", "**worse**"]
    assert found[5][3] == "143,108.96 s = 39.75 h (n = 1 run, 300 epochs)"
    assert terminal_table(claims_of(run)).splitlines()[1].split()[-1] == "match"


def test_unfinished_runs_foreign_lines_and_absent_checkpoints_are_said(runs: Path) -> None:
    folder = tiny_train_run(runs, extra_lines=["[WARNING] a", "[WARNING] b"])
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "a.ckpt").write_text("")
    seal(folder)
    (folder / "checkpoints" / "a.ckpt").unlink()
    found = page(read_run(folder), unfinished=[runs / "20261123T090000Z_tiny_cpux1_nogit"])
    assert "| 1a2b3c4d5e6f | 2 | 1 sealed, not kept here |" in found
    assert f"- {LINK.format('20261123T090000Z_tiny_cpux1_nogit')}" in found.split("Unfinished")[1]


def test_resumptions_are_said_with_what_was_changed_in_full(runs: Path) -> None:
    changed = ["max_epoch 8 -> 10", "lr_max 0.1 -> 0.001"]
    elsewhere = {"resumed": [{"commit": "0" * 40}]}
    folder = tiny_train_run(runs, resumed=[resume(4), resume(6, changed=changed)], env=elsewhere)
    (line,) = [line for line in page(read_run(folder)).splitlines() if "resumed at step" in line]
    assert line.startswith(
        "- [20261123T080000Z_tiny_cpux1_nogit](runs/20261123T080000Z_tiny_cpux1_nogit): resumed at step 4 (epoch 4) "
        "from hlg_mobile-0004.ckpt on 2026-11-23T09:00:00Z, steps run again: 3, compiled again in 25.10 s; resumed at "
        "step 6 (epoch 6) from hlg_mobile-0006.ckpt on 2026-11-23T09:00:00Z, steps run again: 3, compiled again in "
        "25.10 s, **changed**: max_epoch 8 -&gt; 10, lr_max 0.1 -&gt; 0.001; "
        f"**in a different environment**: commit 1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d -&gt; {'0' * 40}, dirty False"
    )


def of_seeds(page: str) -> list[str]:
    return page.split("## Several seeds\n\n")[1].split("\n\n## ")[0].splitlines()


def seed_run(runs: Path, seed: int, hour: int, top1: float) -> Run:
    name = f"20261123T{hour:02}0000Z_tiny_cpux1_1a2b3c4d"
    return read_run(tiny_train_run(runs, name=name, seed=seed, best=top1, last=top1))


def test_a_page_without_two_seeds_of_one_recipe_says_so(runs: Path) -> None:
    twins = [seed_run(runs, 1, hour, 0.8) for hour in (8, 9)]
    assert of_seeds(page(*twins)) == [
        "No recipe was run with two or more seeds.",
        *("", "2 trainings of seed 1 agree bit for bit in all 10 losses and in every accuracy."),
    ]
    assert terminal_seeds(twins) == ""


def test_mean_and_deviation_stand_between_the_runs_and_the_published_logs(runs: Path) -> None:
    folders = ((3, 8, 0.84), (1, 9, 0.7), (2, 10, 0.82), (1, 11, 0.8))
    seeds = [seed_run(runs, *one) for one in folders]
    found = page(*seeds)
    row = rows(found)[0]  # the claim stays one of one run, and has its seeds beside it
    assert row[3] == "80.000 % (n = 1 run, best of 10 epochs, 640 images)"
    assert row[5] == "mean 82.000 % of 3 seeds; s = 2 points measured over 3 seeds"
    lines = of_seeds(found)
    members = ((1, 11), (2, 10), (3, 8))
    links = (f"seed {seed} {LINK.format(f'20261123T{hour:02}0000Z_tiny_cpux1_1a2b3c4d')}" for seed, hour in members)
    assert lines[-1] == "2 trainings of seed 1 differ in nothing, and their numbers part in an accuracy."
    assert lines[-3] == f"1. {', '.join(links)}; older runs of the same seeds that are left out: 1."
    assert terminal_seeds(seeds).splitlines()[2:4] == [
        "seeds 1, 2, 3                   n  mean               standard deviation",
        "Top-1 accuracy, best epoch      3  82.000 %           2.000 points",
    ]


def test_a_run_that_can_never_be_counted_together_with_others_is_named_with_the_reason(run: Run) -> None:
    dirty = replace(run, env=replace(run.env, dirty=True))
    reason = f"- {LINK.format(run.folder.name)}: the code had uncommitted changes"
    assert of_seeds(page(dirty))[2:] == ["Never counted together with others:", "", reason]


def test_text_from_files_cannot_act_as_markdown(run: Run) -> None:
    hostile = replace(run.env, target="Ascend", device_names=("Chip | `x` <script>\n# [a](b) *c* <!-- end -->",))
    found = page(replace(run, env=hostile))
    assert r"Chip \| \`x\` &lt;script&gt; \# \[a\](b) \*c\* &lt;!-- end --&gt;" in found
    assert "<script>" not in found


@given(st.text())
def test_escaped_text_is_one_line_without_an_active_character(text: str) -> None:
    escaped = md(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*\[\]|]|[<>]", escaped)

"""The figures as files and within a page: words for those who do not see them, no time in them, and no noise."""

import os
import re
import sys
from array import array
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from repro.records.schema import Run, Steps
from repro.report.charts.build import PageCharts, build_charts
from repro.report.charts.curves import newest_trainings, training_charts
from repro.report.charts.drawing import MARKS, draw_chart
from repro.report.charts.inline import COLORS, CSS_NAMES, DASHES, GRID, INK, MUTED, PAPER
from tests.support.processes import run_command
from tests.support.reports import FIGURES, LOGS, PUBLISHED

KEYS = ["accuracy", "throughput", "loss", "learning-rate", "step-times"]
Made = tuple[PageCharts, dict[str, bytes]]


@pytest.fixture(scope="module")
def seven(run: Run) -> list[Run]:
    """Runs of 200 steps, with two values that are no numbers."""
    found = []
    for seed in range(1, 8):
        loss, times = np.linspace(9, seed, 200), np.linspace(90, 110 * seed, 200)
        loss[7] = times[30] = np.nan
        steps = Steps(*(array("d", values.tolist()) for values in (loss, loss / 1000, times, times / 100)))
        name = f"2026112{seed}T000000Z_tiny_cpux1_1a2b3c4d"
        found.append(replace(run, steps=steps, folder=Path(name), config={**run.config, "seed": seed}))
    return found


@pytest.fixture(scope="module")
def made(seven: list[Run]) -> Made:
    return build_charts(seven, FIGURES, LOGS)


def inlines(charts: PageCharts) -> dict[str, str]:
    parts = [*charts.curves, *([charts.step_times] if charts.step_times else [])]
    return {part.key: str(part.inline) for part in parts}


def test_every_chart_is_an_svg_and_a_png_without_a_time_or_a_program_in_it(made: Made) -> None:
    _, files = made
    assert sorted(files) == sorted(f"figures/{key}.{kind}" for key in KEYS for kind in ("svg", "png"))
    for name, content in files.items():
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        assert not re.search(rb"20\d\d-\d\d-\d\dT|matplotlib\.org|Matplotlib v|<dc:date>|Software", content)


def test_runs_are_told_apart_without_colors() -> None:
    assert len(set(COLORS)) == len(set(DASHES)) == len(set(MARKS)) == 6


def test_drawing_leaves_the_settings_of_others_alone_and_follows_none(run: Run) -> None:
    (chart, *_) = training_charts(newest_trainings([run])[0], FIGURES, LOGS)
    _, plain, _ = draw_chart(chart, "words")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert draw_chart(chart, "words")[1] == plain
        assert dict(matplotlib.rcParams) == before


def test_within_a_page_every_figure_has_a_role_a_name_and_a_description(made: Made) -> None:
    found = inlines(made[0])
    assert list(found) == KEYS
    for key, text in found.items():
        root = ElementTree.fromstring(text)
        named = {element.get("id"): element.text or "" for element in root}
        assert root.get("role") == "img"
        assert len(named[root.get("aria-labelledby")]) > 3
        assert "A  tiny_cpux1, seed 2" in named[root.get("aria-describedby")], key


def test_within_a_page_colors_are_the_pages_and_a_figure_brings_no_rules_links_or_scripts(made: Made) -> None:
    for text in inlines(made[0]).values():
        assert not re.search(r"(?<!, )#[0-9a-f]{6}(?!\))", re.sub(r'(?:href="|url\()#\S+', "", text))
        for color in (INK, MUTED, GRID, PAPER):
            assert f"var(--{CSS_NAMES[color]}, {color})" in text
        assert not re.search(r"<style|<script|<metadata|<a |https?://|xmlns|\son\w+=", text)


def test_what_a_run_is_called_cannot_become_markup_or_a_formula(run: Run) -> None:
    hostile = replace(run, folder=Path('x_<b id="x">$a_1$&\x00\n\U0001f600\udcff_y'), config={"seed": "</svg>"})
    found, files = build_charts([hostile], FIGURES, LOGS)
    text = "".join(inlines(found).values())
    assert "<b" not in text
    assert text.count("</svg>") == 5
    assert "&lt;b id=" in text
    assert "$a_1$&amp;" in text
    for name, content in files.items():
        if name.endswith("svg"):
            ElementTree.fromstring(content)


REPORT = "from repro.report.__main__ import main; main()"
NOBODY = """
import pwd
def unknown(number):
    raise KeyError(number)
pwd.getpwuid = unknown
"""


@pytest.mark.parametrize(("home", "before"), [("/proc/nowhere", ""), (None, NOBODY)])
def test_without_a_home_it_is_drawn_without_a_word(home: str | None, before: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path / "temporary")} | ({"HOME": home} if home else {})
    options = (run.folder, "--published", PUBLISHED, "--out", tmp_path / "report.md")
    done = run_command(sys.executable, "-c", before + REPORT, *options, env=env, inherit=False)
    assert done.stderr == ""
    assert len(list(tmp_path.glob("report/figures/*"))) == 14  # with those of the kept comparison
    assert not list((tmp_path / "temporary").iterdir())

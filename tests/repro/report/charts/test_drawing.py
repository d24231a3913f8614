"""The figures as files and within a page: the same bytes again, words for those who do not see them, no noise."""

import os
import re
import sys
from array import array
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from repro.published.figures import read_published, verify_published
from repro.records.run_folder import read_run
from repro.records.schema import Run, Steps
from repro.report.charts.build import PageCharts, build_charts
from repro.report.charts.curves import newest_trainings
from repro.report.charts.curves import training_charts as curves
from repro.report.charts.drawing import DASHES, MARKS, draw_chart
from repro.report.charts.inline import COLORS, CSS_NAMES, GRID, INK, MUTED, PAPER
from tests.support import ROOT
from tests.support.folders import tiny_train_run
from tests.support.processes import run_command

FIGURES = read_published()
LOGS = verify_published(FIGURES, ROOT / "results" / "published")
KEYS = ["learning-rate", "loss", "accuracy", "throughput", "step-times"]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Seven runs of 200 steps, with two values that are no numbers."""
    base = read_run(tiny_train_run(tmp_path_factory.mktemp("runs")))
    found = []
    for seed in range(1, 8):
        loss, times = np.linspace(9, seed, 200), np.linspace(90, 110 * seed, 200)
        loss[7] = times[30] = np.nan
        steps = Steps(*(array("d", values.tolist()) for values in (loss, loss / 1000, times, times / 100)))
        name = f"2026112{seed}T000000Z_tiny_cpux1_1a2b3c4d"
        found.append(replace(base, steps=steps, folder=Path(name), config={**base.config, "seed": seed}))
    return found


@pytest.fixture(scope="module")
def made(runs: list[Run]) -> tuple[PageCharts, dict[str, bytes]]:
    return build_charts(runs, FIGURES, LOGS)


@pytest.fixture(scope="module")
def files(made: tuple[PageCharts, dict[str, bytes]]) -> dict[str, bytes]:
    return made[1]


def test_every_chart_is_an_svg_and_a_png(files: dict[str, bytes]) -> None:
    assert sorted(files) == sorted(f"figures/{key}.{kind}" for key in KEYS for kind in ("svg", "png"))
    for name, content in files.items():
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")


def test_the_same_numbers_give_the_same_bytes(runs: list[Run]) -> None:
    folder = runs[0].log.path.parent
    here = {
        name: sha256(content).hexdigest()
        for name, content in build_charts([read_run(folder)], FIGURES, LOGS)[1].items()
    }
    assert drawn_elsewhere(folder, {"PYTHONHASHSEED": "7"}) == (f"{here}\n", "")


PROGRAM = """
import sys
from hashlib import sha256
from pathlib import Path
from repro.published.figures import read_published, verify_published
from repro.records.run_folder import read_run
from repro.report.charts.build import build_charts
figures = read_published()
logs = verify_published(figures, Path("results/published"))
_, files = build_charts([read_run(Path(sys.argv[1]))], figures, logs)
print({name: sha256(content).hexdigest() for name, content in files.items()})
"""


def drawn_elsewhere(folder: Path, variables: dict[str, str], before: str = "") -> tuple[str, str]:
    """What another process prints and complains of that draws this run."""
    env = {"PATH": os.environ["PATH"], **variables}
    done = run_command(sys.executable, "-c", before + PROGRAM, folder, env=env, inherit=False)
    return done.stdout, done.stderr


def test_a_file_holds_no_time_and_no_program(files: dict[str, bytes]) -> None:
    for content in files.values():
        assert not re.search(rb"20\d\d-\d\d-\d\dT|matplotlib\.org|Matplotlib v|<dc:date>|Software", content)


def test_an_svg_has_text_as_text_and_says_in_words_what_it_shows(files: dict[str, bytes]) -> None:
    root = ElementTree.fromstring(files["figures/accuracy.svg"])
    texts = ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]
    assert {"Top-1 accuracy", "Top-1 accuracy (%)", "Share of the training (% of its epochs)"} <= set(texts)
    assert "Published after 99.0, 99.3, 99.7, 100.0 %" in files["figures/accuracy.svg"].decode()


def test_runs_are_told_apart_without_colours() -> None:
    assert len(set(COLORS)) == len(set(DASHES)) == len(set(MARKS)) == 6


def test_drawing_leaves_the_settings_of_others_alone_and_follows_none(runs: list[Run]) -> None:
    (chart, *_) = curves(newest_trainings(runs)[0], FIGURES, LOGS)
    _, plain = draw_chart(chart, "words")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert draw_chart(chart, "words")[1] == plain
        assert dict(matplotlib.rcParams) == before


# ------------------------------------------------------------------------------------------------- within a page


@pytest.fixture(scope="module")
def inlines(made: tuple[PageCharts, dict[str, bytes]]) -> dict[str, str]:
    found, _ = made
    parts = [*found.curves, *([found.step_times] if found.step_times else [])]
    return {part.key: str(part.inline) for part in parts}


def test_within_a_page_every_figure_has_a_role_a_name_and_a_description(inlines: dict[str, str]) -> None:
    assert list(inlines) == KEYS
    for key, text in inlines.items():
        root = ElementTree.fromstring(text)
        named = {element.get("id"): element.text or "" for element in root}
        assert root.get("role") == "img"
        assert len(named[root.get("aria-labelledby")]) > 3
        assert "A  tiny_cpux1, seed 2" in named[root.get("aria-describedby")], key


def test_ids_of_figures_do_not_collide_and_every_reference_is_met(inlines: dict[str, str]) -> None:
    everything = "".join(inlines.values())
    ids = re.findall(r'\bid="([^"]*)"', everything)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', everything)) <= set(ids)


def test_within_a_page_colours_are_the_pages(inlines: dict[str, str]) -> None:
    for text in inlines.values():
        assert not re.search(r"(?<!, )#[0-9a-f]{6}(?!\))", re.sub(r'(?:href="|url\()#\S+', "", text))
        for colour in (INK, MUTED, GRID, PAPER):
            assert f"var(--{CSS_NAMES[colour]}, {colour})" in text


def test_within_a_page_a_figure_brings_no_rules_links_or_scripts(inlines: dict[str, str]) -> None:
    for text in inlines.values():
        assert not re.search(r"<style|<script|<metadata|<a |https?://|xmlns|\son\w+=", text)


def test_what_a_run_is_called_cannot_become_markup_or_a_formula(runs: list[Run]) -> None:
    hostile = replace(runs[0], folder=Path('x_<b id="x">$a_1$&\x00\n\U0001f600\udcff_y'), config={"seed": "</svg>"})
    found, files = build_charts([hostile], FIGURES, LOGS)
    text = "".join(part.inline for part in found.curves)
    assert "<b" not in text
    assert text.count("</svg>") == 4
    assert "&lt;b id=" in text
    assert "$a_1$&amp;" in text
    for name, content in files.items():
        if name.endswith("svg"):
            ElementTree.fromstring(content)


# ------------------------------------------------------------------------------------------------- quiet


NOBODY = """
import pwd
def unknown(number):
    raise KeyError(number)
pwd.getpwuid = unknown
"""


@pytest.mark.parametrize(("home", "before"), [("/proc/nowhere", ""), (None, NOBODY)])
def test_without_a_home_to_write_to_it_is_drawn_all_the_same_and_nothing_is_said(
    home: str | None, before: str, runs: list[Run], tmp_path: Path
) -> None:
    variables = {"TMPDIR": str(tmp_path)} | ({"HOME": home} if home else {})
    printed, complained = drawn_elsewhere(runs[0].log.path.parent, variables, before)
    assert complained == ""
    assert printed.count("figures/") == 10
    assert not list(tmp_path.iterdir())

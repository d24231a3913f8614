"""The page for people: all that the Markdown page tells and the charts, valid and harmless."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from repro.records.run_folder import read_run
from repro.records.schema import Run
from repro.report.charts.build import PageChart, PageCharts
from repro.report.charts.curves import newest_trainings, training_charts
from repro.report.charts.description import describe_chart
from repro.report.html_page import breakable, html_report, readable
from repro.report.machine_checks import machine_checks
from repro.report.run_facts import fact_text, page_link
from tests.support import ROOT
from tests.support.archives import files_in
from tests.support.folders import resume, tiny_train_run, train_run
from tests.support.hostile import IMG, hostile_runs
from tests.support.reports import FIGURES, LOGS, claims_of, run_report
from tests.support.reproductions import keep, reproduction

VOID = {"meta", "link", "br", "wbr", "img", "hr", "input"}
ODD_NAME = "20261123T080000Z_a b%20#?é&_x_1"


class Page(HTMLParser):
    """What a browser would make of the text, which must be balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.words, self.open = text, [], [], []  # type: ignore[var-annotated]
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len(dict(attributes)) == len(attributes), f"<{tag}> has an attribute twice"
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [found[name] for kind, found in self.tags if kind == tag and name in found]

    @property
    def told(self) -> str:
        return " ".join("".join(self.words).split())


def written(root: Path) -> Page:
    """The page of the runs below `root`, written by the program, with its charts."""
    assert run_report(root / "runs", root / "report.md") == 0
    return Page((root / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page of the kept runs, of one with an odd name and of the authors' code lies."""
    root = tmp_path_factory.mktemp("kept")
    shutil.copytree(ROOT / "tests/repro/fixtures/runs", root / "runs")
    tiny_train_run(root / "runs", name=ODD_NAME)
    keep(root, reproduction())
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> Page:
    return written(root)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of runs whose every text is an attack."""
    root = tmp_path_factory.mktemp("hostile")
    hostile_runs(root / "runs")
    return written(root)


def plain(*runs: Run, charts: PageCharts | None = None) -> Page:
    """The page of these runs without charts, which take seconds."""
    target = runs[0].folder.parents[1] / "report.html"
    return Page(html_report(claims_of(*runs), runs, [], {}, LOGS, target, charts or PageCharts(), []))


def test_comparable_figures_are_counted_and_a_run_as_published_differs_in_nothing(runs: Path) -> None:
    told = plain(read_run(train_run(runs))).told
    assert "7 of 12 published figures were measured in a way that can be compared with them." in told
    assert "No difference from the published training on 8 x Ascend 910 (MindSpore 1.5.1)" in told


def test_what_other_checks_of_the_machine_concluded_stands_in_the_headline(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "results/fingerprints", tmp_path / "fingerprint")
    (tmp_path / "check").mkdir()
    (tmp_path / "check/verdict.json").write_text('{"verdict": "match", "run": "20261129T033821Z_check_cpux1_b2c4f9c8"}')
    check, o0, _ = found = machine_checks(tmp_path)
    assert check == "make check says match of 20261129T033821Z_check_cpux1_b2c4f9c8"
    assert o0 == "HLG-Mobile in O0 on CPU (x86_64), graph mode, MindSpore 2.10.0: all 166 rows within bounds"
    page = html_report([], [], [], {}, LOGS, tmp_path / "r.html", PageCharts(), [], found)
    assert f"On this machine: {check}; {o0}" in page
    (tmp_path / "check/verdict.json").write_text("[]")
    assert "expected one JSON object" in machine_checks(tmp_path)[0]


def test_the_authors_code_beside_ours_comes_first_with_verdicts_curves_and_each_accuracy(page: Page) -> None:
    assert "Beside the authors' own code, ours is the same, within the margins; the control came out" in page.told
    first, *_ = page.values("section", "id")
    assert first == "authors"
    told = page.told.split("Each published figure")[0]
    assert "Ours: same" in told
    assert "Control: different" in told
    assert re.search(r"Theirs \(n = 5\): 6\.\d+ at first, 2\.\d+ at last", told)
    assert re.search(r"Theirs \(n = 5\) ?\d\d\.\d\d ?(\d\d\.\d\d, ){4}\d\d\.\d\d", told)
    assert told.count("top-1 at the end") == 2


def test_a_page_without_runs_says_so_and_draws_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    page = written(tmp_path)
    assert (tmp_path / "report.md").read_text().count("| **not measured** |") == 12
    assert "No finished run: nothing was measured." in page.told
    assert "No published figure was measured." in page.told
    assert not page.values("svg", "role")
    assert not (tmp_path / "report/figures").exists()


def test_the_environment_of_a_run_is_told_and_what_is_missing_makes_it_partial(runs: Path) -> None:
    device = {"target": "CPU", "names": ["x86_64"], "count": 1, "driver": "535.1", "cann": "9.1.0"}
    known = {"python": "3.11.7", "device": device, "variables": {"HLG_IMAGE_DIGEST": "sha256:abc"}}
    others = {"missing": ["version of pillow"], "argv": ["/home/somebody/secret.py"]}
    told = plain(read_run(tiny_train_run(runs, env=known | others))).told
    for text in ("535.1", "9.1.0", "HLG_IMAGE_DIGEST sha256:abc", "content:sha256:33", "Python3.11.7", "6,147,657"):
        assert text in told
    assert told.count("partial") == 2
    assert told.count("version of pillow") == 2
    assert "somebody" not in told


def test_a_patch_of_the_code_is_linked_and_a_path_out_of_the_folder_is_not(run: Run) -> None:
    linked, outside = (
        replace(run, env=replace(run.env, facts={"patch": patch})) for patch in ("config.yml", f"../{run.folder.name}")
    )
    hrefs = plain(linked, outside).values("a", "href")
    assert hrefs.count(f"runs/{run.folder.name}/config.yml") == 3  # of each run its own, and once as its patch
    assert not [href for href in hrefs if ".." in href]


def test_resumptions_and_skipped_images_are_deviations(runs: Path) -> None:
    resumed = [resume(4, changed=["lr_max 0.1 -> 0.001"])]
    told = plain(read_run(tiny_train_run(runs, resumed=resumed, skipped_images=3))).told
    assert "resumed at step 4 (epoch 4) from hlg_mobile-0004.ckpt" in told
    assert "changed: lr_max 0.1 -> 0.001" in told
    assert "3 unreadable images were skipped" in told


def test_older_runs_that_are_not_drawn_are_counted(run: Run) -> None:
    (one,), _ = newest_trainings([run])
    (chart, *_) = training_charts([one], FIGURES, LOGS)
    part = PageChart("loss", "Training loss", "", Markup("<svg></svg>"), describe_chart(chart))
    told = plain(run, charts=PageCharts((part,), None, ((one.series.label, run),), more=2)).told
    assert "These are the newest training runs; 2 older ones are not drawn." in told
    assert "A tiny_cpux1, seed 1" in told


def test_facts_that_are_an_inventory_or_too_deep_are_not_told() -> None:
    assert fact_text({"used": ["a"] * 500, "sha256": "12"}) == "sha256 12"
    nested: object = "x"
    for _ in range(10_000):
        nested = [nested]
    assert fact_text(nested) == ""
    assert fact_text({"a": None, "b": "", "c": [1, True, 2.5]}) == "c 1, True, 2.5"


def test_links_lead_to_what_is_there_and_every_file_beside_the_page_is_offered(page: Page, root: Path) -> None:
    hrefs = page.values("a", "href")
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    assert {"note-1"} < {href.removeprefix("#") for href in hrefs if href.startswith("#")} <= set(ids)
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page.text)) <= set(ids)  # within the figures too
    links = [href for href in hrefs if not href.startswith("#")]
    assert any("a%20b%2520%23%3F%C3%A9%26" in href for href in links)
    for href in links:
        assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", href)
        assert (root / unquote(href)).exists(), href
    offered = {unquote(href).removeprefix("report/") for href in links if href.startswith("report/")}
    assert offered == set(files_in(root / "report"))
    assert len([path for path in offered if path.startswith("figures/")]) == 14
    assert not re.search("/tmp/|/work/|/home/|/root/", page.text)  # no place on a disk


def test_a_folder_whose_name_is_no_text_is_linked_byte_by_byte() -> None:
    assert page_link(Path("results/runs/x\udcff"), Path("results/report.html")).href == "runs/x%FF"


def test_no_text_of_a_run_becomes_markup(hostile: Page) -> None:
    kinds = {tag for tag, _ in hostile.tags}
    assert kinds.isdisjoint({"script", "img", "iframe", "link", "b", "object", "base", "form"})
    for _, attributes in hostile.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert not re.match(r"\s*(javascript|data):", attributes.get("href") or "", re.IGNORECASE)
    assert hostile.told.count(IMG) > 50
    assert hostile.values("style", "x") == []
    assert len([tag for tag, _ in hostile.tags if tag == "style"]) == 1
    assert "{{ 7 * 7 }}" in hostile.told
    assert "49" not in hostile.told


def test_what_turns_or_hides_text_is_replaced(hostile: Page) -> None:
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", hostile.text)
    assert r"\u202eright to left\u2066" in hostile.told


@given(st.text())
def test_any_text_stands_in_the_page_as_itself(text: str) -> None:
    shown = str(readable(text))
    page = Page(str(breakable(text)))
    assert "".join(page.words) == shown
    assert {tag for tag, _ in page.tags} <= {"wbr"}
    assert "\n" not in shown


@settings(max_examples=25)
@given(st.text(), st.text(), st.text())
def test_any_names_give_a_page_that_is_balanced(run: Run, name: str, device: str, key: str) -> None:
    env = replace(run.env, device_names=(device,), cpu=name, missing=(key,), facts={key: name, "cpu": {key: device}})
    as_long_as_may_be = name.replace("/", "").encode()[:250].decode(errors="ignore")
    folder = run.folder.with_name(f"a_{as_long_as_may_be}")
    classes = plain(replace(run, env=env, folder=folder)).values("span", "class")
    assert classes.count("verdict incomparable") == 10


def test_headings_come_in_order_and_sections_are_named(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    kinds = [tag for tag, _ in page.tags]
    assert [kinds.count(kind) for kind in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert page.values("html", "lang") == ["en-US"]
    assert len(page.values("section", "aria-labelledby")) == kinds.count("section") == 10

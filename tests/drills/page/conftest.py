"""The pages of report and comparison in Chromium: of the kept runs, and of runs whose every text is an attack."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from repro.compare.__main__ import main as compare_runs
from repro.report.charts.curves import MOST_RUNS
from tests.support import ROOT
from tests.support.hostile import ALL, hostile_runs
from tests.support.reports import run_report
from tests.support.reproductions import keep, reproduction

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.fail(
            "these tests look at the page in Chromium, which is not here: install it (Debian: apt-get install chromium)"
        )
    with sync_playwright() as playwright:
        # The page is a file of our own, and in a container the sandbox has no right to start.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages by name."""
    root = tmp_path_factory.mktemp("pages")
    for folder in [*(ROOT / "results/kept").iterdir(), *(ROOT / "results/seeds").glob("2*/")]:
        shutil.copytree(folder, root / "kept" / "runs" / folder.name)
    hostile_runs(root / "hostile" / "runs")
    keep(root / "kept", reproduction())
    keep(root / "hostile", reproduction(origin=ALL))
    (root / "empty" / "runs").mkdir(parents=True)
    for name in ("kept", "hostile", "empty"):
        assert run_report(root / name / "runs", root / name / "report.md") == 0
    pages = {name: root / name / "report.html" for name in ("kept", "hostile", "empty")}
    for name in ("kept", "hostile"):
        pages[f"{name}, compared"] = page = root / name / "compare.html"
        folders = [str(seal.parent) for seal in sorted((root / name / "runs").glob("*/SHA256SUMS"))][:MOST_RUNS]
        assert compare_runs([*folders, "--target-top1", "75", "--out", str(page.with_suffix(".md"))]) == 1
    return pages


@pytest.fixture
def open_page(browser: Browser, reports: dict[str, Path]) -> Iterator[Open]:
    """Opens a page by its name; whatever it asks for, says or does by itself fails the test."""
    contexts: list[BrowserContext] = []
    unasked: list[str] = []

    def call(name: str, width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        address = reports[name].as_uri()
        page.on("request", lambda request: unasked.append(request.url) if request.url != address else None)
        page.on("console", lambda message: unasked.append(message.text))
        page.on("pageerror", lambda error: unasked.append(str(error)))
        page.on("dialog", lambda dialog: (unasked.append(dialog.message), dialog.dismiss()))
        page.goto(address)
        return page

    yield call
    for context in contexts:
        context.close()
    assert not unasked

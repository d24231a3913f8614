"""What Chromium makes of the page: it fits, everybody can use it, it does nothing by itself, and it can be printed."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.drills.page.conftest import Open

PAGES = ("kept", "hostile", "empty", "kept, compared", "hostile, compared")
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PAPER = 688  # CSS pixels between the margins of an A4 sheet


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


def assert_accessible(page: Page, kind: str, values: list[str]) -> None:
    """No element breaks the rules of this kind with these names."""
    found = Axe().run(page, options={"runOnly": {"type": kind, "values": values}, "resultTypes": ["violations"]})
    assert found.violations_count == 0, found.generate_report()


def widest(page: Page) -> tuple[int, list[str]]:
    """The width of the document, and what reaches beyond the window without a region of its own that scrolls."""
    found = page.evaluate("""() => [document.documentElement.scrollWidth,
      [...document.querySelectorAll('body *')].filter(one => !one.parentElement.closest('.scroll, .unseen, svg')
        && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 120))]""")
    return tuple(found)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_it_never_scrolls_sideways_and_meets_wcag_a_and_aa(name: str, width: int, open_page: Open) -> None:
    page = open_page(name, width)
    unfold(page)
    assert widest(page) == (width, [])
    assert_accessible(page, "tag", WCAG)
    page.emulate_media(color_scheme="dark")  # which changes nothing but colors
    assert widest(page) == (width, [])
    assert_accessible(page, "rule", ["color-contrast"])


def test_its_policy_would_stop_a_script_and_an_image_from_elsewhere(browser: Browser, reports: dict[str, Path]) -> None:
    page = browser.new_page()
    refused: list[str | None] = []
    page.on("requestfailed", lambda request: refused.append(request.failure))
    page.goto(reports["kept"].as_uri())
    ran = page.evaluate("""() => { const script = document.createElement('script'), image = new Image();
      script.textContent = 'window.ran = true'; image.src = 'http://127.0.0.1:9/x.png';
      document.body.append(script, image); return window.ran === true }""")
    page.wait_for_timeout(200)
    page.close()
    assert (ran, refused) == (False, ["csp"])


@pytest.mark.parametrize("width", WIDTHS)
def test_by_keyboard_everything_is_reached_and_seen(width: int, open_page: Open) -> None:
    page = open_page("kept", width)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the results")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the results")).to_be_in_viewport(ratio=1)
    wanted = page.evaluate("""[...document.querySelectorAll('a[href], summary, [tabindex="0"]')]
      .filter(one => one.matches('summary') || one.checkVisibility()).length""")
    reached, regions = 1, 0
    for _ in range(wanted):
        page.keyboard.press("Tab")
        focused = page.evaluate("""() => { const one = document.activeElement, style = getComputedStyle(one);
          return {body: one === document.body,
            seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
            region: one.getAttribute('role') === 'region', what: one.outerHTML.slice(0, 120)} }""")
        if focused["body"]:
            break
        assert focused["seen"], focused["what"]
        reached, regions = reached + 1, regions + focused["region"]
    assert (reached, regions >= 4) == (wanted, True)


def test_the_skip_link_leads_past_the_links_of_the_sections(open_page: Open) -> None:
    page = open_page("kept")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("main summary").first).to_be_focused()


def test_a_table_that_is_too_wide_scrolls_by_keyboard(open_page: Open) -> None:
    page = open_page("kept", 390)
    region = page.get_by_role("region", name="Table of results", exact=True)
    region.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(region).not_to_have_js_property("scrollLeft", 0)
    cell = region.get_by_role("rowheader").first
    assert cell.bounding_box()["x"] >= 0  # type: ignore[index]


@pytest.mark.parametrize("width", WIDTHS)
def test_text_in_figures_is_large_enough_to_read(width: int, open_page: Open) -> None:
    page = open_page("kept", width)
    sizes = page.evaluate("""[...document.querySelectorAll('figure svg text')].map(one =>
      parseFloat(getComputedStyle(one).fontSize) * Math.hypot(one.getScreenCTM().a, one.getScreenCTM().b))""")
    assert min(sizes) >= 11


def test_on_a_phone_what_was_measured_and_the_verdict_stand_beside_the_figure(open_page: Open) -> None:
    region = open_page("kept", 390).get_by_role("region", name="Table of results", exact=True)
    _, *rows = region.get_by_role("row").all()
    assert len(rows) == 12
    for row in rows:
        box = row.get_by_role("cell").nth(1).locator(".verdict").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
    assert region.locator("caption span").bounding_box()["width"] <= 390  # type: ignore[index]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_figures_follow_the_colors_of_the_page(scheme: str, open_page: Open) -> None:
    page = open_page("kept", scheme=scheme)
    ink, text, paper = page.evaluate("""() => ['color', 'fill', 'backgroundColor'].map((name, number) =>
      getComputedStyle(document.querySelector(['body', 'figure svg text', 'body'][number]))[name])""")
    assert text == ink
    assert brightness(paper) > 230 if scheme == "light" else brightness(paper) < 40


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_it_is_light_and_nothing_is_cut_off(name: str, open_page: Open) -> None:
    page = open_page(name, PAPER, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    unfold(page)
    style = "getComputedStyle(document.body)"
    colors = page.evaluate(f"[{style}.backgroundColor, {style}.color]")
    assert brightness(colors[0]) == 255
    assert brightness(colors[1]) < 60
    cut_off = page.evaluate("""() => [...document.querySelectorAll('table, svg, .scroll, p, li, dd')]
      .filter(one => one.getBoundingClientRect().right > innerWidth + 1 || one.scrollWidth > one.clientWidth + 1
        && getComputedStyle(one).overflowX !== 'visible').map(one => one.outerHTML.slice(0, 200))""")
    assert cut_off == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER


def test_it_prints_with_what_is_folded_on_a_screen(open_page: Open, tmp_path: Path) -> None:
    page = open_page("kept", scheme="dark")
    printed = page.pdf(path=tmp_path / "page.pdf", format="A4", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert 5 <= printed.count(b"/Type /Page\n") <= 20
    page.emulate_media(media="print")
    expect(page.locator(".environment dl").first).to_be_visible()


def brightness(color: str) -> float:
    red, green, blue = (float(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")[:3])
    return (red + green + blue) / 3

"""Turn a chart's SVG into an element of the page, in the page's light or dark colors."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

INK, MUTED, GRID, PAPER = "#1b1f24", "#59636e", "#dde1e6", "#ffffff"
# Okabe and Ito's colors, which differ for color-blind eyes too; dashes and marks tell them apart once more.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DASHES: tuple[tuple[int, tuple[float, ...]], ...] = (
    *((0, ()), (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.5, 1.4, 1.5)), (0, (9, 2.5)), (0, (3, 1, 1, 1, 1, 1))),
)
_SHAPES = (  # matplotlib's marks o, s, ^, D, v and P
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
    "M-4 -4h8v8h-8z",
    "M0 -5L5 4H-5z",
    "M0 -5.5L5.5 0L0 5.5L-5.5 0z",
    "M0 5L5 -4H-5z",
    "M-1.7 -5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
)
# What each color is called in the page's style, where the value above stands in for a name that is not set.
CSS_NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    color: f"series-{number}" for number, color in enumerate(COLORS, 1)
}
_SVG = "{http://www.w3.org/2000/svg}"


def swatch(number: int) -> Markup:
    """Draw the line and the mark of the run of this number, for the legend of a page."""
    dashes = " ".join(f"{2 * length:g}" for length in DASHES[number][1]) or "none"
    return Markup(
        '<svg class="swatch" viewBox="-20 -6 40 12" aria-hidden="true">'
        '<path d="M-20 0H20" style="stroke: {0}; stroke-width: 2; stroke-dasharray: {1}"></path>'
        '<path d="{2}" style="fill: {0}"></path></svg>'
    ).format(f"var(--series-{number + 1})", dashes, _SHAPES[number])


def inline_svg(svg: bytes, key: str, title: str, words: str, legend: float) -> Markup:
    """Make a drawing an element of a page: named, with ids of its own, and in the page's colors and font.

    The page has one legend for all its drawings, so that each loses its own.

    Args:
        svg: The file that matplotlib wrote.
        key: The prefix of its ids.
        title: Its accessible name.
        words: Its description, for readers who do not see it.
        legend: How high the legend at its lower end is, in points.
    """
    root = ElementTree.fromstring(svg.decode())
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style") or child.get("id") == "legend_1":
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        found = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        if (own := found.pop("id", None)) in used:
            found["id"] = f"{key}-{own}"
        for name, value in found.items():
            if name in ("href", "clip-path"):
                found[name] = value.replace("#", f"#{key}-")
            if name == "style":
                found[name] = _in_page_colors(value)
        element.attrib.clear()
        element.attrib.update(found)
    for number, (tag, own, content) in enumerate((("title", "title", title), ("desc", "words", words))):
        told = ElementTree.Element(tag, {"id": f"{key}-{own}"})
        told.text = content
        root.insert(number, told)
    x, y, width, height = map(float, root.attrib["viewBox"].split())
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": f"{x:g} {y:g} {width:g} {height - legend:g}",
            "role": "img",
            "aria-labelledby": f"{key}-title",
            "aria-describedby": f"{key}-words",
            "style": "stroke-linejoin: round",
        }
    )
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=False))


def _in_page_colors(style: str) -> str:
    """Replace colors and font by the page's names for them."""
    style = re.sub(r"'DejaVu Sans', sans-serif", "var(--font, sans-serif)", style)
    return re.sub(
        r"#[0-9a-f]{6}",
        lambda hit: f"var(--{CSS_NAMES[hit[0]]}, {hit[0]})" if hit[0] in CSS_NAMES else hit[0],
        style,
    )

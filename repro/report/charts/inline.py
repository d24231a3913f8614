"""Turn a chart's SVG into an element of the page, in the page's light or dark colors."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

INK, MUTED, GRID, PAPER = "#1b1f24", "#59636e", "#dde1e6", "#ffffff"
# Okabe and Ito's colors, which differ for color-blind eyes too; dashes and marks tell them apart once more.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
# What each color is called in the page's style, where the value above stands in for a name that is not set.
CSS_NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    color: f"series-{number}" for number, color in enumerate(COLORS, 1)
}
_SVG = "{http://www.w3.org/2000/svg}"


def inline_svg(svg: bytes, key: str, title: str, words: str) -> Markup:
    """Make a drawing an element of a page: named, with ids of its own, and in the page's colors and font.

    Args:
        svg: The file that matplotlib wrote.
        key: The prefix of its ids.
        title: Its accessible name.
        words: Its description, for readers who do not see it.
    """
    root = ElementTree.fromstring(svg.decode())
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
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
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": box,
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

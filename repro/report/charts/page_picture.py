"""Draw a picture for a page that is light or dark, as GitHub shows it: the same figure in the colors of either."""

import io
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = {  # of text, axes and control, and two colors for what is compared
    "light": ("#1b1f24", "#59636e", "#c44f00", "#0072b2"),
    "dark": ("#f0f3f6", "#9da7b3", "#ff9b50", "#56b4e9"),
}
_SIZE = 8.8, 2.9  # inches of 72 points: the width of GitHub's column
_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",
}


def draw_picture(page: str, name: str, title: str, draw: Callable[[Figure], None]) -> str:
    """Return the figure that `draw` fills, as SVG in the colors of a page: the same bytes for the same figure."""
    text, quiet, *_ = COLORS[page]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        parameters: Any = matplotlib.rcParams  # whose type is every name that there is
        parameters.update({**_STYLE, "svg.hashsalt": name, **dict.fromkeys(("text.color", "axes.labelcolor"), text)})
        parameters.update(dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), quiet))
        figure = Figure(figsize=_SIZE)
        FigureCanvasAgg(figure)
        draw(figure)
        svg = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(svg, format="svg", transparent=True, metadata={**nothing, "Title": title})
    return svg.getvalue()


def show_picture(folder: str, alt: str) -> str:
    """Return the lines that show light.svg or dark.svg of this folder, as a page in Markdown is read."""
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{folder}dark.svg">'
    return f'<picture>\n  {dark}\n  <img alt="{alt}" src="{folder}light.svg">\n</picture>'

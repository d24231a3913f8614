"""Draw charts with matplotlib, as files for a paper.

The same numbers give the same bytes: the font is matplotlib's own, nobody's settings are read, and no file holds a
time. Importing this module takes half a second, and needs what repro.report.charts.painter does before.
"""

import io
import warnings
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from repro.report.charts.curves import LETTERS, SHARE, Chart, Level, Series, extremes
from repro.report.charts.inline import COLORS, DASHES, GRID, INK, MUTED, PAPER
from repro.report.charts.sides import Dots
from repro.report.charts.step_times import Distribution, StepTimes

MARKS = ("o", "s", "^", "D", "v", "P")
_MOST_MARKS = 40  # points of a curve that are marked one by one

_WIDTH, _HEIGHT = 3.6, 2.5  # inches: one column of a paper; on a phone, 8 points are 11 pixels then
_LINE, _ROW = 0.165, 0.62  # inches: a line of a legend, a run among the step times
_SHORT = 20  # signs of a label, two of which stand side by side
_INCH = 72  # points
_BAND = 0.22  # opacity
_DPI = 300
_DECADES = 1e3  # from which on a logarithmic axis has room for whole decades alone
_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 8.0,
    "text.color": INK,
    "text.parse_math": False,  # a name with dollars in it is no formula
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "svg.fonttype": "none",
}
_LEVEL: dict[str, Any] = {"color": INK, "linewidth": 0.7, "linestyle": (0, (4, 2))}
_NOTE: dict[str, Any] = {
    "textcoords": "offset points",
    "annotation_clip": False,
    "bbox": {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8},
}


def draw_chart(chart: Chart | Distribution | Dots, words: str) -> tuple[bytes, bytes, float]:
    """Draw a chart as SVG and as PNG; `words` say what it shows to those who do not see it.

    Returns:
        Both files, and how many points the legend at their lower end is high.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a layout that is too narrow: nothing that a reader of a report can mend
        matplotlib.rcdefaults()
        parameters: Any = matplotlib.rcParams  # whose type is every name that there is
        parameters.update(_STYLE | {"svg.hashsalt": chart.key})
        figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI)
        FigureCanvasAgg(figure)
        if isinstance(chart, Chart):
            _curves(figure, chart)
        elif isinstance(chart, Dots):
            _dots(figure, chart)
        else:
            _step_times(figure, chart)
        ConstrainedLayoutEngine().execute(figure)  # once for both files; a figure with an engine does so for each
        legend = max((found.get_window_extent().y1 / _DPI * _INCH for found in figure.legends), default=0.0)
        svg, png = io.BytesIO(), io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(svg, format="svg", metadata={**nothing, "Title": chart.title, "Description": words})
        figure.savefig(png, format="png", metadata={"Software": None, "Title": chart.title})
    return svg.getvalue(), png.getvalue(), legend


# ------------------------------------------------------------------------------------------------- kinds of charts


def _curves(figure: Figure, chart: Chart) -> None:
    axes = figure.add_subplot()
    handles: list[Line2D] = []
    for curve in chart.curves:
        style = _style(curve.series) | {"linewidth": 1.1 + 0.3 * (len(chart.curves) - 1 - len(handles))}
        if curve.low is not None and curve.high is not None:
            axes.fill_between(
                curve.x,
                curve.low,
                curve.high,
                color=style["color"],
                alpha=_BAND / len(chart.curves) ** 0.7,
                linewidth=0,
            )
        few = curve.y.size <= _MOST_MARKS
        axes.plot(curve.x, curve.y, **style, marker=_mark(curve.series) if few else "", clip_on=not few)
        handles.append(Line2D([], [], **style, marker=_mark(curve.series) if few else ""))
    if chart.x.size:
        marks: dict[str, Any] = {"color": INK, "marker": "x", "linestyle": "", "markersize": 5, "markeredgewidth": 1.1}
        axes.plot(chart.x, chart.y, **marks, clip_on=False, zorder=4)
        handles.append(Line2D([], [], **marks))
    if chart.logarithmic:
        _logarithmic(axes, "y")
    elif chart.key == "accuracy":
        axes.set_ylim(0, 100)
    else:
        values = [value for curve in chart.curves for value in extremes(curve)] + chart.y.tolist()
        highest = max(*values, chart.level.value if chart.level else 0.0)
        axes.set_ylim(min(0.0, 1.05 * min(values)) - 0.04 * abs(highest), 1.05 * highest or 1.0)
        axes.yaxis.set_major_formatter(FuncFormatter(_number))
    if chart.level:
        _across(axes, chart.level, right=chart.key == "learning-rate")
    axes.set_xlim(0, 102)
    axes.set_title(chart.title)
    axes.set_xlabel(SHARE)
    axes.set_ylabel(chart.quantity)
    labels = [curve.series.label for curve in chart.curves]
    labels += [f"published, {chart.x.size} epochs"] if chart.x.size else []
    columns = 2 if max(map(len, labels)) <= _SHORT else 1
    figure.set_figheight(_HEIGHT + _LINE * -(-len(labels) // columns))
    place: dict[str, Any] = {"loc": "outside lower center", "handlelength": 3.4, "columnspacing": 1.4}
    figure.legend(handles, labels, ncols=columns, **place)


def _step_times(figure: Figure, chart: Distribution) -> None:
    figure.set_figheight(1.2 + _ROW * len(chart.runs))
    axes = figure.add_subplot()
    for row, found in enumerate(reversed(chart.runs)):
        _spread(axes, row, found, chart)
    if chart.logarithmic:
        _logarithmic(axes, "x")
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(_number))
    axes.set_xlim(chart.edges[0], chart.edges[-1])
    axes.set_ylim(-0.3, len(chart.runs) + 0.25)
    if chart.level:
        axes.axvline(chart.level.value, **_LEVEL)
        place = axes.transAxes.inverted().transform(axes.transData.transform((chart.level.value, 0)))[0]
        side, shift = ("left", 3) if place < 1 / 3 else ("right", -3) if place > 2 / 3 else ("center", 0)
        where: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "xytext": (shift, 0), **_NOTE}
        axes.annotate(chart.level.label, (chart.level.value, 1.0), ha=side, va="top", **where)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(chart.title)
    axes.set_xlabel(chart.quantity)


def _spread(axes: Axes, row: int, found: StepTimes, chart: Distribution) -> None:
    """Draw one run: its histogram, and below it the middle half and the middle 90 % of its steps, and the median."""
    color = _style(found.series)["color"]
    height = 0.5 * found.counts / found.counts.max()
    axes.stairs(row + height, chart.edges, baseline=row, fill=True, color=color, alpha=0.35)
    axes.stairs(row + height, chart.edges, baseline=row, color=color, linewidth=0.7)
    p5, q1, median, q3, p95 = found.quantiles
    below = row - 0.11
    axes.plot([p5, p95], [below, below], color=color, linewidth=1.0, solid_capstyle="butt")
    axes.plot([q1, q3], [below, below], color=color, linewidth=4.0, solid_capstyle="butt")
    axes.plot([median], [below], color=PAPER, marker="|", markersize=4.0, markeredgewidth=1.4)
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "xytext": (0, 0), **_NOTE}
    axes.annotate(found.series.label, (0.0, row + 0.6), **place)
    axes.annotate(f"median {median:,.1f} ms", (1.0, row + 0.6), ha="right", **place)


def _dots(figure: Figure, chart: Dots) -> None:
    axes = figure.add_subplot()
    for row, (series, values) in enumerate(reversed(chart.rows)):
        color = _style(series)["color"]
        axes.plot(values, np.full(values.size, row), color=color, marker=_mark(series), linestyle="", alpha=0.6)
        axes.plot([values.mean()] * 2, [row - 0.25, row + 0.25], color=color)
        axes.annotate(series.label, (0.0, row + 0.35), xycoords=axes.get_yaxis_transform(), xytext=(0, 0), **_NOTE)
    axes.set_xlim(-2, 102)
    axes.set_ylim(-0.5, len(chart.rows) - 0.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(chart.title)
    axes.set_xlabel(chart.quantity)


# ------------------------------------------------------------------------------------------------- parts of a chart


def _style(series: Series) -> dict[str, Any]:
    number = LETTERS.index(series.letter)
    return {"color": COLORS[number], "linestyle": DASHES[number]}


def _mark(series: Series) -> str:
    return MARKS[LETTERS.index(series.letter)]


def _across(axes: Axes, level: Level, right: bool) -> None:
    """Draw a published value as a thin line across the chart, and make room for its name above it."""
    axes.axhline(level.value, **_LEVEL)
    scale = axes.transScale
    bottom, top, line = (scale.transform((1, value))[1] for value in (*axes.get_ylim(), level.value))
    room = bottom + (line - bottom) / 0.88
    if room > top:
        axes.set_ylim(top=scale.inverted().transform((1, room))[1])
    where: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "xytext": (0, 3)}
    place: dict[str, Any] = {"ha": "right" if right else "left", "va": "bottom", **_NOTE}
    axes.annotate(level.label, (0.99 if right else 0.01, level.value), zorder=1.5, **where, **place)  # behind curves


def _logarithmic(axes: Axes, axis: str) -> None:
    (axes.set_yscale if axis == "y" else axes.set_xscale)("log")
    scale = axes.yaxis if axis == "y" else axes.xaxis
    low, high = axes.get_ylim() if axis == "y" else axes.get_xlim()
    scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < _DECADES * low else (1.0,)))
    scale.set_minor_locator(NullLocator())
    scale.set_major_formatter(FuncFormatter(_number))


def _number(value: float, _: object = None) -> str:
    """Format a number at an axis as in a text."""
    return f"{value:,.10g}"

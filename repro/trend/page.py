"""Show how measures went by commit: a table, and a picture for light and for dark pages."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.report.charts.page_picture import COLORS, draw_picture
from repro.trend.moves import Line

HEADER = ("Machine", "Measure", "Commit", "Median", "Lowest to highest", "Since the last move")
_LINES = ("-", "--", ":", "-.")
_MARKED = 12  # commits that the axis names


def rows(lines: Sequence[Line]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the table, a row a reading."""
    for line in lines:
        start = median(line.readings[0].values)
        for place, reading in enumerate(line.readings):
            value = median(reading.values)
            said = f"**moved**, {value / start:.3f} x" if place in line.moved and start else ""
            said = said or ("first" if place == 0 else f"{value / start:.3f} x" if start else "")
            spread = (
                f"{min(reading.values):.5g} to {max(reading.values):.5g}" if len(reading.values) > 1 else "one value"
            )
            yield line.machine, line.measure, reading.commit[:8], f"{value:.5g}", spread, said
            start = value if place in line.moved else start


def draw_trend(lines: Sequence[Line], order: Mapping[str, int], page: str) -> str:
    """Draw each line of several commits relative to its first: what scatters left, what repeats right, as SVG."""
    lines = [line for line in lines if len(line.readings) > 1]
    commits = sorted({reading.commit for line in lines for reading in line.readings}, key=order.__getitem__)
    place = {commit: number for number, commit in enumerate(commits)}

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 2)
        kinds = {"Times, memory": [line for line in lines if line.readings[0].noise], "Losses, accuracies": []}
        kinds["Losses, accuracies"] = [line for line in lines if not line.readings[0].noise]
        for axes, (title, kept) in zip(panels, kinds.items(), strict=True):
            axes.set(title=f"{title}, first reading = 1", xlim=(-0.5, max(1, len(commits)) - 0.5))
            every = range(0, len(commits), max(1, -(-len(commits) // _MARKED)))
            axes.set_xticks(every, [commits[number][:8] for number in every], rotation=45, ha="right")
            for number, line in enumerate(kept):
                _draw_line(axes, line, place, page, number)
            if kept:
                axes.margins(y=0.5)  # room for the names
                axes.legend(frameon=False, fontsize=7, loc="upper left")
            else:
                axes.text(
                    0.5, 0.5, "nothing measured of two commits on one machine", ha="center", transform=axes.transAxes
                )

    return draw_picture(page, "trend", "Measures by commit; a ring where one moved", draw)


def _draw_line(axes: Axes, line: Line, place: Mapping[str, int], page: str, number: int) -> None:
    _, _, first, second = COLORS[page]
    start = median(line.readings[0].values) or 1.0
    x = [place[reading.commit] for reading in line.readings]
    y = [median(reading.values) / start for reading in line.readings]
    ends = [(min(reading.values) / start, max(reading.values) / start) for reading in line.readings]
    color, style = (first, second)[number % 2], _LINES[number // 2 % len(_LINES)]
    axes.vlines(x, *zip(*ends, strict=True), color=color, alpha=0.35, linewidth=3)
    axes.plot(
        x,
        y,
        style,
        marker="o",
        markersize=3.5,
        color=color,
        label=f"{line.measure.partition(', in ')[0]}, {line.machine}"[:50],
    )
    rings = [x[at] for at in line.moved], [y[at] for at in line.moved]
    axes.plot(*rings, "o", markersize=11, markerfacecolor="none", markeredgecolor=color, markeredgewidth=1.5)

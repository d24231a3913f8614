"""Make the charts of the page, and their files; without a training run, matplotlib is never loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from repro.published.schema import Published
from repro.records.schema import Log, Run
from repro.report.charts.curves import Chart, DrawnRun, newest_trainings, training_charts
from repro.report.charts.description import Description, describe_chart
from repro.report.charts.painter import Painter
from repro.report.charts.sides import Dots, side_charts
from repro.report.charts.step_times import Distribution, step_time_distribution
from repro.reproduction.record import Reproduction


@dataclass(frozen=True)
class PageChart:
    """A chart as the page holds it."""

    key: str
    title: str
    explanation: str
    inline: Markup
    numbers: Description


@dataclass(frozen=True)
class PageCharts:
    """The curves, the distribution of the step times, the runs that are drawn, and how many older ones are not.

    `sides`: the authors' code beside ours.
    """

    curves: tuple[PageChart, ...] = ()
    step_times: PageChart | None = None
    series: tuple[tuple[str, Run], ...] = ()  # label and run
    more: int = 0
    sides: tuple[PageChart, ...] = ()


def build_charts(
    runs: Sequence[Run],
    figures: Sequence[Published],
    logs: Mapping[str, Log],
    painter: Painter | None = None,
    reproduction: Reproduction | None = None,
) -> tuple[PageCharts, dict[str, bytes]]:
    """Draw the charts of these runs.

    Args:
        runs: All runs; the newest trainings among them are drawn.
        figures: The published figures.
        logs: The published logs.
        painter: What draws, unless this process does.
        reproduction: The authors' code beside ours, if that was kept.

    Returns:
        The charts for the page, and the files of their figures by path below the report's folder.
    """
    drawn, more = newest_trainings(runs)
    sides = side_charts(reproduction)
    charts: list[Chart | Distribution] = [*training_charts(drawn, figures, logs)]
    if step_times := step_time_distribution(drawn, figures):
        charts.append(step_times)
    return draw_page_charts(charts, drawn, more, painter, sides)


def draw_page_charts(
    charts: Sequence[Chart | Distribution],
    drawn: Sequence[DrawnRun],
    more: int,
    painter: Painter | None = None,
    sides: Sequence[Chart | Dots] = (),
) -> tuple[PageCharts, dict[str, bytes]]:
    """Draw these charts of the drawn runs, beside which there are so many more, and `sides`, as `build_charts` does."""
    every = [*sides, *charts]
    told = [describe_chart(chart) for chart in every]
    orders = [(chart, numbers.words) for chart, numbers in zip(every, told, strict=True)]
    pictures = (painter or Painter(aside=False)).draw(orders)
    parts: dict[str, PageChart] = {}
    files: dict[str, bytes] = {}
    for chart, numbers, picture in zip(every, told, pictures, strict=True):
        parts[chart.key] = PageChart(chart.key, chart.title, chart.explanation, picture.inline, numbers)
        files |= {f"figures/{chart.key}.svg": picture.svg, f"figures/{chart.key}.png": picture.png}
    wide, beside = parts.pop("step-times", None), tuple(parts.pop(chart.key) for chart in sides)
    series = tuple((one.series.label, one.run) for one in drawn)
    return PageCharts(tuple(parts.values()), wide, series, more, beside), files

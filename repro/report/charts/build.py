"""From runs to the charts of a page and the files of their figures; without a run nothing of matplotlib is loaded."""

from collections.abc import Mapping, Sequence

from repro.published.schema import Published
from repro.records.schema import Log, Run
from repro.report.charts import curves
from repro.report.charts.curves import Chart
from repro.report.charts.description import numbers
from repro.report.charts.painter import Painter
from repro.report.charts.step_times import Distribution, distribution
from repro.report.html_page import ChartPart, Charts


def charts(
    runs: Sequence[Run], figures: Sequence[Published], logs: Mapping[str, Log], painter: Painter | None = None
) -> tuple[Charts, dict[str, bytes]]:
    """The charts, and the files of their figures by path below the report's folder."""
    shown, more = curves.drawn(runs)
    found: list[Chart | Distribution] = [*curves.charts(shown, figures, logs)]
    if step_times := distribution(shown, figures):
        found.append(step_times)
    told = [numbers(chart) for chart in found]
    pictures = (painter or Painter(aside=False)).draw([(chart, n.words) for chart, n in zip(found, told, strict=True)])
    parts: dict[str, ChartPart] = {}
    files: dict[str, bytes] = {}
    for chart, n, picture in zip(found, told, pictures, strict=True):
        parts[chart.key] = ChartPart(chart.key, chart.title, chart.explanation, picture.inline, n)
        files |= {f"figures/{chart.key}.svg": picture.svg, f"figures/{chart.key}.png": picture.png}
    wide = parts.pop("step-times", None)
    return Charts(tuple(parts.values()), wide, tuple((one.series.label, one.run) for one in shown), more), files

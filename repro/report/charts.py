"""From runs to the charts of a page and the files of their figures; without a run nothing of matplotlib is loaded."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.report import curves
from repro.report.chart_words import numbers
from repro.report.curves import Chart
from repro.report.html_page import ChartPart, Charts
from repro.report.step_times import Distribution, distribution
from repro.schema import Log, Published, Run


def charts(
    runs: Sequence[Run], figures: Sequence[Published], logs: Mapping[str, Log]
) -> tuple[Charts, dict[str, bytes]]:
    """The charts, and the files of their figures by path below the report's folder."""
    series, more = curves.drawn(runs)
    found: list[Chart | Distribution] = [*curves.charts(series, figures, logs)]
    if step_times := distribution(series, figures):
        found.append(step_times)
    parts: dict[str, ChartPart] = {}
    files: dict[str, bytes] = {}
    if found:
        _homeless()
        from repro.report.drawing import draw  # half a second

        for chart in found:
            told = numbers(chart)
            picture = draw(chart, told.words)
            parts[chart.key] = ChartPart(chart.key, chart.title, chart.explanation, picture.inline, told)
            files |= {f"figures/{chart.key}.svg": picture.svg, f"figures/{chart.key}.png": picture.png}
    wide = parts.pop("step-times", None)
    return Charts(tuple(parts.values()), wide, tuple((one.label, one.run) for one in series), more), files


def _homeless() -> None:
    """Let matplotlib do without a home that it can write to: else it says so on the terminal, or fails without one."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        Path.home()
    except RuntimeError:
        os.environ.setdefault("MPLCONFIGDIR", os.devnull)  # no folder, so that it makes one and takes it away again

"""Describe a chart by its numbers, as a table and as sentences, for readers who do not see it and for all others."""

from collections.abc import Iterable
from dataclasses import dataclass

from repro.report.charts.curves import QUARTERS, Chart, Curve, extremes, value_at
from repro.report.charts.sides import Dots
from repro.report.charts.step_times import Distribution, StepTimes
from repro.report.phrases import NONE


@dataclass(frozen=True)
class Description:
    """The numbers of a chart: a table, notes on it, and all of it in one paragraph."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    words: str


def describe_chart(chart: Chart | Distribution | Dots) -> Description:
    """Describe what the chart shows."""
    if isinstance(chart, Dots):
        return _of_dots(chart)
    return _of_curves(chart) if isinstance(chart, Chart) else _of_step_times(chart)


def _of_curves(chart: Chart) -> Description:
    between = [f"At {share:g} %" for share in QUARTERS[1:-1]]
    rows = tuple(_row(chart, curve) for curve in chart.curves)
    notes = [*_published(chart)]
    notes += [
        f"{curve.series.label}: {curve.lost:,} values that are not finite are not drawn"
        for curve in chart.curves
        if curve.lost
    ]
    spoken = [f"{row[0]}: {row[1]} at first, {row[-3]} at last, {row[-2]} to {row[-1]} in all" for row in rows]
    return Description(
        caption=f"{chart.quantity} by the share of the training",
        header=("Run", "First", *between, "Last", "Lowest", "Highest"),
        rows=rows,
        notes=tuple(notes),
        words=_paragraph(f"{chart.quantity} over the share of the training", [*spoken, *notes]),
    )


def _row(chart: Chart, curve: Curve) -> tuple[str, ...]:
    low, high = extremes(curve)
    values = (*(value_at(curve, share) for share in QUARTERS), low, high)
    return (curve.series.label, *(NONE if value is None else format(value, chart.form) for value in values))


def _published(chart: Chart) -> Iterable[str]:
    if chart.x.size:
        shares = ", ".join(f"{share:.1f}" for share in chart.x)
        values = ", ".join(format(value, chart.form) for value in chart.y)
        yield f"Published after {shares} % of the training: {values}"
    if chart.level:
        yield f"The line is the {chart.level.label}"


def _of_step_times(chart: Distribution) -> Description:
    rows = tuple(_times(found) for found in chart.runs)
    notes = [f"The line is the {chart.level.label}"] if chart.level else []
    for found in chart.runs:
        if found.outside:
            notes.append(f"{found.series.label}: {found.outside:,} steps lie outside of the chart")
        if found.lost:
            notes.append(f"{found.series.label}: {found.lost:,} numbers that can be no time are left out")
    spoken = [f"{row[0]}: median {row[2]}, half of {row[1]} steps in {row[3]}, the slowest {row[5]}" for row in rows]
    header = ("Run", "Steps", "Median", "Middle half", "Middle 90 %", "Slowest", "Median wait for data", "Left out")
    return Description(
        caption=f"{chart.quantity}",
        header=header,
        rows=rows,
        notes=tuple(notes),
        words=_paragraph(chart.quantity, [*spoken, *notes]),
    )


def _times(found: StepTimes) -> tuple[str, ...]:
    p5, q1, median, q3, p95 = (f"{value:,.1f}" for value in found.quantiles)
    out = NONE if found.first is None else f"{found.warm_up} first, up to {found.first:,.1f}"
    half, most = f"{q1} to {q3}", f"{p5} to {p95}"
    return found.series.label, f"{found.n:,}", median, half, most, f"{found.slowest:,.1f}", f"{found.wait:,.1f}", out


def _of_dots(chart: Dots) -> Description:
    rows = tuple(
        (series.label, f"{values.mean():.2f}", ", ".join(f"{value:.2f}" for value in values))
        for series, values in chart.rows
    )
    spoken = [f"{label}: mean {mean}, each {values}" for label, mean, values in rows]
    return Description(chart.quantity, ("Side", "Mean", "Each training"), rows, (), _paragraph(chart.quantity, spoken))


def _paragraph(beginning: str, sentences: Iterable[str]) -> str:
    return " ".join(f"{text}." for text in (beginning, *sentences))

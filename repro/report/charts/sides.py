"""Chart what the authors' code, ours and the control reached: losses as bands, and the accuracy of each training."""

from dataclasses import dataclass

import numpy as np

from repro.report.charts.curves import Chart, Curve, Series, Values
from repro.reproduction.record import Reproduction, loss_band


@dataclass(frozen=True)
class Dots:
    """The chart of one number of each training, a row of dots for each side."""

    key: str
    title: str
    quantity: str
    explanation: str
    rows: tuple[tuple[Series, Values], ...]


def side_charts(found: Reproduction | None) -> tuple[Chart | Dots, ...]:
    """Chart losses and accuracies of a reproduction; nothing without one."""
    if not found:
        return ()
    named = {"Theirs": found.authors, "Ours": found.ours, "Control": found.control}
    sides = [
        (Series(letter, f"{name} (n = {len(side.outcomes)})"), side.outcomes)
        for letter, (name, side) in zip("ABC", named.items(), strict=True)
    ]
    curves = []
    for series, outcomes in sides:
        band = loss_band(outcomes)
        done = 100 * band.step / len(outcomes[0].losses)
        curves.append(Curve(series, done, band.mean, band.low, band.high))
    return (
        Chart(
            key="sides-loss",
            title="Training loss of both sides",
            quantity="Training loss",
            form=".3f",
            explanation=f"Each of {curves[0].y.size} sections of the steps: the mean of a side's trainings as a line, "
            "and from the lowest to the highest of them a band.",
            curves=tuple(curves),
            x=np.empty(0),
            y=np.empty(0),
        ),
        Dots(
            key="sides-accuracy",
            title="Accuracy that each training reached",
            quantity="Top-1 accuracy at the end (%)",
            explanation="A dot is a training, and a line the mean of a side.",
            rows=tuple((series, np.array([run.top1_pct for run in outcomes])) for series, outcomes in sides),
        ),
    )

"""Draw both sides of the comparison, and the control: their losses as bands, and the accuracy that each run reached."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.authors.comparison import Outcome
from repro.authors.page import Sides
from repro.report.charts.page_picture import COLORS, draw_picture

STRETCHES = 24  # of the steps, each with the mean of its losses
TITLE = "Losses and accuracies of the authors' code on their stack, of ours, and of the control"


def draw_sides(sides: Sides, page: str) -> str:
    """Draw the trainings of both sides and of the control in the colors of a light or a dark page, as SVG."""
    _, quiet, theirs, ours = COLORS[page]
    outcomes = {
        "theirs, MindSpore 1.7.0": (sides.their_outcomes, theirs),
        "ours": (sides.our_outcomes, ours),
        "control: our rate stays at its first value": (sides.control_outcomes, quiet),
    }

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for place, (name, (runs, color)) in enumerate(outcomes.items()):
            _band(left, runs, color, f"{name} (n = {len(runs)})")
            right.plot([run.top1_pct for run in runs], [place] * len(runs), "o", color=color, alpha=0.6, markersize=5)
        left.set(title="Training loss: mean, lowest to highest", xlabel="step", ylim=(0, None), xlim=(0, None))
        left.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.6))
        names = [name.split(",")[0].split(":")[0] for name in outcomes]
        right.set(title="Top-1 accuracy at the end, %", xlim=(0, 102), yticks=range(len(names)), yticklabels=names)
        right.set_ylim(len(names) - 0.5, -0.5)

    return draw_picture(page, "authors", TITLE, draw)


def _band(axes: Axes, runs: Sequence[Outcome], color: str, label: str) -> None:
    """Draw the losses of some trainings: the mean as a line, the range as a band."""
    parts = [np.array_split(np.asarray(run.losses), STRETCHES) for run in runs]
    values = np.array([[part.mean() for part in run] for run in parts])
    ends = np.cumsum([len(part) for part in parts[0]])
    middles = ends - np.array([len(part) / 2 for part in parts[0]])
    axes.fill_between(middles, values.min(axis=0), values.max(axis=0), color=color, alpha=0.25, linewidth=0)
    axes.plot(middles, values.mean(axis=0), color=color, linewidth=1.8, label=label)

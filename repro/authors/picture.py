"""Draw both sides of the comparison, and the control: their losses as bands, and the accuracy that each run reached."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.report.charts.page_picture import COLORS, draw_picture
from repro.reproduction.comparison import Outcome
from repro.reproduction.record import Reproduction, loss_band

TITLE = "Losses and accuracies of the authors' code on their stack, of ours, and of the control"


def draw_sides(found: Reproduction, page: str) -> str:
    """Draw the trainings of both sides and of the control in the colors of a light or a dark page, as SVG."""
    _, quiet, theirs, ours = COLORS[page]
    outcomes = {
        "theirs, MindSpore 1.7.0": (found.authors.outcomes, theirs),
        "ours": (found.ours.outcomes, ours),
        "control: our rate stays at its first value": (found.control.outcomes, quiet),
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
    band = loss_band(runs)
    axes.fill_between(band.step, band.low, band.high, color=color, alpha=0.25, linewidth=0)
    axes.plot(band.step, band.mean, color=color, linewidth=1.8, label=label)

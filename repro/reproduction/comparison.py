"""Compare trainings of the authors' code with ours: are they the same, within a margin that was stated before?

Each measure has a margin, a difference too small to matter. *Same*: two one-sided tests (TOST) reject a
difference beyond the margin at 5 % each, so the 90 % interval of the difference lies within it. *Different*: not the
same, and the interval of the difference leaves out 0, at 5 % for all measures together (Bonferroni). *Can't tell*:
neither, for want of runs. All together are the same if each is, which needs no correction, and different if one is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, stdev

from repro.errors import ReproError
from repro.statistics import Interval, welch_interval

STRETCHES = 4  # of the steps, each with the mean of its losses
FEWEST = 3  # runs on a side: two have a deviation that says little
BEYOND = 1e30  # no loss; neither is nan
LEVEL = 0.05
SAME, DIFFERENT, OPEN = "same", "different", "can't tell"

# What is too small to matter, stated before a training of theirs was compared. It lies between what five runs a side
# can resolve, by the scatter of 20 seeds of a training of this length (results/convergence), and what a fault does.
#
# A loss: 0.3. Such means scatter by 0.05 to 0.17, so that five runs a side resolve 0.06 to 0.2. Faults that this suite
# has met shift them by 0.5 or more: a rate that stays at its first value, labels smoothed wrongly or not at all.
LOSS_MARGIN = 0.3
# Top-1: 15 points. It scatters by 8, so that five runs a side resolve 9. A training that fails stays at chance, 50 %.
TOP1_MARGIN = 15.0


@dataclass(frozen=True)
class Outcome:
    """What one training reached: its losses by step, and the accuracy at its end in percent. `run`: its folder."""

    run: str
    losses: Sequence[float]
    top1_pct: float


@dataclass(frozen=True)
class Measure:
    """One number of both sides. `difference`: theirs less ours, with its 95 % interval."""

    title: str
    unit: str
    margin: float
    authors: tuple[float, ...]
    ours: tuple[float, ...]
    measures: int  # that are judged together

    @property
    def difference(self) -> float:
        """Theirs less ours."""
        return mean(self.authors) - mean(self.ours)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the difference."""
        return welch_interval(self.authors, self.ours, LEVEL)

    @property
    def verdict(self) -> str:
        """Same, different or can't tell."""
        inner = welch_interval(self.authors, self.ours, 2 * LEVEL)
        if -self.margin < inner.low and inner.high < self.margin:
            return SAME
        outer = welch_interval(self.authors, self.ours, LEVEL / self.measures)
        return OPEN if outer.low <= 0 <= outer.high else DIFFERENT


def compare_outcomes(authors: Sequence[Outcome], ours: Sequence[Outcome]) -> list[Measure]:
    """Compare the trainings of both sides: mean losses of stretches of the steps, and the accuracy.

    Raises:
        ReproError: there are too few, they do not have the same number of steps, or one diverged.
    """
    for who, runs in (("the authors' code", authors), ("ours", ours)):
        if len(runs) < FEWEST:
            raise ReproError(f"found {len(runs)} trainings of {who}, expected {FEWEST} or more to compare")
    steps = {len(run.losses) for run in (*authors, *ours)}
    if len(steps) > 1:
        raise ReproError(f"found trainings of {' and '.join(map(str, sorted(steps)))} steps, expected the same recipe")
    if min(steps) < STRETCHES:
        raise ReproError(f"found trainings of {min(steps)} steps, expected {STRETCHES} or more")
    if diverged := [run.run for run in (*authors, *ours) if not all(abs(loss) < BEYOND for loss in run.losses)]:
        raise ReproError(f"{diverged[0]}: found a loss that is no finite number: this training diverged")
    ends = [len(ours[0].losses) * part // STRETCHES for part in range(STRETCHES + 1)]
    count = STRETCHES + 1
    measures = [
        Measure(
            f"loss, mean of steps {first} to {end - 1}", "", LOSS_MARGIN,
            tuple(mean(run.losses[first:end]) for run in authors),
            tuple(mean(run.losses[first:end]) for run in ours), count,
        )
        for first, end in pairwise(ends)
    ]  # fmt: skip
    accuracy = [tuple(run.top1_pct for run in runs) for runs in (authors, ours)]
    return [*measures, Measure("top-1 at the end", " %", TOP1_MARGIN, accuracy[0], accuracy[1], count)]


def verdict_of(measures: Sequence[Measure]) -> str:
    """Return the verdict on all measures together."""
    found = {measure.verdict for measure in measures}
    return DIFFERENT if DIFFERENT in found else OPEN if OPEN in found else SAME


def comparison_header(other: str) -> tuple[str, ...]:
    """Return the header of the comparison with another side, such as Ours."""
    return ("Measure", "Theirs", "s", "n", other, "s", "n", "Difference", "95 % interval", "Margin", "Verdict")


def comparison_rows(measures: Sequence[Measure]) -> list[tuple[str, ...]]:
    """Return the cells of the comparison, under its header."""
    rows = []
    for measure in measures:
        digits = 1 if measure.unit else 3
        sides = []
        for values in (measure.authors, measure.ours):
            sides += [f"{mean(values):.{digits}f}{measure.unit}", f"{stdev(values):.{digits}f}", str(len(values))]
        span = f"{measure.interval.low:+.{digits}f} to {measure.interval.high:+.{digits}f}"
        margin = f"±{measure.margin:g}"
        rows.append((measure.title, *sides, f"{measure.difference:+.{digits}f}", span, margin, measure.verdict))
    return rows

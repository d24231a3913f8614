"""Find where the numbers of two trainings part: rates, losses and accuracies, bit for bit and beyond rounding."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from repro.check.judge import ROUNDING
from repro.records.schema import Run
from repro.report.charts.curves import Values

HALF_ROUNDING = 5e-3  # of a loss in half precision: ten roundings of float16
FIRST = 10, 100, 1000, 10_000, 100_000  # steps, up to each of which the largest difference is told


@dataclass(frozen=True)
class Parting:
    """Where a training parts from the first one. Steps and epochs count from 0; None is nowhere.

    `steps`: how many both have. `bits`: the first step whose losses are not the same number; `apart`: by how much they
    differ there, `loss`: what it is in the first one. `beyond`: the first step at which they are further apart than
    rounding explains: `rounding` of the loss. `rate`: the first step whose learning rates differ; `accuracy`: the first
    epoch whose accuracies do. `grown`: the largest difference in so many of the first steps. `alike`: whether the two
    take equal steps, so that they can be compared one by one.
    """

    alike: bool
    steps: int
    evaluations: int
    rounding: float
    rate: int | None = None
    bits: int | None = None
    apart: float = 0.0
    loss: float = math.nan
    beyond: int | None = None
    accuracy: int | None = None
    grown: tuple[tuple[int, float], ...] = ()

    @property
    def same(self) -> bool:
        """Whether no loss and no accuracy that both have differs, and there is one."""
        return self.bits is None and self.accuracy is None and self.steps + self.evaluations > 0

    @property
    def rounds(self) -> bool:
        """Whether the two begin to differ no more than rounding does."""
        return self.bits is not None and self.beyond != self.bits


def find_parting(run: Run, first: Run) -> Parting:
    """Compare a training with the first one, step by step."""
    ours, theirs = (np.asarray(one.steps.loss) for one in (run, first))
    steps = min(ours.size, theirs.size)
    ours, theirs = ours[:steps], theirs[:steps]
    off = differences(ours, theirs)
    bits = _first(ours.view(np.int64) != theirs.view(np.int64))
    share = max(HALF_ROUNDING if one.config.get("amp_level", "O0") != "O0" else ROUNDING for one in (run, first))
    rates = [np.asarray(one.steps.lr)[:steps] for one in (run, first)]
    pairs = list(zip(run.log.epochs, first.log.epochs, strict=False))
    scores = [(one.accuracy, other.accuracy) for one, other in pairs]
    return Parting(
        alike=run.steps_per_epoch == first.steps_per_epoch or None in (run.steps_per_epoch, first.steps_per_epoch),
        steps=steps,
        evaluations=sum(None not in pair for pair in scores),
        rounding=share,
        rate=_first(rates[0].view(np.int64) != rates[1].view(np.int64)),
        bits=bits,
        apart=0.0 if bits is None else float(off[bits]),
        loss=math.nan if bits is None else float(theirs[bits]),
        beyond=_first((off > share * np.abs(theirs)) | np.isinf(off)),
        accuracy=next((n for n, pair in enumerate(scores) if None not in pair and pair[0] != pair[1]), None),
        grown=() if bits is None else tuple(_grown(off)),
    )


def differences(ours: Values, theirs: Values) -> Values:
    """Return how far losses are apart, step by step: infinitely, where one alone is no finite number."""
    with np.errstate(invalid="ignore"):
        off: Values = np.abs(ours - theirs)
    off[~np.isfinite(off)] = math.inf
    off[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0.0
    return off


def _first(where: np.ndarray) -> int | None:
    return int(np.argmax(where)) if where.any() else None


def _grown(off: Values) -> Iterator[tuple[int, float]]:
    for count in (*(count for count in FIRST if count < off.size), off.size):
        yield count, float(off[:count].max())

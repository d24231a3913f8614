"""Compare two releases: the rows of their fingerprints, their losses step by step, their speed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro.check.baselines import Baseline
from repro.check.judge import rounding_allows
from repro.check.workload import differing_keys
from repro.releases.kept import KeptRelease, ModeRows, PacedSpeed, ShortRun
from repro.statistics import median_interval

# As far from their median are the quartiles of a forward pass by turns on a quiet machine: results/benchmarks, epyc_26.
LEAST_NOISE = 1.05


@dataclass(frozen=True)
class LossComparison:
    """How the losses of two short runs differ. `parted`: beyond what rounding explains, or there is no telling."""

    parted: bool
    words: str  # to be followed by the name of the one that they are compared with
    more: str = ""

    def told(self, other: str) -> str:
        """Say it, with the other one's name."""
        return f"{self.words} {other}{self.more}"


def compare_losses(now: ShortRun, then: ShortRun, baselines: Sequence[Baseline]) -> LossComparison:
    """Compare losses with those of another run, by the rounding band of the baseline of the same workload."""
    if apart := differing_keys(then.workload, now.workload):
        key, (was, found) = next(iter(apart.items()))
        return LossComparison(True, "not comparable with", f": {key} {was} -> {found}")
    mine, other = np.array(now.losses), np.array(then.losses)
    if len(mine) != len(other):
        return LossComparison(True, "not comparable with", f": {len(mine)} steps, the other {len(other)}")
    if np.array_equal(mine, other, equal_nan=True):
        return LossComparison(False, "bit for bit as")
    off = np.where(np.isfinite(mine - other), np.abs(mine - other), math.inf)
    off[(mine == other) | (np.isnan(mine) & np.isnan(other))] = 0
    first = int(np.flatnonzero(off)[0])
    allowed = next(
        (
            rounding_allows(kept.band, other)
            for kept in baselines
            if kept.band and len(kept.losses) == len(other) and not differing_keys(kept.workload, then.workload)
        ),
        None,
    )
    if allowed is None:
        more = f" at step {first} by {off[first]:.2g}; what rounding does is not known: make baseline"
        return LossComparison(True, "parts from", more)
    outside = np.flatnonzero(~(off <= allowed))
    if len(outside):
        step = int(outside[0])
        more = f" at step {step} by {off[step]:.2g}, where rounding explains {allowed[step]:.2g}"
        if not math.isfinite(off[step]):
            more = f" at step {step}: {mine[step]:.9g}, not {other[step]:.9g}"
        if step != first:
            more += f"; the first bits differ at step {first}"
        return LossComparison(True, "parts from", more)
    return LossComparison(False, "within rounding of", f", from step {first} on, by up to {off.max():.2g}")


def row_changes(a: ModeRows, b: ModeRows) -> tuple[list[str], dict[str, float]]:
    """Return the rows whose verdicts differ, in the order of the data, and the factors between the others' errors."""
    labels = list(dict.fromkeys([*a.rows, *b.rows]))
    missing = (None, "missing")
    verdicts = [label for label in labels if a.rows.get(label, missing)[1] != b.rows.get(label, missing)[1]]
    factors = {label: _factor(a.rows[label][0], b.rows[label][0]) for label in labels if label not in verdicts}
    return verdicts, dict(sorted(factors.items(), key=lambda pair: -pair[1]))


def _factor(one: float | None, other: float | None) -> float:
    if one is None or other is None or one == other:
        return 1.0
    low, high = sorted((abs(one), abs(other)))
    return high / low if low and math.isfinite(high) else math.inf


def noise_of(control: KeptRelease | None, what: str) -> float | None:
    """Return the factor that noise explains: how far the default is from itself, by turns; None if not measured."""
    found = control.speeds.get(what) if control else None
    if found is None:
        return None
    low, high = median_interval(found.ratios)
    return max(LEAST_NOISE, high, 1 / low)


def speed_ratio(now: PacedSpeed, then: PacedSpeed | None = None) -> tuple[float, float, float]:
    """Return the ratio of two times and its interval (95 %): to the default, or to another release by that."""
    low, high = median_interval(now.ratios)
    ratio = float(np.median(now.ratios))
    if then is None:
        return ratio, low, high
    other, other_low, other_high = speed_ratio(then)
    return ratio / other, low / other_high, high / other_low


def beyond_noise(ratio: tuple[float, float, float], noise: float) -> bool:
    """Tell whether all of the ratio's interval lies further from 1 than noise explains."""
    return ratio[1] > noise or ratio[2] < 1 / noise

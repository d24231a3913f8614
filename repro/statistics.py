"""Intervals and quantiles: Student's t, prediction intervals, variances, and the intervals of rounded numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import mean, stdev

Z_95 = 1.96  # two-sided 95 % of a normal distribution


@lru_cache
def student_t(freedom: int, level: float = 0.05) -> float:
    """Return Student's t for so many degrees of freedom: beyond ±t lies the share `level`.

    scipy has it too, but importing that takes half a second, which a report would spend on this one number. The
    distribution is Abramowitz and Stegun's finite sum for whole degrees of freedom (26.7.3 and 26.7.4), bisected.
    """
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t / sqrt(freedom)
    while (angle := (low + high) / 2) not in (low, high):
        if _within(angle, freedom) < 1 - level:
            low = angle
        else:
            high = angle
    return math.sqrt(freedom) * math.tan(angle)


def _within(angle: float, freedom: int) -> float:
    """Return the probability that t is within ±sqrt(freedom) tan(angle)."""
    cosine, odd = math.cos(angle), freedom % 2
    term = total = 0.0 if freedom == 1 else cosine if odd else 1.0
    for n in range(2 + odd, freedom, 2):
        term *= cosine**2 * (n - 1) / n
        total += term
    share = math.sin(angle) * total
    return 2 / math.pi * (angle + share) if odd else share


def deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample (n - 1): None for one value, nan where one is not finite."""
    if len(values) < 2:
        return None
    return stdev(values) if all(map(math.isfinite, values)) else math.nan


def median_interval(values: Sequence[float], level: float = 0.05) -> tuple[float, float]:
    """Return two of the values between which the median lies with probability 1 - `level` or more (sign test).

    Of fewer than six values none are so far apart: these are the smallest and the largest.
    """
    ordered, n, cut, below = sorted(values), len(values), 0, 0
    while cut + 1 < n - cut - 1 and 2 * (below := below + math.comb(n, cut)) <= level * 2**n:
        cut += 1
    cut = max(0, cut - 1)
    return ordered[cut], ordered[n - 1 - cut]


def prediction_interval(values: Sequence[float], level: float) -> tuple[float, float]:
    """Return the bounds that a further value of the same normal distribution exceeds with probability `level`."""
    n, center = len(values), mean(values)
    half = student_t(n - 1, level) * stdev(values) * math.sqrt(1 + 1 / n)
    return center - half, center + half


@dataclass(frozen=True)
class Interval:
    """All numbers from `low` to `high`; both are at least 0 if they are multiplied or divided."""

    low: float
    high: float

    @classmethod
    def printed(cls, value: float, decimals: int | None) -> "Interval":
        """Return all numbers that print as `value` with so many decimals; None means that it was not rounded."""
        half = 0.0 if decimals is None else 0.5 * 10.0**-decimals
        return cls(value - half, value + half)

    @classmethod
    def exactly(cls, value: float) -> "Interval":
        """Return the interval of a number that was not rounded."""
        return cls(value, value)

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.high + other.high)

    def __mul__(self, other: "Interval") -> "Interval":
        return Interval(self.low * other.low, self.high * other.high)

    def __truediv__(self, other: "Interval") -> "Interval":
        """Divide; `high` is infinite if the other can be 0."""
        return Interval(self.low / other.high, self.high / other.low if other.low > 0 else math.inf)

    def gap(self, other: "Interval") -> float:
        """Return how far the two are apart: 0 if they have a number in common, nan if an end is not a number."""
        if any(math.isnan(end) for end in (self.low, self.high, other.low, other.high)):
            return math.nan
        return max(0.0, self.low - other.high, other.low - self.high)

    @property
    def finite(self) -> bool:
        """Whether both ends are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def empty(self) -> bool:
        """Whether no number is in it."""
        return self.low > self.high

    def whole(self) -> bool:
        """Return whether a whole number is in it."""
        return self.finite and math.floor(self.high + 1e-9) >= self.low - 1e-9

    def __format__(self, spec: str) -> str:
        low, high = format(self.low, spec), format(self.high, spec)
        return low if low == high else f"{low} to {high}"


def share_interval(percent: float, n: int) -> Interval:
    """Return the 95 % interval of a share of `n` independent trials, in percent (Wilson's, never empty at 0 or 100)."""
    share, z2 = percent / 100, Z_95**2 / n
    center = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return Interval(100 * max(center - half, 0.0), 100 * min(center + half, 1.0))


def share_difference(one: float, n: int, other: float, m: int) -> float:
    """Return how far two shares of `n` and `m` trials may differ by chance, at 95 %, in points (by Newcombe)."""
    (low, low_n), (high, high_n) = sorted([(one, n), (other, m)])
    return math.hypot(high - share_interval(high, high_n).low, share_interval(low, low_n).high - low)


def welch_interval(one: Sequence[float], other: Sequence[float], level: float = 0.05) -> Interval:
    """Return the interval of the difference of two means, `one` less `other`, beyond which lies the share `level`.

    Welch's: the two need not scatter alike. Its degrees of freedom are rounded down, which widens it.
    """
    shares = [stdev(values) ** 2 / len(values) for values in (one, other)]
    difference, variance = mean(one) - mean(other), sum(shares)
    if variance == 0:
        return Interval.exactly(difference)
    weights = sum(share**2 / (len(values) - 1) for share, values in zip(shares, (one, other), strict=True))
    half = student_t(max(1, math.floor(variance**2 / weights)), level) * math.sqrt(variance)
    return Interval(difference - half, difference + half)


def intersection(intervals: Iterable[Interval]) -> Interval:
    """Return what all have in common: an empty interval if that is nothing, nan if one of them is."""
    ends = [(interval.low, interval.high) for interval in intervals]
    if any(math.isnan(low + high) for low, high in ends):
        return Interval(math.nan, math.nan)
    return Interval(max(low for low, _ in ends), min(high for _, high in ends))


def interval_sum(intervals: Iterable[Interval]) -> Interval:
    """Return the sum of intervals."""
    return sum(intervals, Interval(0.0, 0.0))

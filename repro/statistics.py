"""Numbers that were rounded when they were printed, as the interval of what they can have been."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """All numbers from `low` to `high`, both at least 0 where they are multiplied or divided."""

    low: float
    high: float

    @classmethod
    def printed(cls, value: float, decimals: int | None) -> "Interval":
        """What was printed as `value` with so many decimals; None: it was not rounded."""
        half = 0.0 if decimals is None else 0.5 * 10.0**-decimals
        return cls(value - half, value + half)

    @classmethod
    def exactly(cls, value: float) -> "Interval":
        """A number that was not rounded."""
        return cls(value, value)

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.high + other.high)

    def __mul__(self, other: "Interval") -> "Interval":
        return Interval(self.low * other.low, self.high * other.high)

    def __truediv__(self, other: "Interval") -> "Interval":
        """`high` is infinite where the other can be 0."""
        return Interval(self.low / other.high, self.high / other.low if other.low > 0 else math.inf)

    def gap(self, other: "Interval") -> float:
        """How far the two are apart; 0 where they have a number in common, nan where one is not a number."""
        if any(math.isnan(end) for end in (self.low, self.high, other.low, other.high)):
            return math.nan
        return max(0.0, self.low - other.high, other.low - self.high)

    @property
    def finite(self) -> bool:
        """Whether both ends are numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def empty(self) -> bool:
        """Whether there is no number in it."""
        return self.low > self.high

    def whole(self) -> bool:
        """Whether there is a whole number in it."""
        return self.finite and math.floor(self.high + 1e-9) >= self.low - 1e-9

    def __format__(self, spec: str) -> str:
        low, high = format(self.low, spec), format(self.high, spec)
        return low if low == high else f"{low} to {high}"


def common(intervals: Iterable[Interval]) -> Interval:
    """What all have in common; empty where that is nothing, nan where one of them is."""
    ends = [(interval.low, interval.high) for interval in intervals]
    if any(math.isnan(low + high) for low, high in ends):
        return Interval(math.nan, math.nan)
    return Interval(max(low for low, _ in ends), min(high for _, high in ends))


def total(intervals: Iterable[Interval]) -> Interval:
    """Their sum."""
    return sum(intervals, Interval(0.0, 0.0))

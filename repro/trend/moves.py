"""Follow each measure on each machine from commit to commit, and find where it moved.

A reading moved when all of its values are beyond those of every reading since the last move, and by more than explains
itself: for times by more than the share by which `make check` lets the same code lie apart, which results/noise.json
measured by the hour; for memory by more than processes of the same program lie apart; for losses and accuracies, which
repeat bit for bit where the software is the same, at all, and where it is another by more than the measured rounding
and chance. So one slow repetition is no move, and a step is reported once, at its first commit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from repro.trend.readings import Reading


@dataclass(frozen=True)
class Line:
    """The readings of one measure on one machine in git's order; `moved`: the places of those that moved."""

    machine: str
    measure: str
    readings: tuple[Reading, ...]
    moved: tuple[int, ...]


def follow(readings: Iterable[Reading], order: Mapping[str, int]) -> list[Line]:
    """Make the lines of readings whose commits are all in `order`; those of one commit are one."""
    found: dict[tuple[str, str], dict[str, Reading]] = {}
    for reading in sorted(readings, key=lambda reading: order[reading.commit]):
        of_commit = found.setdefault((reading.machine, reading.measure), {})
        before = of_commit.get(reading.commit)
        values = (*before.values, *reading.values) if before else reading.values
        of_commit[reading.commit] = replace(reading, values=values)
    return [_line(*name, tuple(of_commit.values())) for name, of_commit in found.items()]


def _line(machine: str, measure: str, readings: tuple[Reading, ...]) -> Line:
    moved, since = list[int](), list(readings[:1])
    for place, reading in enumerate(readings[1:], 1):
        if _has_moved(reading, since):
            moved.append(place)
            since = []
        since.append(reading)
    return Line(machine, measure, readings, tuple(moved))


def _has_moved(reading: Reading, since: list[Reading]) -> bool:
    low, high = (end(value for each in since for value in each.values) for end in (min, max))
    alike = all(each.software == reading.software for each in since)
    band = 0.0 if alike else max(each.band for each in (*since, reading))
    above = min(reading.values) > high * (1 + reading.noise) + band
    return above or max(reading.values) < low / (1 + reading.noise) - band

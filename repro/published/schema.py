"""Published figures, the rules that judge them and what runs say about them, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from repro.records.schema import DataSet, Run


class Verdict(StrEnum):
    """The verdict on one published figure."""

    MATCH = "match"
    BETTER = "better"
    WORSE = "worse"
    INCOMPARABLE = "incomparable"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Setting:
    """The conditions under which a group of figures was published; a comparable run shares them."""

    key: str
    kind: str  # "train" or "eval": the runs that can measure it
    hardware: str
    devices: tuple[str, ...]  # device names that mean this hardware
    count: int | None  # devices; None: the published text does not say
    software: str
    dataset: str
    data: Mapping[str, DataSet]  # by split: "train", "eval"
    workload: Mapping[str, Any]  # config keys on which every figure depends
    recipe: Mapping[str, Any]  # config keys on which accuracy and total time depend as well


@dataclass(frozen=True)
class Rule:
    """The rule that judges a figure.

    kind "accuracy": the difference against a 95 % interval; `spread` in points is the standard deviation between
        seeds that is assumed where none was measured, `tolerance` in points the widest interval that makes a match.
    kind "speed": the relative difference against `tolerance`, a fraction.
    kind "unjudged": no verdict can be defended; `text` says why.
    """

    kind: str
    better: str  # "higher" or "lower"
    text: str
    spread: float = 0.0
    tolerance: float = 0.0


@dataclass(frozen=True)
class Published:
    """One published figure, in the unit it is shown in."""

    key: str
    title: str
    value: float
    unit: str  # "%", "ms", "s", "h", "images/s" or "M"
    decimals: int  # shown after the point
    rounding: float  # half of the last published digit, in `unit`
    source: str
    statistic: str
    measure: str  # its name in repro.published.figures.MEASURES
    setting: Setting
    splits: tuple[str, ...]  # the data splits it depends on
    recipe: bool  # whether it depends on the whole recipe or on the workload alone
    rule: Rule
    note: str = ""
    log: str = ""  # the published log file that holds the value as well


@dataclass(frozen=True)
class Measured:
    """One number of a run. `n` says how many runs, images or epochs it is made of.

    `spread`: the standard deviation over `epochs` epochs, in the unit of `value`; None where fewer than two count.
    `epochs`: how many count, without the warm-up, which is epoch 0; None for what is not made of epochs.
    """

    value: float
    n: str
    spread: float | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Reason:
    """A reason why a run cannot be compared: `topic` in a word for a table, `text` in full."""

    topic: str
    text: str


@dataclass(frozen=True)
class Spread:
    """One measure over `n` runs, in `unit`. `deviation` is the sample's standard deviation (n - 1).

    All four numbers are nan when a run's is not finite.
    """

    title: str
    unit: str
    decimals: int  # shown after the point
    n: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    measure: str = ""  # its name in repro.published.figures.MEASURES


@dataclass(frozen=True)
class Claim:
    """The verdict on one published figure, and the run that it is about.

    `difference` (measured minus published) and `allowed` (its largest size for a match) are in the figure's
    unit, `relative` is the difference in percent: None unless the verdict is match, better or worse.
    `evidence` says in words what the value rests on: how many seeds or epochs, and how far they differ.
    `seeds`: the same measure over the seeds of the run's group, None for a run of one seed.
    """

    figure: Published
    verdict: Verdict
    run: Run | None = None
    measured: Measured | None = None
    difference: float | None = None
    relative: float | None = None
    allowed: float | None = None
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[str, ...] = ()
    seeds: Spread | None = None


@dataclass(frozen=True)
class Repetition:
    """Training runs that differ in nothing. `parted`: where they differ first, such as "at step 7", or None."""

    runs: tuple[Run, ...]
    steps: int
    parted: str | None


@dataclass(frozen=True)
class SeedGroup:
    """Training runs that differ in their seed alone: the newest of each seed, in the order of `seeds`."""

    runs: tuple[Run, ...]
    seeds: tuple[int, ...]
    repetitions: int  # older runs of the same seeds, which do not count
    spreads: tuple[Spread, ...]
    notes: tuple[str, ...]

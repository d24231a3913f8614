"""What the records and the published figures are made of. Plain data, no logic."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class ReproError(Exception):
    """A record that cannot be trusted: the message names file, line or key, what was found and expected.

    Programs print it after ``error:`` on standard error and end with exit code 2.
    """


class Verdict(StrEnum):
    """What a run says about one published figure."""

    MATCH = "match"
    BETTER = "better"
    WORSE = "worse"
    INCOMPARABLE = "incomparable"
    NOT_MEASURED = "not measured"


# ---------------------------------------------------------------------------------------------- published


@dataclass(frozen=True)
class DataSet:
    """One split as it was used. `hash_kind`: the part of its hash before the first colon, or None.

    `hash`: the whole of it, None also for a published split, of which the kind alone is known.
    """

    images: int
    classes: int
    hash_kind: str | None
    hash: str | None = None


@dataclass(frozen=True)
class Setting:
    """Under what conditions a group of figures was published: a run must share them to be comparable."""

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
    """How a figure is judged.

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
    measure: str  # the name of the measure in repro.published.compare
    setting: Setting
    splits: tuple[str, ...]  # the data splits it depends on
    recipe: bool  # whether it depends on the whole recipe or on the workload alone
    rule: Rule
    note: str = ""
    log: str = ""  # the published log file that holds the value as well


# ---------------------------------------------------------------------------------------------- measured


@dataclass(frozen=True)
class Epoch:
    """One epoch line of a log. Times in seconds, accuracy as a fraction, None for an epoch not evaluated."""

    line: int
    epoch: int
    epoch_time_s: float
    step_time_s: float
    loss: float
    lr: float
    fps: float
    accuracy: float | None
    eval_cost_s: float | None


@dataclass(frozen=True)
class EvalLine:
    """The one line of a log of an evaluation. Accuracy as a fraction, times in seconds."""

    line: int
    accuracy: float
    step_time_s: float
    total_s: float


@dataclass(frozen=True)
class Log:
    """A log in the published format. `best_accuracy` is what ``last_metric[...]`` prints; absent is None."""

    path: Path
    epochs: tuple[Epoch, ...]
    evaluation: EvalLine | None
    step_lines: int
    compile_time_s: float | None
    training_time_s: float | None
    best_accuracy: float | None
    mean_fps: float | None
    foreign_lines: int  # written by others, framework warnings for example


@dataclass(frozen=True)
class Environment:
    """Where and on what a run was made. `datasets` by split, `missing`: what could not be found out.

    `resumed_on`: what of code, software and machine was another when the run was resumed, in words.
    `facts`: the whole of env.json.
    """

    commit: str | None
    dirty: bool | None
    software: str  # "MindSpore 2.10.0"
    target: str  # "Ascend", "GPU" or "CPU"
    device_names: tuple[str, ...]
    device_count: int
    cpu: str  # model and kind
    datasets: Mapping[str, DataSet]
    parameters: int | None
    missing: tuple[str, ...]
    resumed_on: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One number of a run: `n` says of how many images or epochs it is made.

    `spread`: the standard deviation over `epochs` epochs, in the unit of `value`; None where fewer than two count.
    `epochs`: how many count, without the warm-up, which is epoch 0; None for what is not made of epochs.
    """

    value: float
    n: str
    spread: float | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Resumption:
    """A training that was interrupted went on here: `step`, which counts from 0, is the first that was run then.

    `repeated_steps` were run before and thrown away, since the checkpoint is older. `changed` says in words what
    has another value since; it is empty for a run that went on as if nothing had happened.
    """

    time: str
    step: int
    epoch: int
    checkpoint: str  # the file name
    repeated_steps: int
    changed: tuple[str, ...]
    compile_time_s: float | None


@dataclass(frozen=True)
class Steps:
    """All steps of a training in order, from step 0: loss and learning rate of each, and its times in milliseconds.

    A step's time is without the wait for its data. Empty for an evaluation.
    """

    loss: "array[float]" = field(default_factory=lambda: array("d"))
    lr: "array[float]" = field(default_factory=lambda: array("d"))
    step_time_ms: "array[float]" = field(default_factory=lambda: array("d"))
    data_wait_ms: "array[float]" = field(default_factory=lambda: array("d"))


@dataclass(frozen=True)
class Calibration:
    """How long a fixed calculation took after `step` steps of the run: what the machine gave it at that moment."""

    step: int
    time_ms: float


@dataclass(frozen=True)
class ClassScore:
    """How many images of one class an evaluation got right. `key`: its folder; `name`: what it is called, if known."""

    key: str
    name: str
    images: int
    correct_top1: int
    correct_top5: int


@dataclass(frozen=True)
class Confusion:
    """So many images of the class `key` were taken for the class `taken_for`."""

    key: str
    taken_for: str
    images: int


@dataclass(frozen=True)
class Run:
    """A sealed run folder whose log and metrics agree. Its numbers are those of the log, as published."""

    folder: Path
    kind: str
    config: Mapping[str, Any]
    env: Environment
    log: Log
    eval_images: int  # evaluated: by the run itself, or after the epochs of a training
    skipped_images: int  # unreadable ones that were left out
    absent_checkpoints: int  # sealed, but not kept beside the record
    top5_pct: float | None = None  # of the evaluation, or of the last epoch of a training
    resumptions: tuple[Resumption, ...] = ()
    steps: Steps = field(default_factory=Steps)
    calibrations: tuple[Calibration, ...] = ()
    classes: tuple[ClassScore, ...] = ()  # of an evaluation
    confusions: tuple[Confusion, ...] = ()  # the most frequent ones, most frequent first


@dataclass(frozen=True)
class Reason:
    """Why a run cannot be compared: `topic` is one word for a table, `text` the whole of it."""

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
    measure: str = ""  # its name in repro.published.figures


@dataclass(frozen=True)
class Claim:
    """What can be said of one published figure, and by which run.

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
class SeedGroup:
    """Training runs that differ in their seed alone: the newest of each seed, in the order of `seeds`."""

    runs: tuple[Run, ...]
    seeds: tuple[int, ...]
    repetitions: int  # older runs of the same seeds, which do not count
    spreads: tuple[Spread, ...]
    notes: tuple[str, ...]

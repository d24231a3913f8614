"""The contents of a run folder and its log, as plain data."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DataSet:
    """One split of a data set. `hash_kind`: the part of its hash before the first colon; `hash`: the whole of it.

    Both are None where there is none, as for a published split.
    """

    images: int
    classes: int
    hash_kind: str | None = None
    hash: str | None = None


@dataclass(frozen=True)
class Epoch:
    """One epoch line of a log: times in seconds, accuracy as a fraction, None if the epoch was not evaluated."""

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
    """The one line of an evaluation's log: accuracy as a fraction, times in seconds."""

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
    """Code, software, machine and data of a run. `datasets` by split; `missing`: what could not be found out.

    `resumed_on`: what of code, software and machine differed when the run was resumed, in words.
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

    @property
    def hardware(self) -> str:
        """The devices in words, such as ``8 x Ascend 910`` or ``1 x CPU (Intel Xeon)``."""
        names = ", ".join(sorted(set(self.device_names))) or f"{self.target} of unknown name"
        return f"{self.device_count} x {f'CPU ({self.cpu})' if self.target == 'CPU' else names}"


@dataclass(frozen=True)
class ResumeEvent:
    """The point at which an interrupted training was resumed: `step`, counted from 0, is the first one run then.

    `repeated_steps` were run before and thrown away, since the checkpoint is older. `changed` says in words which
    keys have another value since.
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
    """Loss, learning rate and times (in ms) of every step of a training, in order from step 0.

    A step's time is without the wait for its data. Empty for an evaluation.
    """

    loss: "array[float]" = field(default_factory=lambda: array("d"))
    lr: "array[float]" = field(default_factory=lambda: array("d"))
    step_time_ms: "array[float]" = field(default_factory=lambda: array("d"))
    data_wait_ms: "array[float]" = field(default_factory=lambda: array("d"))


@dataclass(frozen=True)
class Calibration:
    """The time of a fixed calculation after `step` steps of the run: how fast the machine was at that moment."""

    step: int
    time_ms: float


@dataclass(frozen=True)
class TargetReached:
    """The first evaluation of a training that reached `target_pct` top-1, after epoch `epoch`, which counts from 0.

    `training_s`: with evaluations, without compilation and interruptions. `wall_s`: since the start of the run, with
    both; None if it is not known.
    """

    target_pct: float
    epoch: int
    top1_pct: float
    training_s: float
    wall_s: float | None


@dataclass(frozen=True)
class ClassScore:
    """The images of one class that an evaluation got right. `key`: its folder; `name`: its name, if known."""

    key: str
    name: str
    images: int
    correct_top1: int
    correct_top5: int


@dataclass(frozen=True)
class ConfusedPair:
    """The number of images of class `key` that were mistaken for class `taken_for`."""

    key: str
    taken_for: str
    images: int


@dataclass(frozen=True)
class Run:
    """A sealed run folder whose log and metrics agree; its numbers are those of the log, as in the published one.

    Where a folder is not yet sealed, its numbers are those of the metrics so far: repro.records.unfinished.
    """

    folder: Path
    kind: str
    config: Mapping[str, Any]
    env: Environment
    log: Log
    eval_images: int  # evaluated: by the run itself, or after the epochs of a training
    skipped_images: int  # unreadable ones that were left out
    absent_checkpoints: int  # sealed, but not kept beside the record
    top5_pct: float | None = None  # of the evaluation, or of the last epoch of a training
    resumptions: tuple[ResumeEvent, ...] = ()
    steps: Steps = field(default_factory=Steps)
    calibrations: tuple[Calibration, ...] = ()
    steps_per_epoch: int | None = None  # of a training; an older record does not say it
    target: TargetReached | None = None  # as the run itself reported it
    sealed: bool = True
    classes: tuple[ClassScore, ...] = ()  # of an evaluation
    confusions: tuple[ConfusedPair, ...] = ()  # the most frequent ones, most frequent first
    classes_compared: str | None = None  # how an evaluation matched its class folders with the checkpoint's

    @property
    def epochs_done(self) -> float:
        """The epochs of a training so far, with the part of one that is not at its end."""
        whole = len(self.log.epochs)
        return whole if self.sealed or not self.steps_per_epoch else len(self.steps.loss) / self.steps_per_epoch

    @property
    def changed_keys(self) -> str:
        """The keys whose values changed when the run was resumed, in words, or nothing.

        Its config.yml holds the new values alone, and part of it was made under others: no figure of it is clean.
        """
        return ", ".join(text for resumption in self.resumptions for text in resumption.changed)

"""Describe a run as every tracker takes it: what was set, where it ran, and values at steps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from repro.errors import ReproError
from repro.records.so_far import RunSoFar
from repro.report.exports.clock import Clock, so_far_clock, utc_seconds
from repro.report.run_values import shareable

PROJECT = "hlg-repro"  # what a tracker shows the runs under
_LONGEST = 20  # entries of a list that is worth a tag; the names of a thousand classes are not
_OF_EPOCH = {"train/epoch_time_s": "epoch_time_s", "train/images_per_s": "images_per_s", "val/time_s": "eval_time_s"}
_OF_EVALUATION = {"val/top1_pct": "top1_pct", "val/top5_pct": "top5_pct"}


@dataclass(frozen=True)
class TrackedPoint:
    """Values at one step, counted from 0. What the end of an epoch adds has that of its last step, and a later time."""

    step: int
    time_s: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class TrackedRun:
    """A run so far. `name` is fit for a file; times are in seconds since 1970, UTC; no clock: an evaluation."""

    name: str
    started_s: float
    ended_s: float
    hyperparameters: Mapping[str, bool | int | float | str]
    facts: Mapping[str, str]
    progress: RunSoFar
    clock: Clock | None

    @property
    def finished(self) -> bool:
        """Whether the run is sealed."""
        return self.progress.finished

    def points(self) -> Iterator[TrackedPoint]:
        """Yield every step and epoch in order; of an evaluation its one result."""
        if self.clock is None:
            found = self.progress.named("eval")[0]
            yield TrackedPoint(0, self.ended_s, _values(found, {**_OF_EVALUATION, "val/time_s": "total_time_s"}))
            return
        recorded, count = self.progress.events.steps, self.clock.steps_per_epoch
        calibrated = {calibration.step: calibration.time_ms for calibration in self.progress.events.calibrations}
        epochs = {(number + 1) * count - 1: event for number, event in enumerate(self.progress.named("epoch"))}
        for step, time_s in enumerate(self.clock.steps.tolist()):
            values = {
                "train/loss": recorded.loss[step],
                "train/lr": recorded.lr[step],
                "train/step_time_ms": recorded.step_time_ms[step],
                "train/data_wait_ms": recorded.data_wait_ms[step],
            }
            if step in calibrated:
                values["train/calibration_ms"] = calibrated[step]
            yield TrackedPoint(step, time_s, values)
            if step in epochs:
                yield TrackedPoint(
                    step, self.clock.ends[step // count], _values(epochs[step], _OF_EPOCH | _OF_EVALUATION)
                )


def _values(event: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, float]:
    return {name: event[key] for name, key in kept.items() if event[key] is not None}


def tracked_run(progress: RunSoFar, name: str) -> TrackedRun:
    """Describe a run. Raises ReproError if the record does not tell when it started, or when a step happened."""
    clock = so_far_clock(progress) if progress.kind == "train" else None
    started = utc_seconds(progress.facts.get("started"))
    if started is None or (progress.kind == "train" and clock is None):
        where = "env.json and metrics.jsonl do not tell when its steps were"
        raise ReproError(f"{progress.folder}: {where}, and a tracker needs that; name other runs: RUN=...")
    ended = clock.finished if clock else started + progress.named("eval")[0]["total_time_s"]
    keys = {key: value for key, value in shareable(progress.config).items() if value is not None}
    facts = dict(_flat("", progress.facts)) | {"run": "finished" if progress.finished else "not finished"}
    return TrackedRun(name, started, ended, keys, facts, progress, clock)


def _flat(prefix: str, facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each fact of env.json with its path, such as `packages.mindspore` and 2.10.0; the command is none."""
    for key, value in shareable(facts).items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        elif isinstance(value, list):
            if key != "argv" and 0 < len(value) <= _LONGEST and all(isinstance(part, str) for part in value):
                yield prefix + key, ", ".join(value)
        elif value is not None:
            yield prefix + key, str(value)

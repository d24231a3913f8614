"""Reconstruct when each step of a training happened, from what is recorded; nothing is guessed.

The run began at `started` of env.json, which is in UTC and whole seconds; a resumption's time is that of its event.
From there on durations are added up: the compilation, each step with the wait for its data, and each evaluation. What
is not timed by itself, the writing of checkpoints above all, is in none of these, so that the times of a long run
fall behind its clock by that much; the end of a run that was never interrupted follows from its training time, which
holds everything. If a run was resumed at an epoch's end, the evaluation of that epoch is put before the interruption.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from repro.records.schema import ResumeEvent, Run, Steps
from repro.records.so_far import RunSoFar

_LAST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()  # what a date can hold


@dataclass(frozen=True)
class Clock:
    """Times in seconds since 1970, UTC. `steps` are the ends of the steps, `steps_per_epoch` of them an epoch."""

    started: float
    compiled: float
    begins: tuple[float, ...]  # of each epoch
    steps: np.ndarray
    steps_per_epoch: int
    ends: tuple[float, ...]  # of each epoch, with its evaluation
    resumed: tuple[float, ...]
    finished: float


def training_clock(run: Run) -> Clock | None:
    """Reconstruct the times of a training that finished; None if too little is recorded."""
    epochs, total = run.log.epochs, len(run.steps.loss)
    if run.kind != "train" or not epochs or not total or total % len(epochs):
        return None
    evaluations = [epoch.eval_cost_s or 0.0 for epoch in epochs]
    spans = run.log.compile_time_s or 0.0, evaluations, run.log.training_time_s or 0.0
    return _clock(run.env.facts, run.steps, total // len(epochs), spans, run.resumptions)


def so_far_clock(run: RunSoFar) -> Clock | None:
    """Reconstruct the times of a training so far, whose last epoch may be cut short; None if too little is recorded."""
    count = next((event["steps_per_epoch"] for event in run.named("start")), None)
    if not count:
        return None
    compiled = sum(event["compile_time_s"] or 0.0 for event in run.named("compile")[:1])
    evaluations = [event["eval_time_s"] or 0.0 for event in run.named("epoch")]
    resumptions = [event["resumption"] for event in run.named("resume")]
    return _clock(run.facts, run.events.steps, count, (compiled, evaluations, 0.0), resumptions)


def _clock(
    facts: Mapping[str, Any],
    recorded: Steps,
    count: int,
    spans: tuple[float, Sequence[float], float],
    resumptions: Sequence[ResumeEvent],
) -> Clock | None:
    """Add up the durations. `spans`: of the compilation, of the evaluation after each epoch, of the whole training."""
    started, (compile_s, evaluations, training_s) = utc_seconds(facts.get("started")), spans
    resumed = [time for found in resumptions if (time := utc_seconds(found.time)) is not None]
    total = len(recorded.loss)
    if started is None or len(resumed) < len(resumptions) or len(evaluations) > total // count:
        return None
    took = (np.array(recorded.step_time_ms) + np.array(recorded.data_wait_ms)) / 1000
    steps = np.empty(total)
    compiled = now = started + compile_s
    begins, ends = [], []
    for number, first in enumerate(range(0, total, count)):
        done, last = first, min(first + count, total)
        begins.append(now)
        for found, time in zip(resumptions, resumed, strict=True):
            if first <= found.step < last:
                steps[done : found.step] = now + np.cumsum(took[done : found.step])
                done, now = found.step, time
                if done == first:
                    begins[-1] = now
        steps[done:last] = now + np.cumsum(took[done:last])
        now = float(steps[last - 1])
        if number < len(evaluations):
            now += evaluations[number]
            ends.append(now)
    finished = max(now, *resumed) if resumed else max(now, compiled + training_s)
    times = np.concatenate([[started, compiled, *begins, *ends, *resumed, finished], steps])
    if not np.all((times >= 0) & (times < _LAST)):  # nan is neither
        return None
    return Clock(started, compiled, tuple(begins), steps, count, tuple(ends), tuple(resumed), finished)


def utc_seconds(text: object) -> float | None:
    """Read a time of a record as seconds since 1970; None if it is none."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None

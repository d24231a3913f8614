"""Reconstruct when each step of a training happened, from what is recorded; nothing is guessed.

The run began at `started` of env.json, which is in UTC and whole seconds; a resumption's time is that of its event.
From there on durations are added up: the compilation, each step with the wait for its data, and each evaluation. What
is not timed by itself, the writing of checkpoints above all, is in none of these, so that the times of a long run
fall behind its clock by that much; the end of a run that was never interrupted follows from its training time, which
holds everything. If a run was resumed at an epoch's end, the evaluation of that epoch is put before the interruption.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from repro.records.schema import Run

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
    """Reconstruct the times of a training; None if too little is recorded."""
    started = _utc(run.env.facts.get("started"))
    resumed = [time for found in run.resumptions if (time := _utc(found.time)) is not None]
    epochs, total = run.log.epochs, len(run.steps.loss)
    if run.kind != "train" or started is None or len(resumed) < len(run.resumptions):
        return None
    if not epochs or not total or total % len(epochs):
        return None
    count = total // len(epochs)
    took = (np.array(run.steps.step_time_ms) + np.array(run.steps.data_wait_ms)) / 1000
    steps = np.empty(total)
    compiled = now = started + (run.log.compile_time_s or 0.0)
    begins, ends = [], []
    for number, epoch in enumerate(epochs):
        first = done = number * count
        begins.append(now)
        for found, time in zip(run.resumptions, resumed, strict=True):
            if first <= found.step < first + count:
                steps[done : found.step] = now + np.cumsum(took[done : found.step])
                done, now = found.step, time
                if done == first:
                    begins[-1] = now
        steps[done : first + count] = now + np.cumsum(took[done : first + count])
        now = float(steps[first + count - 1]) + (epoch.eval_cost_s or 0.0)
        ends.append(now)
    finished = max(now, *resumed) if resumed else max(now, compiled + (run.log.training_time_s or 0.0))
    times = np.concatenate([[started, compiled, *begins, *ends, *resumed, finished], steps])
    if not np.all((times >= 0) & (times < _LAST)):  # nan is neither
        return None
    return Clock(started, compiled, tuple(begins), steps, count, tuple(ends), tuple(resumed), finished)


def _utc(text: object) -> float | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None

"""Write a training in the format of NVIDIA's DLLogger: `DLLL` and one JSON object a line.

Steps are named as there: "PARAMETER", [epoch, iteration], [epoch], and [] for the whole run. Epochs count from 0 as in
our log, iterations within their epoch from 1. A single step has a line if our log has one for it, by its log_interval;
if these would be more than _MOST_STEPS, only the last step of each epoch has one. Times are those of
repro.report.exports.clock. Paths and addresses of the configuration are left out: they say nothing about the result.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from repro.records.schema import Run
from repro.report.exports.clock import Clock, training_clock
from repro.report.exports.csv_json import json_line
from repro.report.run_values import config_number, log_value, shareable, tidy

_MOST_STEPS = 10_000
_UNITS = {
    "train.step_time_ms": "ms",
    "train.data_wait_ms": "ms",
    "train.epoch_time_s": "s",
    "train.images_per_s": "images/s",
    "train.mean_images_per_s": "images/s",
    "train.training_time_s": "s",
    "val.time_s": "s",
    "val.top1_pct": "%",
    "val.best_top1_pct": "%",
    "val.top5_pct": "%",
}


def dllogger_text(run: Run) -> str | None:
    """Write the log of a training; None for an evaluation, and if the record does not tell when what happened."""
    times = training_clock(run)
    if times is None:
        return None
    lines = [_log(times, times.started, "PARAMETER", _parameters(run))]
    lines += [_line(times, times.started, type="METADATA", metric=k, metadata={"unit": v}) for k, v in _UNITS.items()]
    steps = _steps(run, times)
    for number, epoch in enumerate(run.log.epochs):
        of_epoch = (steps >= number * times.steps_per_epoch) & (steps < (number + 1) * times.steps_per_epoch)
        for step in steps[of_epoch].tolist():
            data = {
                "train.loss": run.steps.loss[step],
                "train.lr": run.steps.lr[step],
                "train.step_time_ms": run.steps.step_time_ms[step],
                "train.data_wait_ms": run.steps.data_wait_ms[step],
            }
            lines.append(_log(times, float(times.steps[step]), [epoch.epoch, step % times.steps_per_epoch + 1], data))
        data = {
            "train.loss": epoch.loss,
            "train.lr": epoch.lr,
            "train.epoch_time_s": epoch.epoch_time_s,
            "train.images_per_s": epoch.fps,
        }
        if epoch.accuracy is not None:
            data["val.top1_pct"] = tidy(100 * epoch.accuracy)
            data["val.time_s"] = epoch.eval_cost_s
        lines.append(_log(times, times.ends[number], [epoch.epoch], data))
    lines.append(_log(times, times.finished, [], _summary(run)))
    return "".join(lines)


def _parameters(run: Run) -> dict[str, object]:
    data = shareable(run.config) | {"run": run.folder.name, "hardware": run.env.hardware, "software": run.env.software}
    return data | {"commit": run.env.commit, "dirty": run.env.dirty, "parameters": run.env.parameters}


def _steps(run: Run, times: Clock) -> np.ndarray:
    """Choose the steps that get a line."""
    number = np.arange(1, len(times.steps) + 1)
    last = number % times.steps_per_epoch == 0
    interval = int(config_number(run, "log_interval") or 0)
    steps = np.flatnonzero(last | (number % interval == 0)) if interval > 0 else np.flatnonzero(last)
    return steps if len(steps) <= _MOST_STEPS else np.flatnonzero(last)


def _summary(run: Run) -> dict[str, object]:
    found = {
        "train.training_time_s": run.log.training_time_s,
        "train.mean_images_per_s": run.log.mean_fps,
        "val.best_top1_pct": log_value(run, "best_accuracy"),
        "val.top1_pct": log_value(run, "last_accuracy"),
        "val.top5_pct": tidy(run.top5_pct),
    }
    return {key: value for key, value in found.items() if value is not None}


def _log(times: Clock, time: float, step: object, data: Mapping[str, object]) -> str:
    return _line(times, time, type="LOG", step=step, data=data)


def _line(times: Clock, time: float, **what: object) -> str:
    stamp = {
        "timestamp": str(round(time, 6)),
        "datetime": str(datetime.fromtimestamp(round(time, 6), UTC)),
        "elapsedtime": str(round(time - times.started, 6)),
    }
    return f"DLLL {json_line({**stamp, **what})}\n"

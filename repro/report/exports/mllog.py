"""Write a training in MLPerf's log format: `:::MLLOG` and one JSON object a line.

It is no submission to MLPerf, whose benchmarks do not have this network: organization, division, status and the
clearing of caches are left out. Where the run had a target accuracy, `target_top1`, the log ends as MLPerf's do: with
the evaluation that reached it and the status `success`, so that run_start to run_stop is the time to the target, or
with `aborted`. Without a target `success` says that the run finished. Epochs count from 1, as there, so that
`epoch_num` of an accuracy is how many epochs were trained. `file` and `lineno` say where in the run folder a value is
from. Times are those of repro.report.exports.clock.
"""

from typing import Any

from repro.records.schema import Run
from repro.report.exports.clock import training_clock
from repro.report.exports.csv_json import json_line
from repro.report.run_values import config_number, config_text, global_batch
from repro.report.time_to_target import reported_target, target_of

_TOKEN = ":::MLLOG"
_FINISHED = "finished; no target was set"
_TOKEN_IN_TEXT = "\\u003a::MLLOG"  # the same for a reader of the JSON


def mllog_text(run: Run) -> str | None:
    """Write the log of a training; None for an evaluation, and if the record does not tell when what happened."""
    times = training_clock(run)
    if times is None:
        return None
    lines = [_line(times.started, "init_start", None, file="env.json")]
    lines += [
        _line(times.started, key, value, file=file) for key, (value, file) in _facts(run).items() if value is not None
    ]
    lines += [_line(times.compiled, "init_stop", None, file=run.log.path.name)]
    lines += [_line(times.compiled, "run_start", None, file=run.log.path.name)]
    went_on = list(zip(times.resumed, run.resumptions, strict=True))
    target, reached = target_of(run), reported_target(run)
    for number, epoch in enumerate(run.log.epochs):
        at: dict[str, Any] = {"file": run.log.path.name, "lineno": epoch.line, "epoch_num": epoch.epoch + 1}
        trained = float(times.steps[(number + 1) * times.steps_per_epoch - 1])
        lines.append(_line(times.begins[number], "epoch_start", None, **at))
        lines += [
            _line(time, "resumed", found.step, file="metrics.jsonl", checkpoint=found.checkpoint, epoch_num=number + 1)
            for time, found in went_on
            if found.step // times.steps_per_epoch == number
        ]
        lines.append(_line(trained, "epoch_stop", None, **at))
        if epoch.accuracy is not None:
            lines.append(_line(trained, "eval_start", None, **at))
            lines.append(_line(times.ends[number], "eval_accuracy", epoch.accuracy, **at))
            lines.append(_line(times.ends[number], "eval_stop", None, **at))
        if reached and reached.epoch == epoch.epoch:
            return "".join([*lines, _stop(run, times.ends[number], "success", f"reached target_top1 {target:g} %")])
    status, meaning = ("aborted", f"target_top1 {target:g} % not reached") if target else ("success", _FINISHED)
    return "".join([*lines, _stop(run, times.finished, status, meaning)])


def _stop(run: Run, time_s: float, status: str, meaning: str) -> str:
    return _line(time_s, "run_stop", None, file=run.log.path.name, status=status, meaning=meaning)


def _facts(run: Run) -> dict[str, tuple[object, str]]:
    """Return the run's facts by MLPerf's keys, each with the file it is from; None for what it does not say."""
    train, name = run.env.datasets.get("train"), config_text(run, "opt")
    facts: dict[str, tuple[object, str]] = {
        "submission_benchmark": (config_text(run, "backbone"), "config.yml"),
        "submission_platform": (run.env.hardware, "env.json"),
        "seed": (config_number(run, "seed"), "config.yml"),
        "global_batch_size": (global_batch(run), "config.yml"),
        "micro_batch_size": (config_number(run, "batch_size"), "config.yml"),
        "train_samples": (train and train.images, "env.json"),
        "eval_samples": (run.eval_images, "metrics.jsonl"),
        "opt_name": (name, "config.yml"),
        "opt_base_learning_rate": (config_number(run, "lr_max"), "config.yml"),
        "opt_learning_rate_warmup_epochs": (config_number(run, "warmup_epochs"), "config.yml"),
        "opt_learning_rate_decay_schedule": (config_text(run, "lr_decay_mode"), "config.yml"),
    }
    if name == "adamw":
        for key, ours in (("beta_1", "beta1"), ("beta_2", "beta2"), ("weight_decay", "weight_decay")):
            facts[f"opt_adamw_{key}"] = (config_number(run, ours), "config.yml")
    return facts


def _line(time_s: float, key: str, value: object, **metadata: object) -> str:
    kinds = {"start": "INTERVAL_START", "stop": "INTERVAL_END"}
    record = {
        "namespace": "",
        "time_ms": round(1000 * time_s),
        "event_type": kinds.get(key.rpartition("_")[2], "POINT_IN_TIME"),
        "key": key,
        "value": value,
        "metadata": metadata,
    }
    # MLPerf's parser looks for its token anywhere in a line, so no text may hold it.
    return f"{_TOKEN} {json_line(record).replace(_TOKEN, _TOKEN_IN_TEXT)}\n"

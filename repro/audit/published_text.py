"""Check the published text against its own logs, and the logs against themselves."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from repro.audit.consistency import Agreement, Check, Known, audit_log, held
from repro.footprint import STORED_PARAMETERS, USED_PARAMETERS
from repro.published.document import Statement
from repro.published.schema import Published
from repro.records.schema import Log
from repro.statistics import Interval, interval_sum

TRAIN_LOG, EVAL_LOG = "train_ascend910x8.log", "eval_gpu_rtx3090.log"
DEVICES = 8
BEFORE_LOG = 264  # lines of the text before those of its training log


def audit_published(
    statements: Mapping[str, Statement], figures: Sequence[Published], logs: Mapping[str, Log]
) -> Iterator[Check]:
    """Check what the published text says against its logs, and these against themselves."""
    log, s = logs[TRAIN_LOG], statements
    setting = next(figure.setting for figure in figures if figure.log == TRAIN_LOG)
    images = {split: data.images for split, data in setting.data.items()}
    value = {key: float(statement.value) for key, statement in s.items() if not isinstance(statement.value, str)}
    batch = round(value["batch_size"]) * DEVICES
    known = Known(batch, images["train"], images["eval"], round(value["eval_batch_size"]), round(value["epochs"]))
    yield from audit_log(log, known)
    yield from audit_log(logs[EVAL_LOG], known)

    def printed(key: str) -> Interval:
        return Interval.printed(value[key], s[key].decimals)

    def said(key: str, check: str, found: Interval, numbers: str, unit: str, of: float = 0.0) -> Check:
        statement, gap = s[key], printed(key).gap(found)
        return held(f"{statement.says} ({statement.source})", check, numbers, gap, unit, of)

    last = log.epochs[-1]
    exact = Interval.exactly
    yield said("images", "ImageNet2012 as it is distributed", exact(images["train"]), f"{images['train']:,}", "images")
    for whole, parts in {"data_images": ("images", "eval_images"), "data_size": ("train_size", "eval_size")}.items():
        numbers = " + ".join(f"{value[part]:,.0f}" for part in parts)
        found = interval_sum(map(printed, parts))
        yield said(whole, "as what is to train with and to evaluate", found, numbers, s[whole].unit)
    per_device = f"the log's batch is {batch:,} = {DEVICES} x {batch // DEVICES}"
    yield said("table_batch", "as the batch of all devices", exact(batch), per_device, "images")
    yield said("table_batch", "as the batch of each device", exact(batch / DEVICES), per_device, "images")
    times = [1000 * epoch.step_time_s for epoch in log.epochs]
    spread = Interval(min(times) - 0.05, max(times) + 0.05)
    yield said("step_time", "against the log's lines", spread, f"{min(times):.1f} to {max(times):.1f} ms", "ms")
    yield _time_stamps(log, value)
    assert log.training_time_s
    assert log.best_accuracy
    assert last.accuracy
    hours = log.training_time_s / 3600
    more = 100 * (value["training_time"] / hours - 1)
    numbers = f"{log.training_time_s:,.2f} s = {hours:.2f} h; what is said is {more:.1f} % more"
    yield said("training_time", "against the log's training time", exact(hours), numbers, "h", hours)
    for name, count in (("stored", STORED_PARAMETERS), ("used in the forward pass", USED_PARAMETERS)):
        yield said("parameters", f"parameters {name}", exact(count / 1e6), f"{count:,}", "M")
    best, final = 100 * log.best_accuracy, 100 * last.accuracy
    yield said("accuracy", "as the last epoch, rounded", exact(final), f"{final:.3f} %", "points")
    yield said("accuracy", "as the best epoch, rounded", exact(best), f"{best:.3f} %", "points")
    yield said("accuracy", "as the best epoch, cut off", Interval(best - 0.005, best), f"{best:.3f} %", "points")
    evaluation = logs[EVAL_LOG].evaluation
    assert evaluation
    score = 100 * evaluation.accuracy
    cut = Interval(score - 0.005, score)
    yield said("eval_accuracy", "as the evaluation on GPU, cut off", cut, f"{score:.3f} %", "points")
    apart = [
        f"the {name} by {abs(score - value) / 100 * images['eval']:.0f}"
        for name, value in (("best", best), ("last", final))
    ]
    yield Check(
        "the evaluation on GPU (log, line 287)",
        "of which epoch of the training it is",
        f"{score:.3f} %; of {images['eval']:,} images {' and '.join(apart)} from it",
        Agreement.UNTOLD,
    )
    rate = Interval.printed(last.lr, 6)
    for key in ("lr_min", "lr_min_file"):
        yield said(key, "against the log's last learning rate", rate, f"{last.lr:.6f}", "")
    in_files = f"{value['lr_min_file']:g}"
    yield said("lr_min", "against the published code's own files", printed("lr_min_file"), in_files, "")
    losses = Interval(min(epoch.loss for epoch in log.epochs), max(epoch.loss for epoch in log.epochs))
    yield said("loss", "against the log's losses", losses, f"{losses:.2f}, each of one batch with mixup", "")


def _time_stamps(log: Log, value: Mapping[str, float]) -> Check:
    """Check that between two epochs' lines as much time passes as the later one says; a stamp has no fraction."""
    gaps, numbers = [0.0], []
    for before, after in pairwise(log.epochs):
        first, second = (value[f"time, line {epoch.line + BEFORE_LOG}"] for epoch in (before, after))
        spent = after.epoch_time_s + (after.eval_cost_s or 0.0)
        gaps.append(abs(second - first - spent) - 1.0)
        numbers.append(f"{second - first:.0f} s for {spent:.2f} s")
    check = "between the lines of two epochs pass an epoch and its evaluation"
    return held("time stamps", check, ", ".join(numbers), max(gaps), "s")

"""Check that the figures of one log, ours or any in the published format, can all be true at once.

Printed numbers are rounded, so each stands for an interval, and two contradict each other if their intervals have no
number in common. What the log alone does not tell (batch, data) is used if it is known.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from repro.files import field
from repro.records.schema import Epoch, EvalLine, Log, Run
from repro.statistics import Interval, intersection, interval_sum

PRINTED = {"epoch_time_s": 2, "step_time_s": 4, "fps": 2, "lr": 6, "accuracy": 6, "eval_cost_s": 2, "total_s": 4}


class Agreement(StrEnum):
    """The outcome of a check of figures for consistency."""

    CONSISTENT = "consistent"
    CONTRADICTORY = "contradictory"
    UNTOLD = "cannot be told"


@dataclass(frozen=True)
class Check:
    """One claim, checked against what else is known. `by`: how far it is off, in words; empty if it is not."""

    claim: str
    check: str
    numbers: str
    agreement: Agreement
    by: str = ""


@dataclass(frozen=True)
class Known:
    """Facts known besides the log; None where unknown."""

    global_batch: int | None = None
    train_images: int | None = None
    eval_images: int | None = None
    eval_batch: int | None = None  # of all devices
    epochs: int | None = None


def known_of(run: Run) -> Known:
    """Return what is known from a run folder's configuration and data.

    Raises:
        ReproError: a key is missing, or no whole number; file and key are named.
    """
    devices, data, where = run.env.device_count, run.env.datasets, str(run.folder / "config.yml")
    return Known(
        global_batch=field(where, run.config, "batch_size", int) * devices if run.kind == "train" else None,
        train_images=data["train"].images if "train" in data else None,
        # Which of its two data sets lacks the images that a training skipped is not known.
        eval_images=None if run.kind == "train" and run.skipped_images else run.eval_images,
        eval_batch=field(where, run.config, "eval_batch_size", int) * devices,
        epochs=field(where, run.config, "max_epoch", int),
    )


def audit_log(log: Log, known: Known) -> Iterator[Check]:
    """Run the checks that the log has the lines for."""
    if log.epochs:
        yield _batch(log.epochs, known)
        yield _steps(log.epochs, known)
        yield _mean_fps(log)
        yield _training_time(log)
        yield _best(log)
        yield from _epochs(log, known)
    scores = [(f"epoch {epoch.epoch}", epoch.accuracy) for epoch in log.epochs if epoch.accuracy is not None]
    if log.evaluation:
        scores.append(("the evaluation", log.evaluation.accuracy))
        yield _evaluation_steps(log.evaluation, known)
    if scores:
        yield _whole_images(scores, known)


def held(claim: str, check: str, numbers: str, gap: float, unit: str, of: float = 0.0) -> Check:
    """Make a check of how far two intervals are apart, in `unit` and, if `of` is given, in percent of it."""
    if math.isnan(gap):
        return Check(claim, check, numbers, Agreement.UNTOLD, "a number is not finite")
    if gap == 0:
        return Check(claim, check, numbers, Agreement.CONSISTENT)
    share = f", {100 * gap / of:.2g} %" if of else ""
    return Check(
        claim,
        check,
        numbers,
        Agreement.CONTRADICTORY,
        f"{gap:,.{0 if gap >= 1000 else 4}{'f' if gap >= 1000 else 'g'}} {unit}".strip() + share,
    )


def printed(line: Epoch | EvalLine, name: str) -> Interval:
    """Return the interval of a printed number of a log line."""
    return Interval.printed(getattr(line, name), PRINTED[name])


def _complete(log: Log) -> bool:
    """Return whether it has every epoch of its run; the published excerpt has the last four."""
    return log.epochs[0].epoch == 0


def _batch(epochs: tuple[Epoch, ...], known: Known) -> Check:
    found = intersection(printed(epoch, "fps") * printed(epoch, "step_time_s") for epoch in epochs)
    check = "images/s x step time is one whole batch, the same in every epoch"
    values = [epoch.fps * epoch.step_time_s for epoch in epochs]
    return _one_number("fps", check, found, values, "images a step", known.global_batch, "the batch is")


def _steps(epochs: tuple[Epoch, ...], known: Known) -> Check:
    found = intersection(printed(epoch, "epoch_time_s") / printed(epoch, "step_time_s") for epoch in epochs)
    check = "epoch time / step time is one whole number of steps, the same in every epoch"
    values = [epoch.epoch_time_s / epoch.step_time_s if epoch.step_time_s else math.inf for epoch in epochs]
    steps, why = None, ""
    if known.global_batch and known.train_images:
        steps = known.train_images // known.global_batch
        why = f"{known.train_images:,} images in batches of {known.global_batch:,}, the rest left out:"
    return _one_number("epoch time", check, found, values, "steps", steps, why)


def _one_number(
    claim: str, check: str, found: Interval, values: list[float], unit: str, expected: int | None, why: str
) -> Check:
    """Check that `found`, what the epochs have in common, holds the expected number, or else a whole one.

    `values`: what the printed numbers give, epoch by epoch.
    """
    if found.empty:
        numbers = f"{min(values):,.2f} to {max(values):,.2f} {unit}"
        return held(claim, check, numbers, found.low - found.high, unit, max(values))
    numbers = f"{found:,.2f} {unit}"
    if expected is not None:
        gap = found.gap(Interval.exactly(expected))
        return held(claim, check, f"{numbers}; {why} {expected:,}", gap, unit, expected)
    if not found.finite:
        return held(claim, check, numbers, math.nan, unit)
    return Check(claim, check, numbers, Agreement.CONSISTENT if found.whole() else Agreement.CONTRADICTORY)


def _mean_fps(log: Log) -> Check:
    claim, check = "mean_fps", "the mean of all epochs' images/s"
    if log.mean_fps is None:
        return Check(claim, check, "no such line", Agreement.UNTOLD)
    mean = Interval.printed(log.mean_fps, PRINTED["fps"])
    shown = interval_sum(printed(epoch, "fps") for epoch in log.epochs)
    count, all_epochs = len(log.epochs), log.epochs[-1].epoch + 1
    if _complete(log):
        found = shown / Interval.exactly(count)
        numbers = f"{log.mean_fps:,.2f}; the {count} lines give {found:,.2f}"
        return held(claim, check, numbers, found.gap(mean), "images/s", log.mean_fps)
    rest = (log.mean_fps * all_epochs - sum(epoch.fps for epoch in log.epochs)) / (all_epochs - count)
    numbers = f"{log.mean_fps:,.2f}; the {count} lines here have {shown / Interval.exactly(count):,.2f}, so the "
    numbers += f"{all_epochs - count} others {rest:,.2f} in the mean"
    return held(claim, check, numbers, rest if math.isnan(rest) else max(0.0, -rest), "images/s")


def _training_time(log: Log) -> Check:
    claim, check = "training time used", "no less than the epochs and their evaluations together"
    if log.training_time_s is None:
        return Check(claim, check, "no such line", Agreement.UNTOLD)
    spent = Interval.printed(log.training_time_s, 2)
    times = [printed(epoch, "epoch_time_s") for epoch in log.epochs]
    times += [printed(epoch, "eval_cost_s") for epoch in log.epochs if epoch.eval_cost_s is not None]
    found, what = interval_sum(times), f"{len(log.epochs)} epochs"
    if not _complete(log):
        factor = Interval.exactly((log.epochs[-1].epoch + 1) / len(log.epochs))
        found, what = found * factor, f"{log.epochs[-1].epoch + 1} epochs like these {len(log.epochs)}"
    left = log.training_time_s - (found.low + found.high) / 2
    numbers = f"{log.training_time_s:,.2f} s; {what}: {found:,.1f} s, which leaves {left:,.1f} s"
    numbers += f" ({100 * left / log.training_time_s:.2f} %)" if log.training_time_s else ""
    numbers += " for all else, such as compiling and saving"
    short = found.low - spent.high
    gap = math.nan if math.isnan(short) else max(0.0, short)
    return held(claim, check, numbers, gap, "s", log.training_time_s)


def _best(log: Log) -> Check:
    claim, check = "last_metric", "the best accuracy of all epochs"
    scores = [(epoch.accuracy, epoch.epoch) for epoch in log.epochs if epoch.accuracy is not None]
    if log.best_accuracy is None or not scores:
        return Check(claim, check, "no such line" if scores else "no epoch was evaluated", Agreement.UNTOLD)
    highest, at = max(scores)
    numbers = f"{log.best_accuracy}; highest in the log {highest:.6f} (epoch {at}), last {scores[-1][0]:.6f}"
    was = Interval.printed(highest, PRINTED["accuracy"])
    if not _complete(log):
        was = Interval(was.low, max(was.high, 1.0))  # an excerpt may lack the best one
    return held(claim, check, numbers, 100 * was.gap(Interval.exactly(log.best_accuracy)), "points")


def _epochs(log: Log, known: Known) -> Iterator[Check]:
    if known.epochs is not None:
        last = log.epochs[-1].epoch + 1
        numbers = f"the log ends with epoch {last - 1}; {known.epochs} were asked for"
        yield held("epochs", "the log ends with the last one", numbers, abs(last - known.epochs), "epochs")


def _evaluation_steps(line: EvalLine, known: Known) -> Check:
    found = printed(line, "total_s") / printed(line, "step_time_s")
    check = "total time / step time is a whole number of steps, which hold all images"
    steps, why = None, ""
    if known.eval_images and known.eval_batch:
        steps = math.ceil(known.eval_images / known.eval_batch)
        why = f"{known.eval_images / line.total_s:,.2f} images/s; " if line.total_s else ""
        why += f"{known.eval_images:,} images in batches of {known.eval_batch:,}:"
    return _one_number("total cost time", check, found, [], "steps", steps, why)


def _whole_images(scores: list[tuple[str, float]], known: Known) -> Check:
    claim, check = "accuracy", "accuracy x images is a whole number of images"
    if not known.eval_images:
        return Check(claim, check, "how many images were evaluated is not known", Agreement.UNTOLD)
    if not all(math.isfinite(accuracy) for _, accuracy in scores):
        return held(claim, check, "an accuracy is not finite", math.nan, "images")
    worst, where, numbers = 0.0, "", []
    for name, accuracy in scores:
        right = accuracy * known.eval_images
        # Beyond the rounding of the printed share.
        off = max(0.0, abs(right - round(right)) - 0.5e-6 * known.eval_images - 1e-9)
        numbers.append(f"{right:,.2f}")
        if off > worst:
            worst, where = off, f" ({name})"
    text = f"of {known.eval_images:,}: {', '.join(numbers[-4:])}" + (" in the last ones" if len(numbers) > 4 else "")
    if worst:
        return Check(claim, check, text, Agreement.CONTRADICTORY, f"{worst:.2f} images{where}")
    return Check(claim, check, text, Agreement.CONSISTENT)

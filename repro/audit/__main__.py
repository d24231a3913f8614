"""Holds the figures of a run against each other: can they all be true at once?

    python -m repro.audit                        # the published text and logs, to results/published/audit.md
    python -m repro.audit RUN_FOLDER OR_LOG ...  # any run, or any log in the published format

Exit codes: 0 nothing contradicts, 1 something does, 2 a record cannot be read. The published text contradicts itself
in places that are known, so its own audit ends with 0.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from repro.audit.consistency import Agreement, Check, Known, audit_log, held, known_of
from repro.errors import ReproError
from repro.footprint import STORED_PARAMETERS, USED_PARAMETERS
from repro.markdown import columns, grid, md
from repro.published.document import Statement, read_statements
from repro.published.figures import read_published, verify_published
from repro.published.schema import Published
from repro.records.logs import read_log
from repro.records.run_folder import read_folders
from repro.records.schema import Log
from repro.statistics import Interval, interval_sum

TRAIN_LOG, EVAL_LOG = "train_ascend910x8.log", "eval_gpu_rtx3090.log"
DEVICES = 8
BEFORE_LOG = 264  # lines of the text before those of its training log


def audit_published(
    statements: Mapping[str, Statement], figures: Sequence[Published], logs: Mapping[str, Log]
) -> Iterator[Check]:
    """The published text against its own logs, and the logs against themselves."""
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
    """Whether as much time passes between two epochs' lines as the later one says. A stamp has lost its fraction."""
    gaps, numbers = [0.0], []
    for before, after in pairwise(log.epochs):
        first, second = (value[f"time, line {epoch.line + BEFORE_LOG}"] for epoch in (before, after))
        spent = after.epoch_time_s + (after.eval_cost_s or 0.0)
        gaps.append(abs(second - first - spent) - 1.0)
        numbers.append(f"{second - first:.0f} s for {spent:.2f} s")
    check = "between the lines of two epochs pass an epoch and its evaluation"
    return held("time stamps", check, ", ".join(numbers), max(gaps), "s")


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m repro.audit", description="Can its figures all be true at once?")
    parser.add_argument("records", metavar="RUN_OR_LOG", nargs="*", type=Path, help="default: what was published")
    parser.add_argument("--published", type=Path, default=Path("results/published"), help="folder of published logs")
    parser.add_argument(
        "--check", action="store_true", help="write nothing, compare the kept audit of what was published"
    )
    options = parser.parse_args(argv)
    try:
        if options.records:
            return max([show(path) for path in options.records])
        return published(options.published, options.check)
    except (ReproError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def show(path: Path) -> int:
    """Audit one record on the terminal; returns 1 where something contradicts."""
    if path.is_dir():
        runs, unfinished = read_folders([path])
        if unfinished:
            raise ReproError(f"{path}: this run is not finished; give its log, which can be audited as it is")
        log, known = runs[0].log, known_of(runs[0])
    else:
        log, known = read_log(path), Known()
    checks = list(audit_log(log, known))
    if not checks:
        raise ReproError(f"{path}: found no epoch and no evaluation, expected a log in the published format")
    print(f"{path}\n{columns(rows(checks))}\n{summary(checks)}")
    return int(any(check.agreement is Agreement.CONTRADICTORY for check in checks))


def published(folder: Path, check: bool) -> int:
    """Write the audit of what was published, or compare the one that is kept."""
    figures = read_published()
    checks = list(audit_published(read_statements(), figures, verify_published(figures, folder)))
    page = "# What was published, held against itself\n\n" + __doc__.split("\n\n")[0] + "\n\n"
    page += "Printed numbers are rounded: two contradict each other where they can't be the same however they were\n"
    page += "rounded, and by how much is counted from there. Made by `make audit`.\n\n"
    page += (
        "\n".join(grid(HEADER, [[md(cell) for cell in row] for row in rows(checks)[1:]])) + f"\n\n{summary(checks)}\n"
    )
    target = folder / "audit.md"
    if check:
        if target.read_text(encoding="utf-8") == page:
            return 0
        print(f"{target}: out of date; run make audit", file=sys.stderr)
        return 1
    target.write_text(page, encoding="utf-8")
    print(f"{columns(rows(checks))}\n{summary(checks)}\n{target}")
    return 0


HEADER = ("Claim", "Check", "Numbers", "Verdict")


def rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    """The table's header and cells."""
    cells = [
        (check.claim, check.check, check.numbers, check.agreement.value + (f" by {check.by}" if check.by else ""))
        for check in checks
    ]
    return [tuple(HEADER), *cells]


def summary(checks: Sequence[Check]) -> str:
    """How many of each."""
    counts = [f"{sum(check.agreement is kind for check in checks)} {kind.value}" for kind in Agreement]
    return f"{len(checks)} checks: {', '.join(counts)}"


if __name__ == "__main__":
    sys.exit(main())

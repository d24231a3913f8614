"""Make every table of the report as records, for programs.

A table is defined by its columns: a name with its unit, and the function that takes the value, side by side. A run is
named by its folder, without the path. Calculated numbers have twelve digits, others those that were recorded.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.published.schema import Claim, SeedGroup, Spread
from repro.published.seeds import group_seeds, unfit
from repro.records.schema import ClassScore, ConfusedPair, Epoch, Run
from repro.report import phrases
from repro.report.class_scores import percent_right
from repro.report.run_values import config_name, config_number, config_text, log_value, tidy
from repro.report.time_to_target import reported_target, target_of


@dataclass(frozen=True)
class ReportTable:
    """Columns in order, and one record a row; what is absent is None."""

    columns: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]


def report_tables(claims: Iterable[Claim], runs: Sequence[Run]) -> dict[str, ReportTable]:
    """Make all tables by name: results, runs, epochs, seeds, and classes and confusions of evaluations."""
    epochs = [(run, epoch) for run in runs for epoch in run.log.epochs]
    groups = enumerate(group_seeds(runs), 1)
    seeds = [(number, group, spread) for number, group in groups for spread in group.spreads]
    return {
        "results": _table(_RESULTS, [(claim,) for claim in claims]),
        "runs": _table(_RUNS, [(run,) for run in runs]),
        "epochs": _table(_EPOCHS, epochs),
        "seeds": _table(_SEEDS, seeds),
        "classes": _table(_CLASSES, [(run, score) for run in runs for score in run.classes]),
        "confusions": _table(_CONFUSIONS, [(run, found) for run in runs for found in run.confusions]),
    }


_Columns = Mapping[str, Callable[..., Any]]


def _table(columns: _Columns, rows: Iterable[tuple[Any, ...]]) -> ReportTable:
    return ReportTable(tuple(columns), tuple({name: take(*row) for name, take in columns.items()} for row in rows))


# One row a published figure; its numbers are in `unit`, but for what names another.
_RESULTS: dict[str, Callable[[Claim], Any]] = {
    "key": lambda claim: claim.figure.key,
    "title": lambda claim: claim.figure.title,
    "published": lambda claim: claim.figure.value,
    "unit": lambda claim: claim.figure.unit,
    "source": lambda claim: claim.figure.source,
    "statistic": lambda claim: claim.figure.statistic,
    "published_hardware": lambda claim: claim.figure.setting.hardware or None,
    "published_device_count": lambda claim: claim.figure.setting.count,
    "measured": lambda claim: tidy(claim.measured.value) if claim.measured else None,
    "measured_n": lambda claim: claim.measured and claim.measured.n,
    "measured_deviation_of_epochs": lambda claim: tidy(claim.measured.spread) if claim.measured else None,
    "measured_hardware": lambda claim: claim.run and claim.run.env.hardware,
    "rule": lambda claim: claim.figure.rule.kind,
    "difference": lambda claim: tidy(claim.difference),
    "relative_pct": lambda claim: tidy(claim.relative),
    "allowed": lambda claim: tidy(claim.allowed),
    "verdict": lambda claim: claim.verdict.value,
    "topics": lambda claim: list(dict.fromkeys(reason.topic for reason in claim.reasons)),
    "reasons": lambda claim: [reason.text for reason in claim.reasons],
    "evidence": lambda claim: list(claim.evidence),
    "note": lambda claim: claim.figure.note or None,
    "run": lambda claim: claim.run and claim.run.folder.name,
}

# One row a run. What a training measures is absent for an evaluation, and the other way round.
_RUNS: dict[str, Callable[[Run], Any]] = {
    "run": lambda run: run.folder.name,
    "kind": lambda run: run.kind,
    "recipe": config_name,
    "seed": lambda run: config_number(run, "seed"),
    "target": lambda run: run.env.target,
    "device": lambda run: ", ".join(sorted(set(run.env.device_names))) or None,
    "device_count": lambda run: run.env.device_count,
    "cpu": lambda run: run.env.cpu,
    "software": lambda run: run.env.software,
    "image_digest": lambda run: _variable(run, "HLG_IMAGE_DIGEST"),
    "commit": lambda run: run.env.commit,
    "dirty": lambda run: run.env.dirty,
    "backbone": lambda run: config_text(run, "backbone"),
    "parameters": lambda run: run.env.parameters,
    "batch_size_per_device": lambda run: config_number(run, "batch_size" if run.kind == "train" else "eval_batch_size"),
    "amp_level": lambda run: config_text(run, "amp_level"),
    "train_images": lambda run: _data(run, "train", "images"),
    "train_classes": lambda run: _data(run, "train", "classes"),
    "train_hash": lambda run: _data(run, "train", "hash"),
    "eval_images": lambda run: _data(run, "eval", "images"),
    "eval_classes": lambda run: _data(run, "eval", "classes"),
    "eval_hash": lambda run: _data(run, "eval", "hash"),
    "evaluated_images": lambda run: run.eval_images,
    "skipped_images": lambda run: run.skipped_images,
    "epochs": lambda run: len(run.log.epochs) if run.kind == "train" else None,
    "best_top1_pct": lambda run: log_value(run, "best_accuracy"),
    "last_top1_pct": lambda run: log_value(run, "last_accuracy"),
    "eval_top1_pct": lambda run: log_value(run, "eval_accuracy"),
    "top5_pct": lambda run: tidy(run.top5_pct),
    "step_time_ms": lambda run: log_value(run, "step_time"),
    "images_per_s": lambda run: log_value(run, "fps"),
    "mean_images_per_s": lambda run: log_value(run, "mean_fps"),
    "training_time_s": lambda run: run.log.training_time_s,
    "compile_time_s": lambda run: run.log.compile_time_s,
    "target_top1_pct": lambda run: target_of(run),
    "target_epoch": lambda run: _reached(run, "epoch"),
    "target_training_time_s": lambda run: _reached(run, "training_s"),
    "target_wall_time_s": lambda run: _reached(run, "wall_s"),
    "eval_step_time_ms": lambda run: log_value(run, "eval_step_time"),
    "eval_time_s": lambda run: log_value(run, "eval_time"),
    "resumptions": lambda run: [
        ", ".join([*phrases.resumption_parts(found), *found.changed]) for found in run.resumptions
    ],
    "foreign_log_lines": lambda run: run.log.foreign_lines,
    "checkpoints_not_kept": lambda run: run.absent_checkpoints,
    "never_grouped_by_seed": lambda run: (unfit(run) or None) if run.kind == "train" else None,
    "missing": lambda run: list(run.env.missing),
}

# One row a run and epoch, which counts from 0, with the numbers of the log.
_EPOCHS: dict[str, Callable[[Run, Epoch], Any]] = {
    "run": lambda run, epoch: run.folder.name,
    "epoch": lambda run, epoch: epoch.epoch,
    "epoch_time_s": lambda run, epoch: epoch.epoch_time_s,
    "step_time_ms": lambda run, epoch: tidy(1000 * epoch.step_time_s),
    "images_per_s": lambda run, epoch: epoch.fps,
    "loss": lambda run, epoch: epoch.loss,
    "lr": lambda run, epoch: epoch.lr,
    "top1_pct": lambda run, epoch: None if epoch.accuracy is None else tidy(100 * epoch.accuracy),
    "eval_time_s": lambda run, epoch: epoch.eval_cost_s,
}

# One row a group of runs that differ in their seed alone, and measure; groups are numbered as in the report.
_SEEDS: dict[str, Callable[[int, SeedGroup, Spread], Any]] = {
    "group": lambda number, group, spread: number,
    "recipe": lambda number, group, spread: config_name(group.runs[0]),
    "hardware": lambda number, group, spread: group.runs[0].env.hardware,
    "commit": lambda number, group, spread: group.runs[0].env.commit,
    "seeds": lambda number, group, spread: list(group.seeds),
    "title": lambda number, group, spread: spread.title,
    "unit": lambda number, group, spread: spread.unit,
    "n": lambda number, group, spread: spread.n,
    "mean": lambda number, group, spread: tidy(spread.mean),
    "standard_deviation": lambda number, group, spread: tidy(spread.deviation),
    "minimum": lambda number, group, spread: tidy(spread.minimum),
    "maximum": lambda number, group, spread: tidy(spread.maximum),
    "runs": lambda number, group, spread: [run.folder.name for run in group.runs],
    "older_runs_left_out": lambda number, group, spread: group.repetitions,
    "notes": lambda number, group, spread: list(group.notes),
}

# One row an evaluation and class.
_CLASSES: dict[str, Callable[[Run, ClassScore], Any]] = {
    "run": lambda run, score: run.folder.name,
    "class": lambda run, score: score.key,
    "name": lambda run, score: score.name or None,
    "images": lambda run, score: score.images,
    "correct_top1": lambda run, score: score.correct_top1,
    "correct_top5": lambda run, score: score.correct_top5,
    "top1_pct": lambda run, score: tidy(percent_right(score.correct_top1, score)),
    "top5_pct": lambda run, score: tidy(percent_right(score.correct_top5, score)),
}

# One row an evaluation and pair of classes, of those that are confused most.
_CONFUSIONS: dict[str, Callable[[Run, ConfusedPair], Any]] = {
    "run": lambda run, found: run.folder.name,
    "class": lambda run, found: found.key,
    "taken_for": lambda run, found: found.taken_for,
    "images": lambda run, found: found.images,
}


def _data(run: Run, split: str, what: str) -> Any:
    """Return one fact of a data set; None if the run has not recorded it."""
    return getattr(run.env.datasets.get(split), what, None)


def _reached(run: Run, what: str) -> int | float | None:
    """Return when the run reached its target accuracy; None if it has none, or did not."""
    found = getattr(reported_target(run), what, None)
    return tidy(found) if isinstance(found, float) else found


def _variable(run: Run, name: str) -> str | None:
    """Return an environment variable of the run, as env.json has it."""
    variables = run.env.facts.get("variables")
    found = variables.get(name) if isinstance(variables, Mapping) else None
    return found if isinstance(found, str) else None

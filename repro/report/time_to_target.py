"""Say how long a training took to its target accuracy, as MLPerf counts: `target_top1` of the configuration.

A run that had this target has recorded the times itself. For any other target they are added up from what is timed,
which leaves out the writing of checkpoints.
"""

from collections.abc import Iterable

from repro.records.schema import Run, TargetReached
from repro.report.exports.clock import training_clock
from repro.report.phrases import NONE, in_hours
from repro.report.run_values import config_number, tidy

HEADER = ("Run", "Target", "First reached", "Training time", "Wall time")
INTRODUCTION = (
    "The first evaluation that reached target_top1; epochs count from 0. Training time holds evaluations, but neither "
    "compilation nor interruptions; wall time is since the start of the run and holds both."
)
NOT_REACHED = "not reached"


def target_of(run: Run) -> float | None:
    """Return the target accuracy of a training in percent, if it has one."""
    return config_number(run, "target_top1") or None if run.kind == "train" else None


def time_to_target(run: Run, target_pct: float) -> TargetReached | None:
    """Return the first evaluation of a training that reached this accuracy, or None."""
    if run.target and run.target.target_pct == target_pct:
        return run.target
    for place, epoch in enumerate(run.log.epochs):
        top1 = None if epoch.accuracy is None else tidy(100 * epoch.accuracy)
        if top1 is not None and top1 >= target_pct:
            times = training_clock(run)
            return TargetReached(
                target_pct=target_pct,
                epoch=epoch.epoch,
                top1_pct=top1,
                training_s=elapsed_s(run, place),
                wall_s=times.ends[place] - times.started if times else None,
            )
    return None


def elapsed_s(run: Run, place: int) -> float:
    """Return the training time up to the end of an epoch with its evaluation, as far as it is timed."""
    return sum(epoch.epoch_time_s + (epoch.eval_cost_s or 0.0) for epoch in run.log.epochs[: place + 1])


def reported_target(run: Run) -> TargetReached | None:
    """Return when the training reached its own target, if it has one and did."""
    target = target_of(run)
    return time_to_target(run, target) if target else None


def target_rows(runs: Iterable[Run]) -> list[tuple[str, ...]]:
    """Make a row, under HEADER, of each training that has a target accuracy."""
    return [target_row(run, target) for run in runs if (target := target_of(run))]


def target_row(run: Run, target_pct: float) -> tuple[str, ...]:
    """Say when a training reached an accuracy."""
    found = time_to_target(run, target_pct)
    words = reached_words(found) if found else (NOT_REACHED, NONE, NONE)
    return run.folder.name, f"{target_pct:g} %", *words


def reached_words(found: TargetReached) -> tuple[str, str, str]:
    """Say in which epoch, and after which times."""
    training, wall = (
        NONE if time is None else f"{time:,.{digits}f} s{in_hours(time)}"
        for time, digits in ((found.training_s, 2), (found.wall_s, 0))
    )
    return f"epoch {found.epoch}, {found.top1_pct:.3f} %", training, wall


def terminal_targets(runs: Iterable[Run]) -> str:
    """Say it for a terminal, one line a run. Empty without a target."""
    lines = []
    for name, target, reached, training, _ in target_rows(runs):
        after = "" if reached == NOT_REACHED else f" after {training} of training"
        lines.append(f"\n{name}: target_top1 {target}: {reached}{after}")
    return "".join(lines) + ("\n" if lines else "")

"""Trainings as rows of the tables that MindCV has in the README of each of its models.

Both accuracies are those of the last epoch, since they must be of the same weights. The level of MindSpore's
just-in-time compiler is not recorded, and weights are not published with a run.
"""

from collections.abc import Iterable

from repro.markdown import grid, md
from repro.records.schema import Run
from repro.report import phrases
from repro.report.exports.common import measured, millions, recipe, setting, word

UNKNOWN = "-"
HEADER = (
    *("model name", "params(M)", "cards", "batch size", "resolution", "jit level", "graph compile", "ms/step"),
    *("img/s", "acc@top1", "acc@top5", "recipe", "weight"),
)
_INTRODUCTION = (
    "Trainings in the columns of MindCV's tables: batch size of one card, accuracies of the last epoch in percent, "
    "`-` for what is not recorded. MindCV's own rows are of 1,000 classes of ImageNet; these are of what stands below."
)


def text(runs: Iterable[Run]) -> str | None:
    """The table, one row a training, and below it under which conditions each was made. None without one."""
    runs = [run for run in runs if run.kind == "train"]
    if not runs:
        return None
    notes = [
        f"{number}. {md(run.folder.name)}: {md(run.env.hardware)}, {md(run.env.software)}, {md(phrases.data(run))}."
        for number, run in enumerate(runs, 1)
    ]
    return "\n".join(
        [_INTRODUCTION, "", *grid(HEADER, map(_row, runs)), "", "In the order of the rows:", "", *notes, ""]
    )


def _row(run: Run) -> list[str]:
    size, compiled = setting(run, "train_image_size"), run.log.compile_time_s
    return [
        md(word(run, "backbone") or UNKNOWN),
        _number(millions(run.env.parameters)),
        str(run.env.device_count),
        str(setting(run, "batch_size") or UNKNOWN),
        f"{size}x{size}" if size else UNKNOWN,
        UNKNOWN,
        UNKNOWN if compiled is None else f"{compiled:.0f}s",
        _number(measured(run, "step_time")),
        _number(measured(run, "fps")),
        _number(measured(run, "last_accuracy")),
        _number(run.top5_pct),
        md(recipe(run) or UNKNOWN),
        UNKNOWN,
    ]


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"

"""Write trainings as rows of the tables in MindCV's READMEs of models.

Both accuracies are those of the last epoch, since they must be of the same weights. The level of MindSpore's
just-in-time compiler is not recorded, and weights are not published with a run.
"""

from collections.abc import Iterable

from repro.markdown import grid, md
from repro.records.schema import Run
from repro.report import phrases
from repro.report.run_values import config_name, config_number, config_text, log_value, millions

_UNKNOWN = "-"
_HEADER = (
    *("model name", "params(M)", "cards", "batch size", "resolution", "jit level", "graph compile", "ms/step"),
    *("img/s", "acc@top1", "acc@top5", "recipe", "weight"),
)
_INTRODUCTION = (
    "Trainings in the columns of MindCV's tables: batch size of one card, accuracies of the last epoch in percent, "
    "`-` for what is not recorded. MindCV's own rows are of 1,000 classes of ImageNet; these are of what stands below."
)


def mindcv_text(runs: Iterable[Run]) -> str | None:
    """Write the table, one row a training, and below it the conditions of each. None without a training."""
    runs = [run for run in runs if run.kind == "train"]
    if not runs:
        return None
    notes = [
        f"{number}. {md(run.folder.name)}: "
        f"{', '.join(map(md, (run.env.hardware, run.env.software, phrases.data_text(run))))}."
        for number, run in enumerate(runs, 1)
    ]
    return "\n".join(
        [_INTRODUCTION, "", *grid(_HEADER, map(_row, runs)), "", "In the order of the rows:", "", *notes, ""]
    )


def _row(run: Run) -> list[str]:
    size, compiled = config_number(run, "train_image_size"), run.log.compile_time_s
    return [
        md(config_text(run, "backbone") or _UNKNOWN),
        _number(millions(run.env.parameters)),
        str(run.env.device_count),
        str(config_number(run, "batch_size") or _UNKNOWN),
        f"{size}x{size}" if size else _UNKNOWN,
        _UNKNOWN,
        _UNKNOWN if compiled is None else f"{compiled:.0f}s",
        _number(log_value(run, "step_time")),
        _number(log_value(run, "fps")),
        _number(log_value(run, "last_accuracy")),
        _number(run.top5_pct),
        md(config_name(run) or _UNKNOWN),
        _UNKNOWN,
    ]


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.2f}"

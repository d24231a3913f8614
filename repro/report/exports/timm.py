"""Write runs as rows of timm's CSV files of results, with further columns that say what ours were measured on.

timm's rows are of ImageNet's 50,000 images, and its training benchmark is of one device without data from a disk. Ours
are of what the last columns say, and the time of a step includes the wait for data.
"""

from collections.abc import Iterable

from repro.records.schema import Run
from repro.report.exports.csv_json import csv_text
from repro.report.run_values import config_number, config_text, global_batch, log_value, millions, tidy

_VALIDATION = (
    *("model", "img_size", "top1", "top1_err", "top5", "top5_err", "param_count", "crop_pct", "interpolation"),
    *("images", "classes", "hardware", "amp_level", "run"),
)
_TRAIN = (
    *("model", "train_samples_per_sec", "train_step_time", "train_batch_size", "train_img_size", "param_count"),
    *("hardware", "amp_level", "run"),
)


def timm_validation(runs: Iterable[Run]) -> str | None:
    """Write one row an evaluation: percent, and millions of parameters. None without one."""
    records = []
    for run in runs:
        if run.kind != "eval":
            continue
        top1, top5, size = log_value(run, "eval_accuracy"), run.top5_pct, config_number(run, "eval_image_size")
        data = run.env.datasets.get("eval")
        records.append(
            {
                "model": config_text(run, "backbone"),
                "img_size": size,
                "top1": _round(top1),
                "top1_err": _round(None if top1 is None else 100 - top1),
                "top5": _round(top5),
                "top5_err": _round(None if top5 is None else 100 - top5),
                "param_count": millions(run.env.parameters),
                "crop_pct": crop_pct(size),
                "interpolation": "bilinear",  # of every evaluation, whatever the key `interpolation` says
                "images": run.eval_images,
                "classes": data and data.classes,
                **_conditions(run),
            }
        )
    return csv_text(_VALIDATION, records, "\n") if records else None


def timm_training(runs: Iterable[Run]) -> str | None:
    """Write one row a training: ms a step, and images of all devices a second and a step. None without one."""
    records = [
        {
            "model": config_text(run, "backbone"),
            "train_samples_per_sec": _round(log_value(run, "fps"), 2),
            "train_step_time": _round(log_value(run, "step_time")),
            "train_batch_size": global_batch(run),
            "train_img_size": config_number(run, "train_image_size"),
            "param_count": millions(run.env.parameters),
            **_conditions(run),
        }
        for run in runs
        if run.kind == "train"
    ]
    return csv_text(_TRAIN, records, "\n") if records else None


def crop_pct(image_size: int | float | None) -> float | None:
    """Return the share of the resized short side that an evaluation crops, 0.875 for 224 of 256.

    The short side is the size over 0.875, rounded to sixteen pixels, as hlg.data.augment.eval_resize_short has it.
    """
    if image_size is None or image_size < 7:  # of which nothing is left
        return None
    return _round(image_size / (int(image_size / 0.875 / 16 + 0.5) * 16))


def _conditions(run: Run) -> dict[str, object]:
    return {"hardware": run.env.hardware, "amp_level": config_text(run, "amp_level"), "run": run.folder.name}


def _round(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else tidy(round(value, digits))

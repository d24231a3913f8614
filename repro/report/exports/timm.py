"""Runs as rows of the CSV files in which timm publishes its results, with what its reader must know behind its columns.

timm's rows are of ImageNet's 50,000 images, and its training benchmark of one device without data from a disk. Ours
are of what the last columns say, and the time of a step holds the wait for data.
"""

from collections.abc import Iterable

from repro.records.schema import Run
from repro.report.exports.common import csv_text, global_batch, measured, millions, setting, tidy, word

VALIDATION = (
    *("model", "img_size", "top1", "top1_err", "top5", "top5_err", "param_count", "crop_pct", "interpolation"),
    *("images", "classes", "hardware", "amp_level", "run"),
)
TRAIN = (
    *("model", "train_samples_per_sec", "train_step_time", "train_batch_size", "train_img_size", "param_count"),
    *("hardware", "amp_level", "run"),
)


def validation(runs: Iterable[Run]) -> str | None:
    """One row an evaluation: percent, and millions of parameters. None without one."""
    records = []
    for run in runs:
        if run.kind != "eval":
            continue
        top1, top5, size = measured(run, "eval_accuracy"), run.top5_pct, setting(run, "eval_image_size")
        data = run.env.datasets.get("eval")
        records.append(
            {
                "model": word(run, "backbone"),
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
    return csv_text(VALIDATION, records, "\n") if records else None


def train(runs: Iterable[Run]) -> str | None:
    """One row a training: milliseconds a step, and images of all devices a second and a step. None without one."""
    records = [
        {
            "model": word(run, "backbone"),
            "train_samples_per_sec": _round(measured(run, "fps"), 2),
            "train_step_time": _round(measured(run, "step_time")),
            "train_batch_size": global_batch(run),
            "train_img_size": setting(run, "train_image_size"),
            "param_count": millions(run.env.parameters),
            **_conditions(run),
        }
        for run in runs
        if run.kind == "train"
    ]
    return csv_text(TRAIN, records, "\n") if records else None


def crop_pct(image_size: int | float | None) -> float | None:
    """The share of the resized short side that an evaluation crops, 0.875 for 224 of 256.

    The short side is the size over 0.875, rounded to sixteen pixels, as hlg.data.augment.eval_resize_short has it.
    """
    if image_size is None or image_size < 7:  # of which nothing is left
        return None
    return _round(image_size / (int(image_size / 0.875 / 16 + 0.5) * 16))


def _conditions(run: Run) -> dict[str, object]:
    return {"hardware": run.env.hardware, "amp_level": word(run, "amp_level"), "run": run.folder.name}


def _round(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else tidy(round(value, digits))

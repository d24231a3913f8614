"""Trainings that take seconds: a small recipe for the narrow network, and what is read from their run folders."""

import json
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {"class_num": 3, "warmup_epochs": 0, "log_interval": 1}
SMALL |= {"train_image_size": 112, "batch_size": 4, "train_num_workers": 2}
SMALL |= {"eval_image_size": 112, "eval_batch_size": 4, "eval_num_workers": 2}


def small_options(data: Path, runs: Path, **keys: object) -> list[str]:
    """The options of a small training on this data set that keeps its run in ``runs``."""
    paths = {"dataset_path": data / "train", "eval_path": data / "val", "save_checkpoint_path": runs}
    return [f"--{key}={value}" for key, value in {**SMALL, **paths, **keys}.items()]


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    """The events of one kind in a run's metrics."""
    found = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [event for event in found if event["event"] == kind]

"""Train the narrow network for seconds, with a fault planted in the code or with none.

python -m tests.drills.regressions.planted none|slow_step|... RUNS DATA
"""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hlg import train
from hlg.data import augment, loader
from hlg.training.job import Job
from tests.support.narrow.network import narrow
from tests.support.small_runs import SMALL, small_options

KEYS = {"max_epoch": 4, "lr_max": 0.003, "mixup": 0, "autoaugment": 0, "use_label_smooth": 0, "crop_min": 0.7}
KEYS |= {"eval_interval": 4, "eval_batch_size": 16, "save_checkpoint": 0, "calibration_interval": 4}
KEYS |= {"train_num_workers": 1, "eval_num_workers": 1}
SLOWER_S = 0.2  # the narrow step itself takes 0.04 on two cores, and on busy ones 0.15


def slow(job: Job, *arguments: Any, original: Callable[..., Any] = Job.inputs, **stop: Any) -> Any:
    """Every step takes several times as long."""
    time.sleep(SLOWER_S)
    return original(job, *arguments, **stop)


def flipped(image: Any, rng: Any, *settings: Any) -> Any:
    """The augmentation flips all images, not half of them."""
    coin = SimpleNamespace(uniform=rng.uniform, integers=rng.integers, random=lambda: 0.0)
    return augment.train_image(image, coin, *settings)  # type: ignore[arg-type]


def shifted(self: Any, batch: loader.Batch, slot: int, original: Callable[..., None] = loader.EvalLoader._fill) -> None:
    """The evaluation takes each class for the next one: the accuracy falls, and no loss tells."""
    original(self, batch, slot)
    batch.labels[slot] = (batch.labels[slot] + 1) % SMALL["class_num"]


FAULTS: dict[str, AbstractContextManager[object]] = {
    "none": nullcontext(),
    "slow_step": patch.object(Job, "inputs", slow),
    "every_image_flipped": patch.object(loader, "train_image", flipped),
    "other_labels": patch.object(loader.EvalLoader, "_fill", shifted),
}


def main(fault: str, runs: Path, data: Path) -> int:
    """Train once; returns the program's exit code."""
    narrow()
    graphs = data.parent / "graphs"  # no fault here is one of the graph
    with FAULTS[fault]:
        return train.main(small_options(data, runs, graph_cache=graphs, **KEYS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))

"""Train the narrow network for seconds, with a fault planted in the code or with none.

python -m tests.drills.regressions.planted none|slow_step|... RUNS DATA
"""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hlg import train
from hlg.data import loader
from hlg.training.job import Job
from tests.support.narrow import narrow
from tests.support.small_runs import SMALL, small_options

KEYS = {
    "eval_batch_size": 16,
    "max_epoch": 4,
    "eval_interval": 4,
    "lr_max": 0.003,
    "mixup": 0,
    "autoaugment": 0,
    "use_label_smooth": 0,
    "crop_min": 0.7,
    "train_num_workers": 1,
    "eval_num_workers": 1,
    "save_checkpoint": 0,
    "calibration_interval": 1,
}
SLOWER_S = 0.2  # the narrow step itself takes 0.04 on two cores, and on busy ones 0.15


def slow_step() -> AbstractContextManager[object]:
    """Every step takes several times as long."""
    inputs: Callable[..., Any] = Job.inputs

    def slow(job: Job, *arguments: Any, **stop: Any) -> Any:
        time.sleep(SLOWER_S)
        return inputs(job, *arguments, **stop)

    return patch.object(Job, "inputs", slow)


def every_image_flipped() -> AbstractContextManager[object]:
    """The augmentation flips all images, not half of them."""
    original = loader.train_image

    def flipped(image: Any, rng: Any, *settings: Any) -> Any:
        class Always:
            """The generator, but for the coin that decides about the flip."""

            def __getattr__(self, name: str) -> Any:
                return (lambda: 0.0 * rng.random()) if name == "random" else getattr(rng, name)

        return original(image, Always(), *settings)

    return patch.object(loader, "train_image", flipped)


def other_labels() -> AbstractContextManager[object]:
    """The evaluation takes each class for the next one: the accuracy falls, and no loss tells."""
    original = loader.EvalLoader._fill

    def relabeled(self: loader.EvalLoader, batch: loader.Batch, slot: int) -> None:
        original(self, batch, slot)
        batch.labels[slot] = (batch.labels[slot] + 1) % SMALL["class_num"]

    return patch.object(loader.EvalLoader, "_fill", relabeled)


def none() -> AbstractContextManager[object]:
    """Nothing is planted."""
    return nullcontext()


def main(fault: str, runs: Path, data: Path) -> int:
    """Train once; returns the program's exit code."""
    narrow()
    graphs = data.parent / "graphs"  # no fault here is one of the graph
    with FAULTS[fault]():
        return train.main(small_options(data, runs, graph_cache=graphs, **KEYS))


FAULTS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    fault.__name__: fault for fault in (none, slow_step, every_image_flipped, other_labels)
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))

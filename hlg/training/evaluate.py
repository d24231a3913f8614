"""Exact top-1 and top-5 over any number of images."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor

from hlg.data.loader import Batch
from hlg.errors import UserError
from hlg.runtime.collective import sum_over_ranks
from hlg.training.confusion import Confusion
from hlg.training.step import EvalStep


@dataclass(frozen=True)
class Evaluation:
    """Counts and times of one evaluation; padding and skipped files are not counted."""

    images: int
    correct_top1: int
    correct_top5: int
    steps: int
    total_time_s: float
    data_wait_s: float

    @property
    def accuracy(self) -> float:
        """Top-1 as a share of 1, as the published log prints it."""
        return self.correct_top1 / self.images

    @property
    def top1_pct(self) -> float:
        """Top-1 in percent."""
        return 100 * self.accuracy

    @property
    def top5_pct(self) -> float:
        """Top-5 in percent."""
        return 100 * self.correct_top5 / self.images

    def times(self) -> dict[str, float]:
        """The times for ``metrics.jsonl``: the mean step without its wait for data, the mean wait, and the total."""
        busy = self.total_time_s - self.data_wait_s
        return {
            "step_time_ms": 1000 * busy / self.steps,
            "data_wait_ms": 1000 * self.data_wait_s / self.steps,
            "total_time_s": self.total_time_s,
        }


def blank_batch(image_size: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """Make inputs of :class:`EvalStep` that hold no image, to compile it with."""
    images = np.zeros((batch_size, image_size, image_size, 3), np.uint8)
    return Tensor(images), Tensor(np.zeros(batch_size, np.int32))


def compile_eval_step(step: EvalStep, image_size: int, batch_size: int) -> float:
    """Compile and run the evaluation graph before it is timed; returns the seconds that took."""
    step.set_train(False)
    start = time.perf_counter()
    step(*blank_batch(image_size, batch_size))[0].asnumpy()
    return time.perf_counter() - start


def evaluate(
    step: EvalStep,
    batches: Iterable[Batch],
    each_step: Callable[[], object] = lambda: None,
    ranks: int = 1,
    confusion: Confusion | None = None,
) -> Evaluation:
    """Score every image of ``batches`` once; slots with label -1 hold no image and do not count.

    Each of several ranks takes its own batches; the counts are those of all ranks, the times this rank's, including
    its wait for the slowest one. ``each_step`` is called before each step and may end the evaluation by an exception.
    ``confusion`` takes in every image of all ranks.

    Raises:
        UserError: not one image could be read.
    """
    step.set_train(False)
    images = top1 = top5 = steps = 0
    waited = 0.0
    start = mark = time.perf_counter()
    for batch in batches:
        each_step()
        waited += time.perf_counter() - mark
        places, highest = (found.asnumpy() for found in step(Tensor(batch.images), Tensor(batch.labels)))
        real = batch.labels >= 0
        places = places[real]
        if confusion is not None:
            confusion.add(batch.labels[real], places, highest[real])
        images += len(places)
        top1 += int(np.count_nonzero(places == 0))
        top5 += int(np.count_nonzero(places < 5))
        steps += 1
        mark = time.perf_counter()
    images, top1, top5 = sum_over_ranks([images, top1, top5], ranks).tolist()
    if confusion is not None:
        confusion.counts = sum_over_ranks(confusion.counts, ranks)
    if not images:
        raise UserError("eval_path: not one of its images could be read, so there is no accuracy")
    return Evaluation(images, top1, top5, steps, time.perf_counter() - start, waited)

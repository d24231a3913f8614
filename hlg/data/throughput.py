"""How many images a second the cores of this machine turn into batches, beside what decoding alone allows."""

import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from hlg.data.decode import open_rgb
from hlg.data.index import ImageIndex, scan
from hlg.data.loader import BATCHES_AHEAD, EvalLoader, TrainLoader
from hlg.data.tiny import make

WARM_UP = BATCHES_AHEAD  # batches that are not timed: threads start, files come into memory
SIZED_FILES = 2000  # of a data set at most, evenly spread, whose sizes are looked at
DRAWN = make.Request(classes=4, train=64, val=1)


@dataclass(frozen=True)
class Rate:
    """What was done in a stretch of time."""

    images: int
    wall_s: float
    cpu_s: float  # of all threads of this process: other people's work on the cores is not in it

    @property
    def images_per_s(self) -> float:
        return self.images / self.wall_s

    @property
    def images_per_s_per_core(self) -> float:
        """Images a second of processor time: what a core does that it has for itself."""
        return self.images / self.cpu_s


def measure(
    index: ImageIndex, workers: int, seconds: float, image_size: int = 224, batch_size: int = 128
) -> dict[str, Rate]:
    """Work for about `seconds` each at training and evaluation batches and at decoding alone.

    Keys: ``train``, by the whole published recipe of augmentation; ``eval``; ``decode``. All three use `workers`
    threads and begin again at the end of the data set, which may be small: `batch_size` images or more.

    Raises UserError as the loaders do.
    """
    train = TrainLoader(
        index,
        image_size=image_size,
        batch_size=batch_size,
        crop_min=0.05,
        autoaugment=True,
        seed=0,
        workers=workers,
        total_steps=2**40,
    )
    evaluation = EvalLoader(index, image_size=image_size, batch_size=batch_size, workers=workers)
    return {
        "train": _rate((batch_size for _ in train), seconds),
        "eval": _rate((int((batch.labels >= 0).sum()) for _ in cycle([0]) for batch in evaluation), seconds),
        "decode": decoding(index, workers, seconds, batch_size),
    }


def decoding(index: ImageIndex, workers: int, seconds: float, batch_size: int = 64) -> Rate:
    """Decoding alone: what no pipeline of these files can go beyond."""
    return _rate(_decoded(index, workers, batch_size), seconds)


def drawn(folder: Path) -> ImageIndex:
    """256 drawn images of ImageNet's sizes in `folder`, for where no photographs are at hand."""
    make.make(folder, DRAWN)
    return scan(folder / "train", DRAWN.classes)


def read_or_drawn(folder: str, classes: int, closing: ExitStack) -> ImageIndex:
    """The images of `folder`, or, where it is empty, drawn ones that are there until `closing` closes.

    Raises UserError as `scan` does.
    """
    if folder:
        return scan(folder, classes)
    return drawn(Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="hlg-drawn-"))) / "images")


def described(index: ImageIndex, folder: str) -> dict[str, Any]:
    """What `read_or_drawn` has found in `folder`: whether drawn images, how many, their mean size in bytes."""
    some = index.files[:: -(-len(index.files) // SIZED_FILES)]
    return {
        "drawn": not folder,
        "images": len(index.files),
        "mean_file_bytes": statistics.fmean((index.root / file).stat().st_size for file in some),
    }


def _decoded(index: ImageIndex, workers: int, batch_size: int) -> Iterator[int]:
    """Decode file after file without end; a count each time that another `batch_size` of them are done."""
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[Future[np.ndarray]] = deque()
        for file in cycle(index.files):
            under_way.append(pool.submit(open_rgb, index.root / file))
            if len(under_way) == 2 * batch_size:
                for _ in range(batch_size):
                    under_way.popleft().result()
                yield batch_size


def _rate(counts: Iterable[int], seconds: float) -> Rate:
    counts = iter(counts)
    for _ in range(WARM_UP):
        next(counts)
    start, cpu, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        images += next(counts)
    return Rate(images, time.perf_counter() - start, time.process_time() - cpu)

"""Measure how many images a second this machine can decode, on its own images or on drawn ones."""

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
from hlg.data.loader import BATCHES_AHEAD
from hlg.data.tiny.make import TinyRequest, make_tiny

WARM_UP = BATCHES_AHEAD  # batches that are not timed: threads start, files come into memory
SIZED_FILES = 2000  # files at most, evenly spread, whose sizes are looked at
DRAWN = TinyRequest(classes=4, train=64, val=1)


@dataclass(frozen=True)
class Rate:
    """Work done in a stretch of time."""

    images: int
    wall_s: float
    cpu_s: float  # of all threads of this process, without what others do on the cores

    @property
    def images_per_s(self) -> float:
        return self.images / self.wall_s

    @property
    def images_per_s_per_core(self) -> float:
        """Images per second of processor time: what a core does when nothing else runs on it."""
        return self.images / self.cpu_s


def measure_decoding(index: ImageIndex, workers: int, seconds: float, batch_size: int = 64) -> Rate:
    """Measure decoding alone, the upper limit of any pipeline for these files."""
    return _rate(_decoded(index, workers, batch_size), seconds)


def draw_photographs(folder: Path) -> ImageIndex:
    """Draw 256 images of ImageNet's sizes into `folder`, for when no photographs are at hand."""
    make_tiny(folder, DRAWN)
    return scan(folder / "train", DRAWN.classes)


def find_or_draw_images(folder: str, classes: int, closing: ExitStack) -> ImageIndex:
    """Index the images of `folder` or, if it is empty, draw some that last until `closing` closes.

    Raises:
        UserError: as :func:`hlg.data.index.scan`.
    """
    if folder:
        return scan(folder, classes)
    return draw_photographs(Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="hlg-drawn-"))) / "images")


def image_facts(index: ImageIndex, folder: str) -> dict[str, Any]:
    """Describe what `find_or_draw_images` found in `folder`: drawn or not, how many, their mean size in bytes."""
    some = index.files[:: -(-len(index.files) // SIZED_FILES)]
    return {
        "drawn": not folder,
        "images": len(index.files),
        "mean_file_bytes": statistics.fmean((index.root / file).stat().st_size for file in some),
    }


def _decoded(index: ImageIndex, workers: int, batch_size: int) -> Iterator[int]:
    """Decode file after file without end; yields `batch_size` each time that so many more are done."""
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

"""How fast images come in, with drawn images; no time is judged.

    python -m pytest tests/benchmarks/test_input.py

Loaders use as many workers as there are cores, the two others one. Each benchmark's `extra_info` has images a second,
images a second of processor time (what a core does that it has for itself), and the latter as a share of what
decoding alone reaches in the same process.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hlg.data.augment import train_image
from hlg.data.decode import open_rgb
from hlg.data.index import ImageIndex
from hlg.data.loader import EvalLoader, TrainLoader
from hlg.data.throughput import draw_photographs

WORKERS = len(os.sched_getaffinity(0))
ROUNDS = 5


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ImageIndex:
    return draw_photographs(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def decoded_per_core(index: ImageIndex) -> float:
    """Images a second of processor time that `open_rgb` decodes, the median of five rounds."""
    rates = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        for file in index.files:
            open_rgb(index.root / file)
        rates.append(len(index.files) / (time.thread_time() - start))
    return float(np.median(rates))


def timed(benchmark: BenchmarkFixture, work: Callable[[], object], images: int, decoded_per_core: float) -> None:
    """Run `work`, which handles `images` images, ROUNDS times, and note its rates."""
    work()
    cpu = []

    def with_processor_time() -> None:
        start = time.process_time()
        work()
        cpu.append(time.process_time() - start)

    benchmark.pedantic(with_processor_time, rounds=ROUNDS)
    per_core = images / float(np.median(cpu))
    benchmark.extra_info.update(
        images_per_s=images / benchmark.stats.stats.median,
        images_per_s_per_core=per_core,
        ratio_to_decode=per_core / decoded_per_core,
    )


def test_decoding_alone(benchmark: BenchmarkFixture, index: ImageIndex, decoded_per_core: float) -> None:
    files = [index.root / file for file in index.files]
    timed(benchmark, lambda: [open_rgb(file) for file in files], len(files), decoded_per_core)


def test_one_decoded_image_through_the_whole_augmentation(
    benchmark: BenchmarkFixture, index: ImageIndex, decoded_per_core: float
) -> None:
    pixels = open_rgb(index.root / index.files[0])
    rng = np.random.Generator(np.random.Philox(0))

    def augment() -> None:
        for _ in range(200):
            train_image(pixels, rng, 224, 0.05, autoaugment=True)

    timed(benchmark, augment, 200, decoded_per_core)


def test_an_epoch_of_training_batches(benchmark: BenchmarkFixture, index: ImageIndex, decoded_per_core: float) -> None:
    steps = len(index.files) // 32
    settings = {"image_size": 224, "batch_size": 32, "crop_min": 0.05, "autoaugment": True, "seed": 1}
    loader = TrainLoader(index, **settings, workers=WORKERS, total_steps=steps)
    timed(benchmark, lambda: list(loader), 32 * steps, decoded_per_core)


def test_an_epoch_of_evaluation_batches(
    benchmark: BenchmarkFixture, index: ImageIndex, decoded_per_core: float
) -> None:
    loader = EvalLoader(index, image_size=224, batch_size=32, workers=WORKERS)
    timed(benchmark, lambda: list(loader), len(index.files), decoded_per_core)


def test_memory_while_six_thousand_images_go_by(benchmark: BenchmarkFixture, index: ImageIndex) -> None:
    """Resident memory after a sixth of the images, and at most one batch more at the end."""
    settings = {"image_size": 224, "batch_size": 64, "crop_min": 0.05, "autoaugment": True, "seed": 1}
    resident: list[int] = []

    def epoch() -> None:
        for _ in TrainLoader(index, **settings, workers=WORKERS, total_steps=6000 // 64):
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    benchmark.pedantic(epoch, rounds=1)
    warm, late = max(resident[: len(resident) // 6]), max(resident[-10:])
    benchmark.extra_info |= {"resident_mb": late / 1e6, "grown_mb": (late - warm) / 1e6}
    assert late - warm < 64 * 224 * 224 * 3

"""How long the augmentation of a decoded image takes, and whether memory grows while images go by; no time is judged.

    python -m pytest tests/benchmarks/test_input.py

Whole batches are measured in test_model.py, beside decoding alone.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hlg.data.augment import train_image
from hlg.data.decode import open_rgb
from hlg.data.index import ImageIndex
from hlg.data.loader import TrainLoader
from hlg.data.throughput import draw_photographs

WORKERS = len(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ImageIndex:
    return draw_photographs(tmp_path_factory.mktemp("drawn"))


def test_a_decoded_image_through_the_whole_augmentation(benchmark: BenchmarkFixture, index: ImageIndex) -> None:
    pixels = open_rgb(index.root / index.files[0])
    rng = np.random.Generator(np.random.Philox(0))
    benchmark.pedantic(train_image, (pixels, rng, 224, 0.05), {"autoaugment": True}, rounds=1000, warmup_rounds=200)
    benchmark.extra_info["images_per_s"] = 1 / benchmark.stats.stats.median


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

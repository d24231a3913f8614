"""The training input with more workers than this machine has cores, as a larger machine would run it.

    python -m tests.benchmarks.waiting_input FOLDER --workers 1 2 4 8 16 32

Decoding, resizing and AutoAugment release the interpreter lock, but for Pillow's color and sharpness. Here an image
waits as long as they took it before, and computes nothing, so that what is left is what workers share: the lock, and
the files. Prints images a second by number of workers, the most that can be, as JSON.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

from hlg.config import Config
from hlg.data import augment, decode, loader
from hlg.data.index import ImageIndex, scan
from hlg.data.streams import image_generator
from hlg.record.environment import environment_facts
from hlg.training.build import build_train_loader

SAMPLE = 256  # images whose times are measured
BATCH, SECONDS = 8, 4.0


def work_s(index: ImageIndex) -> float:
    """Seconds that decoding, resizing and AutoAugment of one image take one thread, on average."""
    size = Config().train_image_size
    files = index.files[:: max(1, len(index.files) // SAMPLE)]
    contents = [(index.root / file).read_bytes() for file in files]
    draws = [image_generator(1, 0, number) for number in range(len(files))]
    start = time.perf_counter()
    for content, rng in zip(contents, draws, strict=True):
        augment.auto_augment(augment.resize_bilinear(decode.open_rgb(content), size, size), rng)
    return (time.perf_counter() - start) / len(files)


def rate(index: ImageIndex, workers: int, wait_s: float) -> float:
    """Images a second of the loader itself, where each image waits so long and is not decoded."""
    c = Config(batch_size=BATCH, train_num_workers=workers, autoaugment=1)
    size = c.train_image_size
    whole, small = np.zeros((375, 500, 3), np.uint8), np.zeros((size, size, 3), np.uint8)

    def opened(path: Path) -> np.ndarray:
        decode.read_plain(path, decode.LARGEST)
        time.sleep(wait_s)
        return whole

    with (
        patch.object(loader, "open_rgb", opened),
        patch.object(augment, "resize_bilinear", lambda *_: small),
        patch.object(augment, "auto_augment", lambda *_: small),
    ):
        stream = build_train_loader(c, index, total_steps=sys.maxsize).stream()
        list(itertools.islice(stream, 2 * loader.BATCHES_AHEAD))
        start, batches = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            next(stream)
            batches += 1
        seconds = time.perf_counter() - start
        stream.close()
    return batches * BATCH / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="class folders of images")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    given = parser.parse_args()
    index = scan(str(given.folder), len(list(given.folder.iterdir())))
    wait_s = work_s(index)
    rates = {workers: rate(index, workers, wait_s) for workers in given.workers}
    environment = environment_facts({"target": "CPU"})
    print(json.dumps({"waited_s": wait_s, "images_per_s": rates, "environment": environment}, indent=1))


if __name__ == "__main__":
    main()

"""The published training pipeline on today's MindSpore, as a peer to measure against.

    python -m tests.benchmarks.published_input FOLDER --workers 2 --images 4096
    python -m tests.benchmarks.published_input        # of how many batches one ends in an error of MixUpBatch

C++ operators decode, crop, resize, flip and normalise; AutoAugment is Pillow's, in worker processes; one-hot labels,
batches of 128, mixup 0.2: what `research/cv/hlg/src/dataset.py` builds with `autoaugment=1`. Only what no longer
exists is replaced: `c_transforms` and `py_transforms` have become one module, and an image passes between C++ and
Python as it did. Rotation goes through RGBA, as published. Prints one line of JSON.
"""

import argparse
import json
import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

import hlg  # noqa: F401 - before mindspore
from hlg.data.augment import OPERATIONS, POLICY

BATCH, CLASSES, ALPHA = 128, 1001, 0.2


def shear_x(image: Image.Image, slope: float) -> Image.Image:
    matrix = (1, slope, 0, 0, 1, 0)
    grey = (128, 128, 128)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=grey)


def rotate(image: Image.Image, degrees: float) -> Image.Image:
    turned = image.convert("RGBA").rotate(degrees)
    return Image.composite(turned, Image.new("RGBA", turned.size, (128,) * 4), turned).convert(image.mode)


PUBLISHED: dict[str, Callable[[Image.Image, float], Image.Image]] = {  # Pillow's, where ours are arrays'
    "shear_x": shear_x,
    "rotate": rotate,
    "color": lambda image, offset: ImageEnhance.Color(image).enhance(1 + offset),
    "contrast": lambda image, offset: ImageEnhance.Contrast(image).enhance(1 + offset),
    "sharpness": lambda image, offset: ImageEnhance.Sharpness(image).enhance(1 + offset),
    "posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    "solarize": lambda image, threshold: ImageOps.solarize(image, math.ceil(threshold)),
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
}


class Policy:
    """A row of the policy, drawn from the worker's global generator; a class, for processes must pickle it."""

    def __call__(self, image: Image.Image) -> Image.Image:
        for probability, name, index in random.choice(POLICY):
            if random.random() < probability:
                magnitude = OPERATIONS[name].magnitudes[index]
                if OPERATIONS[name].signed:
                    magnitude *= random.choice((-1, 1))
                image = PUBLISHED[name](image, magnitude)
        return image


def pipeline(folder: Path, workers: int, epochs: int):  # type: ignore[no-untyped-def]
    """The data set object: images (128, 3, 224, 224) float32, labels (128, 1001) float32."""
    import mindspore as ms
    import mindspore.dataset as ds
    from mindspore.dataset import transforms, vision

    operations: list[Callable] = [
        vision.RandomCropDecodeResize(224, (0.05, 1.0), (0.75, 1.333), vision.Inter.BILINEAR),
        vision.RandomHorizontalFlip(0.5),
        vision.ToPIL(),
        Policy(),
        np.asarray,
        vision.Normalize([0.485 * 255, 0.456 * 255, 0.406 * 255], [0.229 * 255, 0.224 * 255, 0.225 * 255]),
        vision.HWC2CHW(),
    ]
    data = ds.ImageFolderDataset(str(folder), num_parallel_workers=workers, shuffle=True).repeat(epochs)
    data = data.map(operations, "image", num_parallel_workers=workers, python_multiprocessing=True)
    data = data.map(transforms.TypeCast(ms.int32), "label", num_parallel_workers=workers)
    data = data.map(transforms.OneHot(CLASSES), "label")
    data = data.batch(BATCH, drop_remainder=True)
    return data.map(vision.MixUpBatch(ALPHA), ["image", "label"], num_parallel_workers=workers)


def done_before_an_error(seed: int) -> tuple[int, bool]:
    """Batches of at most 2,000, and whether an error ended them.

    The operator refuses where the two gamma draws behind a Beta(alpha, alpha) sum up to almost nothing.
    """
    import mindspore.dataset as ds
    from mindspore.dataset import vision

    ds.config.set_seed(seed)
    two = (np.zeros((2, 3, 2, 2), np.float32), np.eye(2, dtype=np.float32))  # images (B, C, H, W), labels (B, classes)
    data = ds.NumpySlicesDataset(two, ["image", "label"], shuffle=False).repeat(2000).batch(2)
    data = data.map(vision.MixUpBatch(ALPHA), ["image", "label"], num_parallel_workers=1)
    done = 0
    try:
        for _ in data.create_tuple_iterator(num_epochs=1, output_numpy=True):
            done += 1
    except RuntimeError as error:
        if "of Gamma should not be 0" not in str(error):
            raise
        return done, True
    return done, False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--images", type=int, default=4096)
    args = parser.parse_args()
    if not args.folder:
        found = [done_before_an_error(seed) for seed in range(40)]
        print(f"{sum(ended for _, ended in found)} of {sum(done for done, _ in found):,} batches ended a run")
        return

    epochs = 1 + (args.images + 2 * BATCH) // max(1, sum(1 for _ in args.folder.glob("*/*")))
    data = pipeline(args.folder, args.workers, epochs)
    batches = data.create_tuple_iterator(num_epochs=1, output_numpy=True)
    for _ in range(2):  # processes start, files come into memory
        next(batches)
    steps = args.images // BATCH
    start = time.perf_counter()
    for _ in range(steps):
        next(batches)
    print(json.dumps({"images": steps * BATCH, "seconds": time.perf_counter() - start}), flush=True)
    os._exit(0)  # its worker processes take seconds to end


if __name__ == "__main__":
    main()

"""Drawn images: odd and large as ImageNet's, and of classes that only form tells apart."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hlg.data.index import scan
from hlg.data.tiny.make import TinyRequest, make_tiny

SPLITS = {"train": 8, "val": 5}  # images per class


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "ten"
    make_tiny(out, TinyRequest(classes=10, **SPLITS), workers=os.cpu_count() or 1)
    return out


def test_a_drawn_data_set_is_shaped_like_imagenet(drawn: Path) -> None:
    for split, count in SPLITS.items():
        index = scan(drawn / split, class_num=10)
        assert index.classes == tuple(f"n9000000{k}" for k in range(10))
        assert np.bincount(index.labels).tolist() == [count] * 10
        assert all(file.endswith(".JPEG") for file in index.files)
        assert index.warnings == ()
    digests = json.loads((drawn / "manifest.json").read_text())["files"].values()
    assert len(set(digests)) == len(digests) == 130  # no two images are alike


def test_sizes_and_formats_are_those_of_imagenet(drawn: Path) -> None:
    images = [Image.open(path) for path in drawn.rglob("*.JPEG")]
    assert np.median([image.size for image in images], axis=0).tolist() == [500, 375]
    assert len({image.size for image in images}) >= 5
    kinds = Counter((image.format, image.mode) for image in images)  # one of each odd kind in each split
    assert kinds == {("JPEG", "RGB"): 126, ("JPEG", "CMYK"): 2, ("PNG", "RGB"): 2}


def thumbnails(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(N, 192) mean colors of 8 x 8 tiles, and (N,) labels."""
    index = scan(root / split, class_num=10)
    images = (Image.open(root / split / file).convert("RGB") for file in index.files)
    tiles = [np.asarray(image.resize((8, 8), Image.Resampling.BOX), float).ravel() for image in images]
    return np.array(tiles) / 255, index.labels


def neighbor_accuracy(x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray) -> float:
    distances = ((x_val[:, None] - x[None]) ** 2).sum(axis=-1)
    return float((y[distances.argmin(axis=1)] == y_val).mean())


def test_color_does_not_tell_the_class_and_a_probe_would_see_it(drawn: Path) -> None:
    """Chance is 0.1, and training must reach 0.8."""
    (x, y), (x_val, y_val) = (thumbnails(drawn, split) for split in SPLITS)
    assert neighbor_accuracy(x, y, x_val, y_val) < 0.5
    for tiles, labels in ((x, y), (x_val, y_val)):
        hue = 2 * np.pi * labels[:, None] / 10
        tiles[:, 0::3] += np.cos(hue)
        tiles[:, 1::3] += np.sin(hue)
    assert neighbor_accuracy(x, y, x_val, y_val) > 0.5

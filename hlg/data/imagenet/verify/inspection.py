"""Read, hash and decode every image of a data set, and tell faults from oddities that ImageNet is known for."""

import hashlib
import io
import os
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import PIL
from PIL import Image
from tqdm import tqdm

from hlg.data.classes import IMAGENET_ORDER, label_order
from hlg.data.decode import FORMATS, LARGEST, UnreadableImageError, open_rgb
from hlg.data.hashes import dataset_hash, split_content_hash
from hlg.data.index import SPLITS, ImageIndex, scan
from hlg.errors import UserError
from hlg.files import read_plain

# ImageNet-2012: images of each split, classes, validation images of a class.
IMAGENET_IMAGES = {"train": 1_281_167, "val": 50_000}
IMAGENET_CLASSES, IMAGENET_VAL_PER_CLASS = 1000, 50
ORIENTATION = 274  # EXIF's tag; 1 is upright
AHEAD = 1000  # images under way at once


@dataclass(frozen=True)
class InspectedImage:
    """The findings for one file."""

    digest: bytes  # SHA-256
    unreadable: str = ""  # why, or nothing
    oddities: tuple[str, ...] = ()


def inspect_image(path: str) -> InspectedImage:
    """Read, hash and decode one image."""
    try:
        data = read_plain(path, LARGEST)
        open_rgb(data)
    except OSError as error:
        return InspectedImage(b"", error.strerror or str(error))
    except UnreadableImageError as error:
        return InspectedImage(hashlib.sha256(data).digest(), str(error))
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return InspectedImage(hashlib.sha256(data).digest(), "", tuple(_oddities(image, path)))


def _oddities(image: Image.Image, path: str) -> Iterator[str]:
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
    named = "PNG" if suffix == ".png" else "JPEG"
    if image.format not in (named, "MPO"):  # MPO: a JPEG with more pictures behind the first
        yield f"{image.format} named {suffix}"
    if image.mode == "CMYK":
        yield "CMYK"
    elif image.mode in ("L", "1", "LA"):
        yield "gray"
    elif image.mode != "RGB":
        yield f"mode {image.mode}"
    try:
        turned = image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF may be broken in any way, and says nothing about the pixels
        turned = 1
    if turned != 1:
        yield "turned by EXIF, which is ignored"


def inspect_splits(root: Path, workers: int) -> dict[str, Any]:
    """Inspect the splits in ``root``; returns the report: counts, faults, oddities, duplicates.

    Raises:
        UserError: there is no split, or one has no class folders.
    """
    found = [split for split in SPLITS if (root / split).is_dir() or (root / split).is_symlink()]
    if not found:
        raise UserError(f"{root}: holds neither train/ nor val/; give the folder that holds them")
    places: defaultdict[bytes, list[str]] = defaultdict(list)
    splits = {}
    for split in found:
        index = scan(root / split, sys.maxsize)
        splits[split] = _inspect_split(index, split, workers, places)
    same = [sorted(files) for files in places.values() if len(files) > 1]
    duplicates = {
        "across": sorted(files for files in same if len({file.split("/")[0] for file in files}) > 1),
        "across_classes": sorted(files for files in same if len({file.split("/")[1] for file in files}) > 1),
        "all": sorted(same),
    }
    whole = {split: _is_imagenet(split, facts) for split, facts in splits.items()}
    return {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "pillow": PIL.__version__,
        "whole": [split for split in found if whole[split]],
        "faults": list(_faults(splits, duplicates, all(whole.values()))),
        "splits": splits,
        "duplicates": duplicates,
    }


def _inspect_split(
    index: ImageIndex, split: str, workers: int, places: defaultdict[bytes, list[str]]
) -> dict[str, Any]:
    per_class = dict.fromkeys(index.classes, 0)
    unreadable: dict[str, str] = {}
    oddities: defaultdict[str, list[str]] = defaultdict(list)
    digests = []
    paths = (f"{index.root}/{file}" for file in index.files)
    progress = tqdm(index.files, unit=" images", desc=split, disable=None)
    for file, seen in zip(progress, _in_order(paths, workers), strict=True):
        per_class[file.split("/")[0]] += 1
        digests.append(seen.digest.hex())
        if seen.unreadable:
            unreadable[file] = seen.unreadable
        if seen.digest:
            places[seen.digest].append(f"{split}/{file}")
        for oddity in seen.oddities:
            oddities[oddity].append(file)
    return {
        "images": len(index.files),
        "classes": len(index.classes),
        "hash": dataset_hash(index),
        "content": f"content:sha256:{split_content_hash(index, digests)}" if all(digests) else None,
        "label_order": label_order(index.classes),
        "per_class": per_class,
        "unreadable": unreadable,
        "oddities": dict(sorted(oddities.items())),
        "ignored": list(index.warnings),
    }


def _in_order(paths: Iterable[str], workers: int) -> Iterator[InspectedImage]:
    """Inspect images in threads (Pillow and hashlib release the interpreter lock), with at most AHEAD under way."""
    paths = iter(paths)
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(inspect_image, path) for path in islice(paths, AHEAD))
        try:
            for path in paths:
                yield waiting.popleft().result()
                waiting.append(pool.submit(inspect_image, path))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _is_imagenet(split: str, facts: dict[str, Any]) -> bool:
    """Whether a split has ImageNet-2012's number of images, order of classes and, in val, images per class."""
    even = split == "train" or set(facts["per_class"].values()) == {IMAGENET_VAL_PER_CLASS}
    return facts["images"] == IMAGENET_IMAGES[split] and facts["label_order"] == IMAGENET_ORDER and even


def _faults(splits: dict[str, Any], duplicates: dict[str, Any], whole: bool) -> Iterator[str]:
    for split, facts in splits.items():
        if facts["unreadable"]:
            file, why = next(iter(facts["unreadable"].items()))
            yield f"{split}: {len(facts['unreadable']):,} images can't be read, such as {file} ({why})"
        whole_split = IMAGENET_IMAGES[split]
        if facts["classes"] == IMAGENET_CLASSES and facts["images"] != whole_split:
            yield f"{split}: {facts['images']:,} images of {IMAGENET_CLASSES:,} classes; ImageNet has {whole_split:,}"
    val = splits.get("val")
    if val and val["classes"] == IMAGENET_CLASSES:
        uneven = {name: count for name, count in val["per_class"].items() if count != IMAGENET_VAL_PER_CLASS}
        if uneven:
            name, count = next(iter(uneven.items()))
            yield f"val: {len(uneven):,} classes have not {IMAGENET_VAL_PER_CLASS} images, such as {name} with {count}"
    if len({facts["label_order"] for facts in splits.values()}) > 1:
        differ = sorted(splits["train"]["per_class"].keys() ^ splits["val"]["per_class"].keys())
        yield f"train and val have not the same classes, so their labels differ: {', '.join(differ[:5])}"
    if duplicates["across"] and not whole:  # ImageNet itself has such images as published
        files = duplicates["across"][0]
        yield f"{len(duplicates['across']):,} images are in train and in val, such as {' = '.join(files)}"

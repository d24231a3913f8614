"""Looks at every image of an ImageNet folder, whole or a subset, and keeps what it found beside train/ and val/.

    python -m hlg.data.imagenet.verify --imagenet /data/imagenet

Every file is read, hashed and decoded as training decodes it. What a data set must not have is a fault, and the exit
code is 1 then; oddities that ImageNet is known for are listed. A run on these data records the report's hash.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import PIL
from PIL import Image
from tqdm import tqdm

from hlg.data.decode import FORMATS, UnreadableImageError, open_rgb
from hlg.data.imagenet.unpack import folder
from hlg.data.index import REPORT, ImageIndex, dataset_hash, label_order, scan
from hlg.errors import UserError
from hlg.files import write_atomic

SPLITS = ("train", "val")
# ImageNet-2012: images of each split, and the hash of its 1000 class folders in order.
WHOLE = {"train": 1_281_167, "val": 50_000}
WHOLE_CLASSES, WHOLE_VAL = 1000, 50
WHOLE_ORDER = "sha256:70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"
ORIENTATION = 274  # EXIF's tag; 1 is upright
SHOWN = 20  # of each kind of finding, in the page; the JSON has them all
AHEAD = 1000  # images under way at once


@dataclass(frozen=True)
class Seen:
    """What one file is: SHA-256 of its bytes, why it can't be read (or nothing), and what is odd about it."""

    digest: bytes
    unreadable: str = ""
    oddities: tuple[str, ...] = ()


def look(path: str) -> Seen:
    """Read, hash and decode one image."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a Path each is slow for 1.28 million
            data = file.read()
        open_rgb(data)
    except OSError as error:
        return Seen(b"", error.strerror or str(error))
    except UnreadableImageError as error:
        return Seen(hashlib.sha256(data).digest(), str(error))
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return Seen(hashlib.sha256(data).digest(), "", tuple(_oddities(image, path)))


def _oddities(image: Image.Image, path: str) -> Iterator[str]:
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
    named = "PNG" if suffix == ".png" else "JPEG"
    if image.format not in (named, "MPO"):  # MPO: a JPEG with more pictures behind the first
        yield f"{image.format} named {suffix}"
    if image.mode == "CMYK":
        yield "CMYK"
    elif image.mode in ("L", "1", "LA"):
        yield "grey"
    elif image.mode != "RGB":
        yield f"mode {image.mode}"
    try:
        turned = image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF is broken in every way that there is, and says nothing about the pixels
        turned = 1
    if turned != 1:
        yield "turned by EXIF, which is ignored"


# ------------------------------------------------------------------------------------------- a data set


def inspect(root: Path, workers: int) -> dict[str, Any]:
    """The report on the splits in ``root``: counts, faults, findings.

    Raises:
        UserError: there is no split, or one is no folder of class folders.
    """
    found = [split for split in SPLITS if (root / split).is_dir()]
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
    whole = {split: _is_whole(split, facts) for split, facts in splits.items()}
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
    paths = (f"{index.root}/{file}" for file in index.files)
    progress = tqdm(index.files, unit=" images", desc=split, disable=None)
    for file, seen in zip(progress, _in_order(paths, workers), strict=True):
        per_class[file.split("/")[0]] += 1
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
        "label_order": label_order(index.classes),
        "per_class": per_class,
        "unreadable": unreadable,
        "oddities": dict(sorted(oddities.items())),
        "ignored": list(index.warnings),
    }


def _in_order(paths: Iterable[str], workers: int) -> Iterator[Seen]:
    """Look at all in threads, since Pillow and hashlib release the interpreter lock, and no more ahead than AHEAD."""
    paths = iter(paths)
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(look, path) for path in islice(paths, AHEAD))
        try:
            for path in paths:
                yield waiting.popleft().result()
                waiting.append(pool.submit(look, path))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _is_whole(split: str, facts: dict[str, Any]) -> bool:
    """Whether it is ImageNet-2012's by number, order and, in val, number of each class."""
    even = split == "train" or set(facts["per_class"].values()) == {WHOLE_VAL}
    return facts["images"] == WHOLE[split] and facts["label_order"] == WHOLE_ORDER and even


def _faults(splits: dict[str, Any], duplicates: dict[str, Any], whole: bool) -> Iterator[str]:
    for split, facts in splits.items():
        if facts["unreadable"]:
            file, why = next(iter(facts["unreadable"].items()))
            yield f"{split}: {len(facts['unreadable']):,} images can't be read, such as {file} ({why})"
        if facts["classes"] == WHOLE_CLASSES and facts["images"] != WHOLE[split]:
            yield f"{split}: {facts['images']:,} images of {WHOLE_CLASSES:,} classes; ImageNet has {WHOLE[split]:,}"
    val = splits.get("val")
    if val and val["classes"] == WHOLE_CLASSES:
        uneven = {name: count for name, count in val["per_class"].items() if count != WHOLE_VAL}
        if uneven:
            name, count = next(iter(uneven.items()))
            yield f"val: {len(uneven):,} classes have not {WHOLE_VAL} images, such as {name} with {count}"
    if len({facts["label_order"] for facts in splits.values()}) > 1:
        differ = sorted(splits["train"]["per_class"].keys() ^ splits["val"]["per_class"].keys())
        yield f"train and val have not the same classes, so their labels differ: {', '.join(differ[:5])}"
    if duplicates["across"] and not whole:  # as it is published, ImageNet is what it is
        files = duplicates["across"][0]
        yield f"{len(duplicates['across']):,} images are in train and in val, such as {' = '.join(files)}"


# ------------------------------------------------------------------------------------------- the report


def page(report: dict[str, Any]) -> str:
    """The report as Markdown that reads well in a terminal."""
    lines = ["# The data set, image by image", ""]
    lines += [f"- FAULT: {fault}" for fault in report["faults"]] or ["No fault."]
    for split, facts in report["splits"].items():
        counts = list(facts["per_class"].values())
        known = facts["label_order"] == WHOLE_ORDER
        lines += [
            "",
            f"## {split}{', ImageNet-2012 as a whole' if split in report['whole'] else ''}",
            "",
            f"- {facts['images']:,} images of {facts['classes']:,} classes, {min(counts):,} to {max(counts):,} a class",
            f"- hash {facts['hash']}",
            f"- label order {facts['label_order']}{', that of ImageNet-2012' if known else ''}",
            f"- unreadable: {len(facts['unreadable']):,}",
            *_some([f"{file} ({why})" for file, why in facts["unreadable"].items()]),
        ]
        for oddity, files in facts["oddities"].items():
            lines += [f"- {oddity}: {len(files):,}", *_some(files)]
        lines += [f"- ignored: {warning}" for warning in facts["ignored"]]
    lines += ["", "## The same bytes more than once", ""]
    titles = {"across": "in train and in val", "across_classes": "in several classes", "all": "all"}
    for kind, title in titles.items():
        groups = report["duplicates"][kind]
        lines += [f"- {title}: {len(groups):,}", *_some([" = ".join(files) for files in groups])]
    # A file's name can have any character in it but the zero.
    return "".join(f"{''.join(c if c.isprintable() else ascii(c)[1:-1] for c in line)}\n" for line in lines)


def _some(texts: Sequence[str]) -> list[str]:
    more = [f"  - and {len(texts) - SHOWN:,} more"] if len(texts) > SHOWN else []
    return [f"  - {text}" for text in texts[:SHOWN]] + more


def keep(report: dict[str, Any], place: Path) -> str:
    """Write the report as JSON and as a page into ``place``; returns the hash that runs record."""
    content = json.dumps(report, indent=1).encode() + b"\n"
    for name, text in (
        (REPORT, content),
        (Path(REPORT).with_suffix(".md").name, page(report).encode()),
    ):
        write_atomic(place / name, text)
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code: 0 without, 1 with faults, 2 for a mistake in what was asked."""
    parser = argparse.ArgumentParser(
        prog="python -m hlg.data.imagenet.verify", description="Looks at every image of a data set."
    )
    parser.add_argument("--imagenet", type=folder, required=True, help="holds train/ and val/, or one of them")
    parser.add_argument("--report", default="", help="folder for the report (default: beside the splits)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads")
    options = parser.parse_args(argv)
    place = Path(options.report or options.imagenet)
    try:
        if options.workers < 1:
            raise UserError(f"--workers: found {options.workers}; allowed: 1 or more")
        if not os.access(place, os.W_OK):  # before hours of work
            raise UserError(f"{place}: can't be written, so say where the report is to go: REPORT=folder (--report)")
        report = inspect(options.imagenet, options.workers)
        digest = keep(report, place)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error.filename or place}: {error.strerror or error}", file=sys.stderr)
        return UserError.exit_code
    except KeyboardInterrupt:
        print("stopped by Ctrl-C: there is no report", file=sys.stderr)
        return 130
    print(page(report), end="")
    print(f"\n{place / REPORT}: {digest}")
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())

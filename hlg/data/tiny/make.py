"""Make a small, deterministic, ImageNet-shaped data set: draw it, or carve it out of a real ImageNet.

Its folder gets train/, val/ and a manifest. It appears in one piece or not at all, and is left alone when it already
is what was asked for.
"""

import hashlib
import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import PIL

from hlg.data.index import MANIFEST, SPLITS, scan
from hlg.data.streams import counter_based
from hlg.data.tiny import drawing
from hlg.data.tiny.manifest import Manifest, Written, build_manifest, file_sizes, is_as_made, read_manifest
from hlg.errors import UserError
from hlg.files import sha256_of
from hlg.signals import deaf_children

WNID = "n9000000{}"  # beyond ImageNet's ids: a drawn class must not pass for one of its classes


LARGEST, MOST_WORKERS = 2**32 - 1, 1024  # of the numbers that are asked for


@dataclass(frozen=True)
class TinyRequest:
    """Contents of a data set to make; equal requests give equal bytes."""

    classes: int = 10
    train: int = 128  # images per class
    val: int = 32
    seed: int = 1
    imagenet: str | None = None  # the folder to carve from; None: drawn

    def __post_init__(self) -> None:
        for key, least in (("classes", 1), ("train", 1), ("val", 1), ("seed", 0)):
            if not least <= getattr(self, key) <= LARGEST:
                raise UserError(f"{key}={str(getattr(self, key))[:40]}: must be {least} or more, up to {LARGEST}")
        if self.imagenet is None and self.classes > len(drawing.CLASSES):
            raise UserError(f"classes={self.classes}: only {len(drawing.CLASSES)} kinds of image can be drawn")


def make_tiny(out: Path, request: TinyRequest, workers: int = 1) -> tuple[Manifest, bool]:
    """Make the data set in the folder `out`; returns its manifest and whether anything had to be written.

    Raises:
        UserError: `out` holds what this tool did not make, or the request cannot be met; `out` is untouched.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise UserError(f"workers={str(workers)[:40]}: must be 1 to {MOST_WORKERS}")
    out = out.resolve()
    wanted = _identity(request)
    old = read_manifest(out)
    if old and old.items() >= wanted.items() and is_as_made(out, old):
        return old, False
    _require_own(out, old)
    if request.imagenet:
        names, paths = _choose(out, Path(request.imagenet), request)
    else:
        names = {WNID.format(label): drawing.CLASSES[label][0] for label in range(request.classes)}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # In the same parent, so that the finished folder moves in by renaming.
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            building = Path(scratch) / "new"
            if request.imagenet:
                written = [_write(building, p, Path(request.imagenet, p).read_bytes()) for p in paths]
            else:
                written = _draw(building, request, workers)
            manifest = build_manifest(wanted, names, written)
            (building / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            if out.exists():
                out.rename(Path(scratch) / "old")
            building.rename(out)
    except OSError as error:
        raise UserError(f"{error.filename or out}: {error.strerror}: {out} was not made") from None
    return manifest, True


def _identity(request: TinyRequest) -> Manifest:
    """The part of a manifest that says how the bytes came about; a folder with another one is made again."""
    if request.imagenet:
        return {"kind": "carved", "request": asdict(request)}
    code = sha256_of(Path(drawing.__file__))
    versions = {"pillow": PIL.__version__, "numpy": np.__version__, "drawing": code}
    return {"kind": "drawn", "request": asdict(request), **versions}


def _require_own(out: Path, manifest: Manifest | None) -> None:
    """Refuse to replace a folder unless everything in it came from this tool."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out}: is a file; give a folder")
    foreign = sorted(file_sizes(out).keys() - (manifest["bytes"].keys() if manifest else ()))
    if manifest is None and any(out.iterdir()):
        raise UserError(f"{out}: holds files, but no {MANIFEST} of this tool; give a new or empty folder")
    if foreign:
        raise UserError(f"{out}: must be made anew but holds {foreign[0]}, which this tool did not make: move it away")


def _draw(building: Path, request: TinyRequest, workers: int) -> list[Written]:
    jobs = [(building, request, split, label) for split in SPLITS for label in range(request.classes)]
    if workers == 1:
        return [image for job in jobs for image in _draw_class(*job)]
    # Spawned, since a fork copies whatever threads the caller has.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        try:
            with deaf_children():
                drawn = pool.map(_draw_class, *zip(*jobs, strict=True))
            return [image for done in drawn for image in done]
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C


def _draw_class(building: Path, request: TinyRequest, split: str, label: int) -> list[Written]:
    """Draw one class of one split; each image depends only on the seed and its own place."""
    count = request.train if split == "train" else request.val
    written = []
    for i in range(count):
        rng = counter_based(request.seed, SPLITS.index(split), label, i)
        # ImageNet has both of these, and a reader must cope with them.
        first, last = (label, i) == (0, 0), (label, i) == (request.classes - 1, count - 1)
        form = "CMYK" if first else "PNG" if last else "JPEG"
        content = drawing.encode_image(drawing.draw_image(label, rng), rng, form)
        wnid = WNID.format(label)
        name = f"{wnid}_{i}.JPEG" if split == "train" else f"val_{label * count + i + 1:08d}.JPEG"
        written.append(_write(building, f"{split}/{wnid}/{name}", content))
    return written


def _choose(out: Path, source: Path, request: TinyRequest) -> tuple[dict[str, str], list[str]]:
    """Choose classes, and images of them, by the seed: class names, and paths below the source."""
    if out.is_relative_to(source) or source.is_relative_to(out):
        raise UserError(f"{out}: must lie outside {source}, which is only read")
    images = {split: _by_class(source / split) for split in SPLITS}
    common = sorted(images["train"].keys() & images["val"].keys())
    if len(common) < request.classes:
        raise UserError(f"{source}: train and val share {len(common)} classes, asked for {request.classes}")
    rng = np.random.default_rng(request.seed)
    chosen = [common[k] for k in sorted(rng.choice(len(common), request.classes, replace=False))]

    paths = []
    for split, count in (("train", request.train), ("val", request.val)):
        for name in chosen:
            files = images[split][name]
            if len(files) < count:
                raise UserError(f"{source / split / name}: {len(files)} images, asked for {count} of each class")
            paths += [f"{split}/{files[k]}" for k in sorted(rng.choice(len(files), count, replace=False))]
    return {name: name for name in chosen}, paths


def _by_class(root: Path) -> dict[str, list[str]]:
    index = scan(root, sys.maxsize)
    files: dict[str, list[str]] = {name: [] for name in index.classes}
    for path in index.files:
        files[path.split("/", 1)[0]].append(path)
    return files


def _write(building: Path, path: str, content: bytes) -> Written:
    file = building / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest(), len(content)

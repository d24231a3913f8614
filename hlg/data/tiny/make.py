"""Makes a small, deterministic, ImageNet-shaped data set: drawn, or carved out of a real ImageNet.

    python -m hlg.data.tiny --out data/tiny                   # ten drawn classes, see hlg.data.tiny.drawing
    python -m hlg.data.tiny --out data/tiny --imagenet /path  # a fixed-seed subset of /path
    python -m hlg.data.tiny --out data/tiny --verify          # compare every byte with the manifest

The folder gets train/, val/ and manifest.json. It appears in one piece or not at all, and is left alone
when it already is what was asked for.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from hlg.data.index import MANIFEST, scan
from hlg.data.tiny import drawing as draw
from hlg.errors import UserError
from hlg.files import sha256_of

SPLITS = ("train", "val")
WNID = "n9000000{}"  # beyond ImageNet's ids: a drawn class must not pass for one of its classes

Manifest = dict[str, Any]
Written = tuple[str, str, int]  # path relative to the data set, SHA-256, bytes


@dataclass(frozen=True)
class Request:
    """What a data set is to be; equal requests give equal bytes."""

    classes: int = 10
    train: int = 128  # images a class
    val: int = 32
    seed: int = 1
    imagenet: str | None = None  # the folder to carve from; None: drawn

    def __post_init__(self) -> None:
        for key, least in (("classes", 1), ("train", 1), ("val", 1), ("seed", 0)):
            if getattr(self, key) < least:
                raise UserError(f"{key}={getattr(self, key)}: must be {least} or more")
        if self.imagenet is None and self.classes > len(draw.CLASSES):
            raise UserError(f"classes={self.classes}: only {len(draw.CLASSES)} kinds of image can be drawn")


def make(out: Path, request: Request, workers: int = 1) -> tuple[Manifest, bool]:
    """Bring the data set into the folder `out`; returns its manifest and whether anything had to be written.

    Raises UserError, with `out` untouched, where it holds what this tool did not make or the request cannot
    be met.
    """
    if workers < 1:
        raise UserError(f"workers={workers}: must be 1 or more")
    out = out.resolve()
    wanted = _identity(request)
    old = _read_manifest(out)
    if old and old.items() >= wanted.items() and _sizes(out).items() >= old["bytes"].items():
        return old, False
    _require_own(out, old)
    if request.imagenet:
        names, paths = _choose(out, Path(request.imagenet), request)
    else:
        names = {WNID.format(label): draw.CLASSES[label][0] for label in range(request.classes)}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # In the same parent, so that the finished folder moves in by renaming.
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            building = Path(scratch) / "new"
            if request.imagenet:
                written = [_write(building, p, Path(request.imagenet, p).read_bytes()) for p in paths]
            else:
                written = _draw(building, request, workers)
            manifest = _manifest(wanted, names, written)
            (building / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            if out.exists():
                out.rename(Path(scratch) / "old")
            building.rename(out)
    except OSError as error:
        raise UserError(f"{error.filename or out}: {error.strerror}: {out} was not made") from None
    return manifest, True


def verify(out: Path) -> list[str]:
    """Every difference between the folder and its manifest, one sentence each; reads every byte."""
    manifest = _read_manifest(out)
    if manifest is None:
        raise UserError(f"{out}: no {MANIFEST} of this tool in it; make the data set first")
    files: dict[str, str] = manifest["files"]
    present = _sizes(out)
    problems = [f"{path}: missing" for path in sorted(files.keys() - present.keys())]
    problems += [f"{path}: not in the manifest" for path in sorted(present.keys() - files.keys())]
    for path in sorted(files.keys() & present.keys()):
        if sha256_of(out / path) != files[path]:
            problems.append(f"{path}: content differs")
    if manifest["hash"] != _hash(files):
        problems.append(f"{MANIFEST}: its hash is not that of its files")
    problems += [
        f"{MANIFEST}: its hash of {split} is not that of its files"
        for split in SPLITS
        if manifest["splits"][split]["hash"] != _hash(files, split)
    ]
    return problems


def _identity(request: Request) -> Manifest:
    """The part of a manifest that says how the bytes came about: a folder with another one is made anew."""
    if request.imagenet:
        return {"kind": "carved", "request": asdict(request)}
    drawing = sha256_of(Path(draw.__file__))
    versions = {"pillow": PIL.__version__, "numpy": np.__version__, "drawing": drawing}
    return {"kind": "drawn", "request": asdict(request), **versions}


def _manifest(identity: Manifest, names: dict[str, str], written: list[Written]) -> Manifest:
    files = {path: digest for path, digest, _ in sorted(written)}
    splits = {
        split: {"images": sum(path.startswith(f"{split}/") for path in files), "hash": _hash(files, split)}
        for split in SPLITS
    }
    sizes = {path: size for path, _, size in sorted(written)}
    return {
        **identity,
        "classes": names,
        "splits": splits,
        "hash": _hash(files),
        "files": files,
        "bytes": sizes,
    }


def _hash(files: dict[str, str], split: str = "") -> str:
    """SHA-256 over sorted lines `<sha256>  <path>`: `sha256sum` of what `sha256sum` prints, sorted."""
    lines = sorted(f"{digest}  {path}\n" for path, digest in files.items() if path.startswith(split))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_manifest(out: Path) -> Manifest | None:
    """The folder's manifest; None where there is none or another tool wrote it."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        return manifest if manifest["kind"] in ("drawn", "carved") and manifest["bytes"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sizes(out: Path) -> dict[str, int]:
    """Bytes of every file under `out` but the manifest, by relative path."""
    found = {p.relative_to(out).as_posix(): p.stat().st_size for p in out.rglob("*") if p.is_file()}
    found.pop(MANIFEST, None)
    return found


def _require_own(out: Path, manifest: Manifest | None) -> None:
    """Refuse to replace a folder unless all that it holds came from this tool."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out}: is a file; give a folder")
    foreign = sorted(_sizes(out).keys() - (manifest["bytes"].keys() if manifest else ()))
    if manifest is None and any(out.iterdir()):
        raise UserError(f"{out}: holds files, but no {MANIFEST} of this tool; give a new or empty folder")
    if foreign:
        raise UserError(f"{out}: must be made anew but holds {foreign[0]}, which this tool did not make: move it away")


def _draw(building: Path, request: Request, workers: int) -> list[Written]:
    jobs = [(building, request, split, label) for split in SPLITS for label in range(request.classes)]
    if workers == 1:
        return [image for job in jobs for image in _draw_class(*job)]
    # Spawned, for a fork copies whatever threads the caller has.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return [image for done in pool.map(_draw_class, *zip(*jobs, strict=True)) for image in done]


def _draw_class(building: Path, request: Request, split: str, label: int) -> list[Written]:
    """Draw one class of one split; each image depends on the seed and its own place alone."""
    count = request.train if split == "train" else request.val
    written = []
    for i in range(count):
        rng = np.random.Generator(
            np.random.Philox(np.random.SeedSequence([request.seed, SPLITS.index(split), label, i]))
        )
        # ImageNet has both of these, and a reader must cope with them.
        first, last = (label, i) == (0, 0), (label, i) == (request.classes - 1, count - 1)
        form = "CMYK" if first else "PNG" if last else "JPEG"
        content = draw.encode(draw.draw(label, rng), rng, form)
        wnid = WNID.format(label)
        name = f"{wnid}_{i}.JPEG" if split == "train" else f"val_{label * count + i + 1:08d}.JPEG"
        written.append(_write(building, f"{split}/{wnid}/{name}", content))
    return written


def _choose(out: Path, source: Path, request: Request) -> tuple[dict[str, str], list[str]]:
    """A fixed-seed draw of classes, and of images within them: class names, and paths below the source."""
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


def main(argv: list[str] | None = None) -> int:
    default = Request()
    parser = argparse.ArgumentParser(prog="python -m hlg.data.tiny", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--classes", type=int, default=default.classes)
    parser.add_argument("--train", type=int, default=default.train, help="training images a class")
    parser.add_argument("--val", type=int, default=default.val, help="validation images a class")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--imagenet", default="", help="carve from this folder (it holds train/ and val/)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="drawing processes")
    parser.add_argument("--verify", action="store_true", help="only compare --out with its manifest")
    args = parser.parse_args(argv)
    try:
        if args.verify:
            problems = verify(args.out)
            print("\n".join(problems) if problems else f"{args.out}: as its manifest says")
            return 1 if problems else 0
        imagenet = str(Path(args.imagenet).resolve()) if args.imagenet else None
        request = Request(args.classes, args.train, args.val, args.seed, imagenet)
        manifest, new = make(args.out, request, args.workers)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    counts = ", ".join(f"{manifest['splits'][split]['images']} {split}" for split in SPLITS)
    print(f"{args.out}: {counts} images, sha256 {manifest['hash']}" + ("" if new else " (already there)"))
    return 0

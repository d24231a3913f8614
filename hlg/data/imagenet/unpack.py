"""Makes ImageNet's folders of its archives: a folder a class under train/ and val/, ready to train and evaluate on.

    python -m hlg.data.imagenet --archives /downloads --out /data/imagenet

Each image is read straight out of its archive, which stays as it is, and is written once. A split appears in one piece
or not at all; until then it grows under a name that begins with a dot, and a run that was killed is gone on with there.
"""

import argparse
import fcntl
import json
import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tqdm import tqdm

from hlg.data.class_names import NAMES, write_names
from hlg.data.imagenet.archives import IMAGES, pieces
from hlg.data.imagenet.devkit import DEVKIT, WNIDS, Truth, read_truth
from hlg.data.imagenet.layout import Job, Target, plan
from hlg.errors import UserError
from hlg.files import PARTIAL

SPLITS = {  # split -> names of its archive: ImageNet's own, and the one that is usual in clouds
    "train": ("ILSVRC2012_img_train.tar", "imagenet_train.tar"),
    "val": ("ILSVRC2012_img_val.tar", "imagenet_val.tar"),
}
RECORD = ".prepared.json"  # in a split: what it was made of
SPARE = 1.02  # room on the disk, as a share of the images': the ends of their blocks


class Made(NamedTuple):
    """What a job left in the split."""

    images: Counter[str]  # by class folder
    size: int


# ------------------------------------------------------------------------------------------- doing it


def make(job: Job, split: Path, stop: threading.Event) -> Made:
    """Bring the images of a job into the folder ``split``; what is whole there already is left as it is.

    An image is known by its size to be whole, for it gets its name only when it is.
    """
    if job.within is None:
        return _write(job, job.targets, split, stop)
    name = PurePosixPath(job.within.name).stem
    whole, growing = split / name, split / f"{PARTIAL}{name}"
    if not whole.exists():
        targets = []
        for piece in pieces(job.archive, job.within):
            path = PurePosixPath(piece.name)
            if len(path.parts) != 1 or path.suffix.lower() not in IMAGES or path.name.startswith("."):
                raise UserError(f"{job.archive}: {job.within.name}: {piece.name!r}: refused, it is no image of a class")
            targets.append(Target(growing.name, path.name, piece))
        if not targets:
            raise UserError(f"{job.archive}: {job.within.name}: holds no image")
        made = _write(job, targets, split, stop)
        if stop.is_set():
            return made
        _only(growing, {target.name for target in targets})
        growing.rename(whole)
    sizes = [entry.stat().st_size for entry in os.scandir(whole)]
    return Made(Counter({name: len(sizes)}), sum(sizes))


def _write(job: Job, targets: Sequence[Target], split: Path, stop: threading.Event) -> Made:
    made: Counter[str] = Counter()
    for folder in {target.folder for target in targets}:
        (split / folder).mkdir(exist_ok=True)
    with job.archive.open("rb") as file:
        for folder, name, piece in targets:
            if stop.is_set():
                break
            path = f"{split}/{folder}/{name}"
            if not _is_whole(path, piece.size):
                file.seek(piece.start)
                content = file.read(piece.size)
                if len(content) != piece.size:
                    raise UserError(f"{job.archive}: {piece.name!r}: is cut off; was the archive changed just now?")
                partial = f"{split}/{folder}/{PARTIAL}{name}"
                with open(partial, "wb") as out:  # noqa: PTH123 - a Path each is slow for 1.28 million
                    out.write(content)
                os.replace(partial, path)  # noqa: PTH105
            made[folder] += 1
    return Made(made, job.size)


def _is_whole(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size  # noqa: PTH116
    except FileNotFoundError:
        return False


def _only(folder: Path, names: set[str]) -> None:
    """Remove what a killed run left half."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def prepare(split: str, archive: Path, truth: Truth | None, out: Path, workers: int) -> dict[str, Any]:
    """Make ``out``/``split`` of its archive; returns its record: archive, images, classes and bytes.

    Raises:
        UserError: as :func:`plan`, or the folder holds something else, or there is too little room.
    """
    folder, growing = out / split, out / f".{split}.partial"
    identity = {"archive": archive.name, "archive_bytes": archive.stat().st_size}
    if folder.exists():
        record = _record(folder)
        if identity.items() <= record.items():
            return {**record, "new": False}
        raise UserError(f"{folder}: is there already, and was not made of {archive}: move it away, or give another OUT")
    print(f"{archive}: reading what is in it", flush=True)
    jobs = plan(archive, truth)
    total = sum(job.size for job in jobs)
    growing.mkdir(parents=True, exist_ok=True)
    if _record(growing) not in ({}, identity):
        raise UserError(f"{growing}: holds a part of another archive than {archive}: remove it, or give another OUT")
    (growing / RECORD).write_text(json.dumps(identity), encoding="utf-8")
    _check_room(growing, total)
    images: Counter[str] = Counter()
    size = 0
    for made in _all_made(jobs, growing, workers, f"{split}, {len(jobs)} parts", total):
        images += made.images
        size += made.size
    for left in growing.glob(f"*/{PARTIAL}*"):
        left.unlink()
    record = {**identity, "images": images.total(), "classes": len(images), "bytes": size}
    (growing / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    growing.rename(folder)
    return {**record, "new": True}


def _all_made(jobs: list[Job], split: Path, workers: int, title: str, total: int) -> Iterator[Made]:
    """Do all jobs in threads, which mostly wait for the disk; the first failure ends them."""
    stop = threading.Event()
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=total, unit="B", unit_scale=True, desc=title, disable=None) as progress,
    ):
        open_ = {pool.submit(make, job, split, stop): job for job in jobs}
        try:
            while open_:
                done, _ = wait(open_, timeout=1, return_when=FIRST_EXCEPTION)
                for future in done:
                    job = open_.pop(future)
                    yield future.result()
                    progress.update(job.size)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _record(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _check_room(growing: Path, total: int) -> None:
    there = sum(path.stat().st_size for path in growing.rglob("*") if path.is_file())
    need, free = int(SPARE * total) - there, shutil.disk_usage(growing).free
    if need > free:
        raise UserError(f"{growing.parent}: needs {need / 1e9:.1f} GB more, and its disk has {free / 1e9:.1f} GB left")


# ------------------------------------------------------------------------------------------- the program


def run(archives: Path, out: Path, workers: int) -> None:
    """Make what the archives in a folder allow, and say what is missing.

    Raises:
        UserError: nothing can be made, or as :func:`prepare`.
    """
    if not archives.is_dir():
        raise UserError(f"--archives: found {str(archives)!r}; allowed: the folder with the archives")
    found = {split: _find(archives, split) for split in SPLITS}
    if not any(found.values()):
        lines = "; ".join(f"{split}: {' or '.join(names)}" for split, names in SPLITS.items())
        raise UserError(
            f"{archives}: holds none of ImageNet's archives. Expected {lines}; for {SPLITS['val'][0]} also {DEVKIT} or "
            f"{WNIDS}"
        )
    truth = read_truth(archives)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            for split, archive in found.items():
                if archive is None:
                    print(f"{split}: not made, for {archives} has no {' or '.join(SPLITS[split])}")
                    continue
                record = prepare(split, archive, truth, out, workers)
                print(
                    f"{out / split}: {record['images']:,} images of {record['classes']:,} classes, "
                    f"{record['bytes'] / 1e9:.1f} GB{'' if record['new'] else ' (already there)'}"
                )
            if truth and truth.names:
                write_names(out, truth.names)
                print(f"{out / NAMES}: the names of {len(truth.names):,} classes")
    except OSError as error:  # a full disk among them
        raise UserError(
            f"{error.filename or out}: {error.strerror or error}; what is whole stays, so mend it and start again"
        ) from None


def _find(archives: Path, split: str) -> Path | None:
    places = [archives / name for name in SPLITS[split]] + [archives / split / name for name in SPLITS[split]]
    return next((path for path in places if path.is_file()), None)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """No other process makes anything in this folder meanwhile."""
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(f"{out}: another process is making this data set; wait for it, or stop it first") from None
    finally:
        os.close(descriptor)


def folder(text: str) -> Path:
    """A path, for argparse; nothing is not the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("found nothing; allowed: a folder")
    return Path(text)


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m hlg.data.imagenet", description="ImageNet's folders, of its archives."
    )
    parser.add_argument(
        "--archives", type=folder, required=True, help="folder with the archives and the development kit"
    )
    parser.add_argument("--out", type=folder, required=True, help="gets train/ and val/")
    parser.add_argument("--workers", type=int, default=min(16, 2 * (os.cpu_count() or 1)), help="threads")
    options = parser.parse_args(argv)
    try:
        if options.workers < 1:
            raise UserError(f"--workers: found {options.workers}; allowed: 1 or more")
        run(options.archives, options.out, options.workers)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped by Ctrl-C: start it again to go on", file=sys.stderr)
        return 130
    return 0

"""Unpack ImageNet's archives into class folders: parallel, resumable, and whole or not at all.

Each image is read straight out of its archive, which stays as it is, and is written once. A split appears only when it
is complete; until then it grows under a name that begins with a dot, where the next start continues after a kill.
"""

import fcntl
import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tqdm import tqdm

from hlg.data.class_names import NAMES_FILE, write_class_names
from hlg.data.imagenet.archives import list_members
from hlg.data.imagenet.devkit import DEVKIT, WNIDS, ValidationLabels, read_validation_labels
from hlg.data.imagenet.layout import ImageTarget, UnpackJob, plan_jobs
from hlg.data.listing import IMAGE_SUFFIXES
from hlg.errors import UserError
from hlg.files import PARTIAL

ARCHIVES = {  # split -> names of its archive: ImageNet's own, and the one usual in clouds
    "train": ("ILSVRC2012_img_train.tar", "imagenet_train.tar"),
    "val": ("ILSVRC2012_img_val.tar", "imagenet_val.tar"),
}
RECORD = ".prepared.json"  # in a split: what it was made of
SPARE = 1.02  # room on the disk per byte of the images, since files end within a block


class _Unpacked(NamedTuple):
    """What a job left in the split: images by class folder, and their bytes."""

    images: Counter[str]
    size: int


def _unpack_job(job: UnpackJob, split: Path, stop: threading.Event) -> _Unpacked:
    """Write the images of a job into the folder ``split``; those that are complete there already are left alone.

    An image of the right size is complete, since it gets its name only then.
    """
    if job.within is None:
        return _write(job, job.targets, split, stop)
    name = PurePosixPath(job.within.name).stem
    whole, growing = split / name, split / f"{PARTIAL}{name}"
    if not whole.exists():
        targets = []
        for member in list_members(job.archive, job.within):
            path = PurePosixPath(member.name)
            if len(path.parts) != 1 or path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
                raise UserError(
                    f"{job.archive}: {job.within.name}: {member.name!r}: refused, it is no image of a class"
                )
            targets.append(ImageTarget(growing.name, path.name, member))
        if not targets:
            raise UserError(f"{job.archive}: {job.within.name}: holds no image")
        unpacked = _write(job, targets, split, stop)
        if stop.is_set():
            return unpacked
        _keep_only(growing, {target.name for target in targets})
        growing.rename(whole)
    sizes = [entry.stat().st_size for entry in os.scandir(whole)]
    return _Unpacked(Counter({name: len(sizes)}), sum(sizes))


def _write(job: UnpackJob, targets: Sequence[ImageTarget], split: Path, stop: threading.Event) -> _Unpacked:
    unpacked: Counter[str] = Counter()
    for folder in {target.folder for target in targets}:
        (split / folder).mkdir(exist_ok=True)
    with job.archive.open("rb") as file:
        for folder, name, member in targets:
            if stop.is_set():
                break
            path = f"{split}/{folder}/{name}"
            if not _is_whole(path, member.size):
                file.seek(member.start)
                content = file.read(member.size)
                if len(content) != member.size:
                    raise UserError(f"{job.archive}: {member.name!r}: is cut off; was the archive changed just now?")
                partial = f"{split}/{folder}/{PARTIAL}{name}"
                with open(partial, "wb") as out:  # noqa: PTH123 - a Path each is slow for 1.28 million
                    out.write(content)
                os.replace(partial, path)  # noqa: PTH105
            unpacked[folder] += 1
    return _Unpacked(unpacked, job.size)


def _is_whole(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size  # noqa: PTH116
    except FileNotFoundError:
        return False


def _keep_only(folder: Path, names: set[str]) -> None:
    """Remove what a killed run left incomplete."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def _unpack_split(
    split: str, archive: Path, labels: ValidationLabels | None, out: Path, workers: int
) -> dict[str, Any]:
    """Unpack an archive into ``out``/``split``; returns its record: archive, images, classes and bytes.

    Raises:
        UserError: as :func:`plan_jobs`, or the folder holds something else, or there is too little room.
    """
    folder, growing = out / split, out / f".{split}.partial"
    identity = {"archive": archive.name, "archive_bytes": archive.stat().st_size}
    if folder.exists():
        record = _record(folder)
        if identity.items() <= record.items():
            return {**record, "new": False}
        raise UserError(f"{folder}: is there already, and was not made of {archive}: move it away, or give another OUT")
    print(f"{archive}: reading what is in it", flush=True)
    jobs = plan_jobs(archive, labels)
    total = sum(job.size for job in jobs)
    growing.mkdir(parents=True, exist_ok=True)
    if _record(growing) not in ({}, identity):
        raise UserError(f"{growing}: holds a part of another archive than {archive}: remove it, or give another OUT")
    (growing / RECORD).write_text(json.dumps(identity), encoding="utf-8")
    _check_room(growing, total)
    images: Counter[str] = Counter()
    size = 0
    for unpacked in _all_unpacked(jobs, growing, workers, f"{split}, {len(jobs)} parts", total):
        images += unpacked.images
        size += unpacked.size
    for left in growing.glob(f"*/{PARTIAL}*"):
        left.unlink()
    record = {**identity, "images": images.total(), "classes": len(images), "bytes": size}
    (growing / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    growing.rename(folder)
    return {**record, "new": True}


def _all_unpacked(jobs: list[UnpackJob], split: Path, workers: int, title: str, total: int) -> Iterator[_Unpacked]:
    """Run all jobs in threads, which mostly wait for the disk; the first failure ends them."""
    stop = threading.Event()
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=total, unit="B", unit_scale=True, desc=title, disable=None) as progress,
    ):
        waiting = {pool.submit(_unpack_job, job, split, stop): job for job in jobs}
        try:
            while waiting:
                done, _ = wait(waiting, timeout=1, return_when=FIRST_EXCEPTION)
                for future in done:
                    job = waiting.pop(future)
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


def unpack_imagenet(archives: Path, out: Path, workers: int) -> None:
    """Unpack the archives in a folder, and say which are missing.

    Raises:
        UserError: none is there, or as :func:`_unpack_split`.
    """
    if not archives.is_dir():
        raise UserError(f"--archives: found {str(archives)!r}; allowed: the folder with the archives")
    found = {split: _find(archives, split) for split in ARCHIVES}
    if not any(found.values()):
        lines = "; ".join(f"{split}: {' or '.join(names)}" for split, names in ARCHIVES.items())
        raise UserError(
            f"{archives}: holds none of ImageNet's archives. Expected {lines}; for {ARCHIVES['val'][0]} also {DEVKIT} "
            f"or {WNIDS}"
        )
    labels = read_validation_labels(archives)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            for split, archive in found.items():
                if archive is None:
                    print(f"{split}: not made, for {archives} has no {' or '.join(ARCHIVES[split])}")
                    continue
                record = _unpack_split(split, archive, labels, out, workers)
                print(
                    f"{out / split}: {record['images']:,} images of {record['classes']:,} classes, "
                    f"{record['bytes'] / 1e9:.1f} GB{'' if record['new'] else ' (already there)'}"
                )
            if labels and labels.names:
                write_class_names(out, labels.names)
                print(f"{out / NAMES_FILE}: the names of {len(labels.names):,} classes")
    except OSError as error:  # a full disk among them
        raise UserError(
            f"{error.filename or out}: {error.strerror or error}; what is whole stays, so mend it and start again"
        ) from None


def _find(archives: Path, split: str) -> Path | None:
    places = [archives / name for name in ARCHIVES[split]] + [archives / split / name for name in ARCHIVES[split]]
    return next((path for path in places if path.is_file()), None)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other processes from unpacking into this folder meanwhile."""
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(f"{out}: another process is making this data set; wait for it, or stop it first") from None
    finally:
        os.close(descriptor)

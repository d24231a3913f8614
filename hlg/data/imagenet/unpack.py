"""Sort ImageNet's images into class folders: parallel, resumable, and whole or not at all.

Each image is read straight out of its archive, which stays as it is, and is written once; images that lie unpacked are
copied, or linked. A split appears only when it
is complete; until then it grows under a name that begins with a dot, where the next start continues after a kill.
"""

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

from hlg.console import say
from hlg.data.class_names import NAMES_FILE, write_class_names
from hlg.data.imagenet.archives import RECORD, list_members, open_members
from hlg.data.imagenet.labels import KIT, SOLUTION, WNIDS, ValidationLabels, read_validation_labels
from hlg.data.imagenet.layout import ARCHIVES, TREES, ImageTarget, UnpackJob, find_sources, known_order, plan_jobs
from hlg.data.listing import IMAGE_SUFFIXES
from hlg.errors import UserError
from hlg.files import PARTIAL, link_atomic, load_json, lock_alone, partial_name, write_atomic

SPARE = 1.02  # room on the disk per byte of the images, since files end within a block


class _Unpacked(NamedTuple):
    """The result of a job: images and bytes by class folder."""

    images: Counter[str]
    size: int


def _unpack_job(job: UnpackJob, split: Path, stop: threading.Event, link: bool) -> _Unpacked:
    """Write the images of a job into the folder ``split``; those that are complete there already are left alone.

    An image of the right size is complete, since it gets its name only then.
    """
    if job.within is None:
        return _write(job, job.targets, split, stop, link)
    name = PurePosixPath(job.within.name).stem
    whole, growing = split / name, split / f"{PARTIAL}{name}"
    _require_no_link(whole)
    if not whole.exists():
        targets = []
        for member in list_members(job.archive, job.within):
            path = PurePosixPath(member.name)
            if len(path.parts) != 1 or path.suffix.lower() not in IMAGE_SUFFIXES:
                raise UserError(
                    f"{job.archive}: {job.within.name}: {member.name!r}: refused, it is no image of a class"
                )
            targets.append(ImageTarget(growing.name, path.name, member))
        if not targets:
            raise UserError(f"{job.archive}: {job.within.name}: holds no image")
        unpacked = _write(job, targets, split, stop, link=False)
        if stop.is_set():
            return unpacked
        _keep_only(growing, {target.name for target in targets})
        growing.rename(whole)
    sizes = [entry.stat().st_size for entry in os.scandir(whole)]
    return _Unpacked(Counter({name: len(sizes)}), sum(sizes))


def _write(job: UnpackJob, targets: Sequence[ImageTarget], split: Path, stop: threading.Event, link: bool) -> _Unpacked:
    unpacked: Counter[str] = Counter()
    for folder in {target.folder for target in targets}:
        (split / folder).mkdir(exist_ok=True)
        _require_no_link(split / folder)
    with open_members(job.archive) as read:
        for folder, name, member in targets:
            if stop.is_set():
                break
            path = f"{split}/{folder}/{name}"
            if not _is_whole(path, member.size):
                if link:
                    _link(Path(path), f"{job.archive.resolve()}/{member.name}")
                else:
                    partial = partial_name(Path(path))
                    with partial.open("xb") as out:
                        out.write(read(member))
                    partial.replace(path)
            unpacked[folder] += 1
    return _Unpacked(unpacked, job.size)


def _link(path: Path, target: str) -> None:
    try:
        link_atomic(path, target)
    except OSError as error:
        raise UserError(f"{path}: can't be made a link ({error.strerror}): leave LINK=1 (--link) out") from None


def _is_whole(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size  # noqa: PTH116
    except FileNotFoundError:
        return False


def _require_no_link(folder: Path) -> None:
    """Refuse a link where this program makes a folder: it would write and remove files behind it."""
    if folder.is_symlink():
        raise UserError(f"{folder}: is a link, which this program has not made: remove it, or give another OUT")


def _keep_only(folder: Path, names: set[str]) -> None:
    """Remove what a killed run left incomplete."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def _unpack_split(
    sources: Sequence[Path], known: tuple[ValidationLabels, Sequence[str]], folder: Path, workers: int, link: bool
) -> dict[str, Any]:
    """Unpack archives, or a folder, into the split ``folder``; returns its record: archive, images, classes and bytes.

    Raises:
        UserError: as :func:`plan_jobs`, or the folder holds something else, or there is too little room.
    """
    title, growing = ", ".join(map(str, sources)), folder.with_name(f".{folder.name}.partial")
    _require_no_link(growing)
    names = (str(path.resolve()) if path.is_dir() else path.name for path in sources)
    size = sum(path.stat().st_size for path in sources if path.is_file())
    identity = {"archive": ", ".join(names), "archive_bytes": size}
    if folder.exists():
        record = _record(folder)
        if identity.items() <= record.items() or (record and sources == [folder]):
            return {**record, "new": False}
        raise UserError(f"{folder}: is there already, and was not made of {title}: move it away, or give another OUT")
    say(f"{title}: reading what is in it")
    jobs = plan_jobs(sources, *known)
    total = sum(job.size for job in jobs)
    growing.mkdir(parents=True, exist_ok=True)
    if _record(growing) not in ({}, identity):
        raise UserError(f"{growing}: holds a part of another archive than {title}: remove it, or give another OUT")
    write_atomic(growing / RECORD, json.dumps(identity))
    linked = link and all(job.archive.is_dir() for job in jobs)
    if link and not linked:
        say(f"{title}: written out, for only images that lie unpacked can be linked")
    _check_room(growing, 0 if linked else total)
    images: Counter[str] = Counter()
    size = 0
    for unpacked in _all_unpacked(jobs, growing, workers, f"{folder.name}, {len(jobs)} parts", linked):
        images += unpacked.images
        size += unpacked.size
    for left in growing.glob(f"*/{PARTIAL}*"):
        left.unlink()
    record = {**identity, "images": images.total(), "classes": len(images), "bytes": size, "links": linked}
    write_atomic(growing / RECORD, json.dumps(record, indent=1) + "\n")
    growing.rename(folder)
    return {**record, "new": True}


def _all_unpacked(jobs: list[UnpackJob], split: Path, workers: int, title: str, link: bool) -> Iterator[_Unpacked]:
    """Run all jobs in threads, which mostly wait for the disk; the first failure ends them."""
    stop, total = threading.Event(), sum(job.size for job in jobs)
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=total, unit="B", unit_scale=True, desc=title, disable=None) as progress,
    ):
        waiting = {pool.submit(_unpack_job, job, split, stop, link): job for job in jobs}
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
        return dict(load_json(folder / RECORD))
    except (OSError, ValueError, TypeError):
        return {}


def _check_room(growing: Path, total: int) -> None:
    there = sum(path.stat().st_size for path in growing.rglob("*") if path.is_file())
    need, free = int(SPARE * total) - there, shutil.disk_usage(growing).free
    if need > free:
        raise UserError(f"{growing.parent}: needs {need / 1e9:.1f} GB more, and its disk has {free / 1e9:.1f} GB left")


def unpack_imagenet(archives: Path, out: Path, workers: int, link: bool = False) -> None:
    """Unpack the archives in a folder, or sort the images in it, and say what is missing.

    Args:
        archives: Has what :func:`find_sources` looks for.
        out: Gets train/ and val/.
        workers: Threads.
        link: Make symbolic links to images that lie unpacked, not copies.

    Raises:
        UserError: nothing is there, or as :func:`_unpack_split`.
    """
    if not archives.is_dir():
        raise UserError(f"--archives: found {str(archives)!r}; allowed: the folder with the archives")
    found = {split: find_sources(archives, split) for split in ARCHIVES}
    if not any(found.values()):
        lines = "; ".join(f"{split}: {', '.join(names)} or {split}/" for split, names in ARCHIVES.items())
        raise UserError(
            f"{archives}: holds none of ImageNet's archives. Expected {lines}, there or in {TREES[-3]}; for validation "
            f"images in no class folder also {KIT}, {SOLUTION} or {WNIDS}"
        )
    labels = read_validation_labels(archives)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            for split, sources in found.items():
                if not sources:
                    say(f"{split}: not made, for {archives} has no {' or '.join(ARCHIVES[split])}")
                    continue
                known = labels, known_order(labels.names, out)
                record = _unpack_split(sources, known, out / split, workers, link)
                say(
                    f"{out / split}: {record['images']:,} images of {record['classes']:,} classes, "
                    f"{record['bytes'] / 1e9:.1f} GB{', linked' if record.get('links') else ''}"
                    f"{'' if record['new'] else ' (already there)'}"
                )
            if labels.names:
                write_class_names(out, labels.names)
                say(f"{out / NAMES_FILE}: the names of {len(labels.names):,} classes")
    except OSError as error:  # a full disk among them
        raise UserError(
            f"{error.filename or out}: {error.strerror or error}; what is whole stays, so mend it and start again"
        ) from None


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other processes from unpacking into this folder meanwhile."""
    descriptor = os.open(out, os.O_RDONLY)
    try:
        try:
            lock_alone(descriptor)
        except BlockingIOError:
            raise UserError(f"{out}: another process is making this data set; wait for it, or stop it first") from None
        yield
    finally:
        os.close(descriptor)

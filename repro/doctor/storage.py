"""Check what a run reads and writes: space on the disks, and the shape of the data set."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from repro.doctor.machine import GB, Diagnosis, failure, ok, size, warning, within
from repro.footprint import CHECKPOINT, CHECKPOINTS, STEP_RECORD

_RESERVE = 4 * GB  # compiled graphs, logs of ranks and driver, cores
_ENVIRONMENT, _TEMPORARY = 5 * GB, 1 * GB  # of make setup; of compilers and pip
_FEW_FILES = 10_000  # inodes
IMAGES, CLASSES, BATCH = {"train": 1_281_167, "val": 50_000}, 1000, 128
IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")  # what hlg.data.listing takes for an image, in lower case
ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}
_ARCHIVE_SIZE = 155 * GB  # of both, and of what is in them
_COUNTING_S = 600.0


class Demand(NamedTuple):
    """Space that something needs in a folder, which need not exist yet."""

    what: str
    folder: Path
    room: int  # bytes


def run_demands(runs: Path, epochs: int, ranks: int) -> list[Demand]:
    """List what a run of the full recipe writes."""
    steps = epochs * (IMAGES["train"] // (BATCH * ranks))
    return [
        Demand("checkpoints", runs, CHECKPOINTS * CHECKPOINT),
        Demand("logs", runs, steps * STEP_RECORD),
    ]


def software_demands(venv: Path | None) -> list[Demand]:
    """List what MindSpore and its compilers write, and make setup if ``venv`` is still to be built."""
    wanted = [Demand("temporary files", Path(tempfile.gettempdir()), _TEMPORARY)]
    return [*wanted, Demand("environment", venv.parent, _ENVIRONMENT)] if venv else wanted


def check_disks(wanted: Sequence[Demand], patience_s: float) -> Iterable[Diagnosis]:
    """Check each file system once, however many of the demands it must meet."""
    disks: dict[int, list[Demand]] = {}
    places: dict[int, Path] = {}
    for demand in wanted:
        try:
            place, device = within(patience_s, _place, demand.folder)
        except TimeoutError:
            text = f"{demand.folder} (for {demand.what}) does not answer within {patience_s:g} s"
            yield failure("disk", text, "see whether its storage hangs")
            return
        except OSError as error:
            yield failure(
                "disk", f"{demand.folder}: {error.strerror} (for {demand.what})", "name another folder, or mend it"
            )
            return
        disks.setdefault(device, []).append(demand)
        places.setdefault(device, place)
    for device, those in disks.items():
        yield _room(places[device], those)


def _place(folder: Path) -> tuple[Path, int]:
    """Try to write in the folder, or the nearest one above it; return that and its device. Raises OSError."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    with tempfile.TemporaryFile(dir=str(place)) as trial:
        trial.write(b"trial")
        trial.flush()
    return place, place.stat().st_dev


def _room(place: Path, those: Sequence[Demand]) -> Diagnosis:
    state = os.statvfs(place)
    free = state.f_bavail * state.f_frsize
    need = sum(demand.room for demand in those)
    parts = ", ".join(f"{demand.what} {size(demand.room)}" for demand in those)
    text = f"{size(free)} free at {place}; needed: {parts}"
    fix = "make room there, or name other folders (RUNS, TMPDIR)"
    if state.f_files and state.f_favail < _FEW_FILES:
        return failure("disk", f"{state.f_favail} files can still be made at {place} (df -i)", "remove files there")
    if free < need:
        return failure("disk", text, fix)
    if free < need + _RESERVE:
        return warning("disk", f"{text}; that leaves less than {size(_RESERVE)}", fix)
    return ok("disk", text)


class _Split(NamedTuple):
    """The contents of train or val: images of each class, and what else is there."""

    classes: dict[str, int]
    loose: int  # images beside the class folders
    archives: list[str]  # *.tar in it


def _count(folder: Path) -> _Split:
    """Count the images of a split by names alone; none is opened. Raises OSError."""
    split = _Split({}, 0, [])
    loose = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.startswith("."):
                continue
            if entry.is_dir() or (entry.is_symlink() and not Path(entry.path).exists()):  # a link into nowhere, too:
                split.classes[entry.name] = 0  # its class is missing, and reading it below says so
            elif name.endswith(IMAGE_SUFFIXES):
                loose += 1
            elif name.endswith(".tar"):
                split.archives.append(entry.name)
    for name in split.classes:
        with os.scandir(folder / name) as entries:
            split.classes[name] = sum(
                entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
                for entry in entries
            )
    return split._replace(loose=loose)


def check_data(imagenet: str, device: str) -> Iterable[Diagnosis]:
    """Check for the shape of ImageNet: two splits, the same 1000 classes in each, all images."""
    if not imagenet:
        if device == "cpu":
            yield ok("data", "no IMAGENET given: the tiny recipes draw their own")
        else:
            yield warning(
                "data", "not looked at: no IMAGENET given", "name the folder with train/ and val/: IMAGENET=/path"
            )
        return
    root = Path(imagenet)
    splits: dict[str, _Split] = {}
    for part in IMAGES:
        try:
            splits[part] = within(_COUNTING_S, _count, root / part)
        except TimeoutError:
            text = f"{root / part} could not be counted within {_COUNTING_S:g} s"
            yield failure("data", text, "see whether its storage hangs: training reads each image once an epoch")
            return
        except OSError as error:
            yield _unreadable(root, part, error)
            return
    for part, split in splits.items():
        yield _shape(root / part, part, split)
    only = {part: sorted(set(splits[part].classes) - set(splits[other].classes)) for part, other in _OTHER.items()}
    if all(split.classes for split in splits.values()) and any(only.values()):
        text = "; ".join(f"only in {part}: {_some(names)}" for part, names in only.items() if names)
        yield failure("classes", f"train and val have different class folders ({text})", "make them the same")


_OTHER = {"train": "val", "val": "train"}


def _unreadable(root: Path, part: str, error: OSError) -> Diagnosis:
    fix = "IMAGENET is the folder with train/ and val/, each with one folder a class"
    if isinstance(error, FileNotFoundError):
        archive = next((path for path in (root / ARCHIVES[part], root / part / ARCHIVES[part]) if path.is_file()), None)
        if archive:
            return _packed(archive)
        if not (root / part).exists() and root.name in IMAGES and root.parent.is_dir():
            fix += f"; it may be {root.parent}"
    return failure(part, f"{error.filename or root / part}: {error.strerror}", fix)


def _packed(archive: Path) -> Diagnosis:
    state = os.statvfs(archive.parent)
    free = state.f_bavail * state.f_frsize
    room = f"{size(_ARCHIVE_SIZE)} for both splits, {size(free)} are free"
    fix = f"unpack it into one folder a class, train/n01440764/ and so on, as val/ too: make imagenet ({room})"
    return failure("data", f"{archive} is not unpacked", fix)


def _shape(folder: Path, part: str, split: _Split) -> Diagnosis:
    """Check one split."""
    images, classes = sum(split.classes.values()), len(split.classes)
    empty = sorted(name for name, count in split.classes.items() if not count)
    text = f"{images:,} images in {classes:,} classes in {folder}"
    if not classes:
        if split.archives:
            return _packed(folder / split.archives[0])
        if split.loose:
            fix = "sort them into one folder a class, named as in train (ILSVRC2012's validation labels tell which)"
            return failure(part, f"{split.loose:,} images in {folder} without class folders", fix)
        return failure(
            part, f"{folder} is empty", "IMAGENET is the folder with train/ and val/, one folder a class each"
        )
    if empty and split.archives:
        return _packed(folder / split.archives[0])
    if empty:
        return failure(part, f"{text}; none in {_some(empty)}", "fill these folders")
    if classes != CLASSES:
        return failure(part, f"{text}; ImageNet has {CLASSES:,}", "complete it, or take a recipe made for a subset")
    if images != IMAGES[part]:
        fix = "complete it: on another set the report compares nothing with the published figures"
        return warning(part, f"{text}; ImageNet has {IMAGES[part]:,}", fix)
    return ok(part, text)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

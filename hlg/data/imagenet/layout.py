"""Map what holds the images, archives or folders, to class folders, and check it all before anything is written."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hlg.console import say
from hlg.data.classes import IMAGENET_ORDER, label_order
from hlg.data.imagenet.archives import CLASS, OURS, ArchiveMember, fault_of, is_compressed, list_members
from hlg.data.imagenet.labels import KIT, MAPPING, SOLUTION, WNIDS, ValidationLabels
from hlg.data.listing import IMAGE_SUFFIXES
from hlg.errors import UserError

CHUNK = 256  # files per job, of what has no archives in it

# What the path of an image says of its class, and its name in the class folder; the first that fits counts.
NAMED = [
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"(?:.*/)?(?P<folder>n\d{8})/(?P<name>[^/]+)",  # a folder a class
        r"(?:.*/)?(?P<label>\d{1,3})/(?P<name>[^/]+)",  # ImageNet-V2: a folder a label
        r"(?:.*/)?(?P<name>[^/]+)_(?P<folder>n\d{8})(?P<suffix>\.\w+)",  # Hugging Face
        r"(?:.*/)?(?P<name>(?P<folder>n\d{8})_\d+\.\w+)",  # ImageNet's training images
    )
]

# Where the images of a split may be: patterns of archives, with how many there are of each; or else a folder.
ARCHIVES = {
    "train": {"ILSVRC2012_img_train.tar": 1, "imagenet_train.tar": 1, "train_images_[0-9].tar.gz": 5},
    "val": {"ILSVRC2012_img_val.tar": 1, "imagenet_val.tar": 1, "val_images.tar.gz": 1, "imagenetv2-*.tar.gz": 1},
}
TREES = ("", "data", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")


class ImageTarget(NamedTuple):
    """One image to unpack: its class folder, its file name and its archive member."""

    folder: str
    name: str
    member: ArchiveMember


@dataclass(frozen=True)
class UnpackJob:
    """One job of a worker: a class archive, or some images of a flat archive.

    The ``archive`` is a folder where the images lie unpacked.
    """

    archive: Path
    size: int
    within: ArchiveMember | None = None
    targets: tuple[ImageTarget, ...] = ()


def find_sources(archives: Path, split: str) -> list[Path]:
    """Find what has the images of a split in the folder ``archives``: archives or one folder, by preference; or none.

    Raises:
        UserError: there are more or fewer of a kind than there should be.
    """
    patterns = [(f"{place}/{name}", count) for name, count in ARCHIVES[split].items() for place in (*TREES, split)]
    folders = [(f"{place}/{split}", 1) for place in TREES] + [("imagenetv2-*", 1)] * (split == "val")
    for pattern, count in patterns + folders:
        found = sorted(archives.glob(pattern.lstrip("/")))
        if found and len(found) != count:
            names = ", ".join(path.name for path in found)
            raise UserError(f"{archives}: found {names}, where {count} of {pattern.lstrip('/')} should be")
        if found:
            return found
    # The archive of each class in no folder of their own.
    return [archives] if split == "train" and _class_archives(archives) else []


def _class_archives(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.tar") if CLASS.fullmatch(path.stem))


def plan_jobs(sources: Sequence[Path], labels: ValidationLabels, order: Sequence[str]) -> list[UnpackJob]:
    """Divide archives, or a folder, into jobs; every name is checked here, except for those in archives within them.

    Args:
        sources: What :func:`find_sources` found.
        labels: The classes of images that lie in no class folder.
        order: ImageNet's class folders by label, if known, for images that lie in a folder a label.

    Raises:
        UserError: something is damaged or refused, or nothing says the class of an image; it is named.
    """
    with ThreadPoolExecutor(len(sources)) as pool:  # what is compressed takes minutes to list
        listed = list(pool.map(_list_source, sources))
    jobs: list[UnpackJob] = []
    names: Counter[tuple[str, str]] = Counter()
    for source, members in zip(sources, listed, strict=True):
        classes = [member for member in members if member.name.lower().endswith(".tar")]
        images = [member for member in members if not member.name.lower().endswith(".tar")]
        if classes:
            jobs += [_class_job(source, member, bool(images)) for member in classes]
            names.update((PurePosixPath(member.name).stem, "") for member in classes)
        targets = sorted(_targets(source, images, labels, order), key=lambda target: target.member.start)
        names.update((target.folder, target.name) for target in targets)
        together = CHUNK if source.is_dir() or not is_compressed(source) else max(1, len(targets))
        for first in range(0, len(targets), together):
            chunk = tuple(targets[first : first + together])
            jobs.append(UnpackJob(source, sum(target.member.size for target in chunk), targets=chunk))
    for (folder, name), count in names.items():
        if count > 1:
            raise UserError(f"{sources[0]}: '{folder}/{name}': refused, it would be written twice")
    if not names:
        raise UserError(f"{sources[0]}: holds no image")
    return jobs


def _class_job(source: Path, member: ArchiveMember, mixed: bool) -> UnpackJob:
    title = f"{source}: {member.name!r}: refused, "
    if not CLASS.fullmatch(PurePosixPath(member.name).stem):
        raise UserError(f"{title}it is an archive, but not that of a class, such as n01440764.tar")
    if mixed:
        raise UserError(f"{title}an archive of a class beside images")
    if source.is_dir():
        return UnpackJob(source / member.name, member.size, within=member)
    if is_compressed(source):
        raise UserError(f"{title}an archive in one that is compressed: decompress {source.name} by gunzip first")
    return UnpackJob(source, member.size, within=member)


def _list_source(source: Path) -> list[ArchiveMember]:
    members = _list_folder(source) if source.is_dir() else list_members(source)
    return [member for member in members if PurePosixPath(member.name).name not in OURS]


def _list_folder(root: Path) -> Iterator[ArchiveMember]:
    """List the images, and the archives of classes, in a folder and in the folders in it."""
    classes = _class_archives(root)
    inside = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    ignored = []
    for folder in ["", *(name for name in inside if not classes or CLASS.fullmatch(name))]:
        for entry in sorted(os.scandir(root / folder), key=lambda entry: entry.name):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith("."):
                continue
            is_image = entry.name.lower().endswith(IMAGE_SUFFIXES)
            if is_image or (not folder and entry.name in classes):
                size = entry.stat().st_size
                if fault := fault_of(name, size):
                    raise UserError(f"{root}: {name!r}: refused, {fault}")
                yield ArchiveMember(name, 0, size)
            elif folder or not entry.is_dir():
                ignored.append(name)
    if ignored and not classes:
        say(f"{root}: {len(ignored):,} ignored that are no images, such as {ignored[0]}")


def _targets(
    source: Path, images: Sequence[ArchiveMember], labels: ValidationLabels, order: Sequence[str]
) -> Iterator[ImageTarget]:
    """Give each image its class folder and its name there."""
    unnamed = []
    for member in images:
        found = next((match for pattern in NAMED if (match := pattern.fullmatch(member.name))), None)
        if not found:
            unnamed.append(member)
            continue
        says = found.groupdict()
        folder = says.get("folder") or _class_of(int(says["label"]), order, f"{source}: {member.name!r}")
        yield ImageTarget(folder, says["name"] + says.get("suffix", ""), member)
    if not unnamed:
        return
    if labels.source is None:
        raise UserError(
            f"{source}: {unnamed[0].name!r} lies in no class folder, and nothing beside it says what it shows: put "
            f"{KIT}, {SOLUTION} or {WNIDS} there, the last with one class per line in the order of the file names"
        )
    if not labels.by_image and len(labels.in_order) != len(unnamed):
        raise UserError(
            f"{source}: holds {len(unnamed):,} images in no class folder, but {labels.source} knows "
            f"{len(labels.in_order):,}"
        )
    unnamed.sort(key=lambda member: member.name)
    for member, wnid in zip(unnamed, labels.in_order or [""] * len(unnamed), strict=True):
        path = PurePosixPath(member.name)
        wnid = wnid or labels.by_image.get(path.stem, "")
        if not wnid:
            raise UserError(f"{source}: {member.name!r} is an image that {labels.source} does not know")
        yield ImageTarget(wnid, path.name, member)


def _class_of(label: int, order: Sequence[str], title: str) -> str:
    if not order:
        raise UserError(
            f"{title} lies in the folder of a label, and nothing says which class that is: put {MAPPING} or {KIT} "
            "there, or make train first"
        )
    return order[label]


def known_order(classes: Iterable[str], out: Path) -> Sequence[str]:
    """Return ImageNet's class folders by label, if they are those in ``classes`` or of ``out``/train."""
    made = [path.name for path in out.glob("train/n*")]
    orders = (tuple(sorted(folders)) for folders in (classes, made))
    return next((order for order in orders if label_order(order) == IMAGENET_ORDER), ())

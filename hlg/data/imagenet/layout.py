"""Map archive members to class folders, and check them all before anything is written."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hlg.data.imagenet.archives import ArchiveMember, list_members
from hlg.data.imagenet.devkit import DEVKIT, WNIDS, ValidationLabels
from hlg.data.listing import IMAGE_SUFFIXES
from hlg.errors import UserError

CHUNK = 256  # files per job, of an archive that has no archives in it


class ImageTarget(NamedTuple):
    """Where one image goes: class folder and file name, and the member that has its content."""

    folder: str
    name: str
    member: ArchiveMember


@dataclass(frozen=True)
class UnpackJob:
    """What a worker unpacks at once: a class that is an archive of its own, or some images of one that is not."""

    archive: Path
    size: int
    within: ArchiveMember | None = None
    targets: tuple[ImageTarget, ...] = ()


def plan_jobs(archive: Path, labels: ValidationLabels | None) -> list[UnpackJob]:
    """Divide an archive into jobs; every name in it is checked here, except for those in archives within it.

    Args:
        labels: The classes of images that lie in no class folder.

    Raises:
        UserError: the archive is damaged or refused, or it doesn't hold as many images as ``labels`` knows.
    """
    classes: list[ArchiveMember] = []
    targets: list[ImageTarget] = []
    flat: list[ArchiveMember] = []
    for member in list_members(archive):
        path = PurePosixPath(member.name)
        if path.suffix.lower() == ".tar":
            classes.append(member)
        elif path.suffix.lower() not in IMAGE_SUFFIXES:
            raise UserError(f"{archive}: {member.name!r}: is neither an image nor the archive of a class")
        elif len(path.parts) == 1:
            flat.append(member)
        else:
            targets.append(ImageTarget(path.parts[-2], path.name, member))
    if classes and (flat or targets):
        mixed = (flat or [target.member for target in targets])[0].name
        raise UserError(f"{archive}: {mixed!r}: refused, an image beside archives of classes")
    targets += _labeled(archive, flat, labels)
    names = Counter((target.folder, target.name) for target in targets) + Counter(
        (PurePosixPath(member.name).stem, "") for member in classes
    )
    twice = [f"{folder}/{name}" for (folder, name), count in names.items() if count > 1]
    dotted = [f"{folder}/{name}" for folder, name in names if folder.startswith(".") or name.startswith(".")]
    for fault, found in (("would be written twice", twice), ("would be hidden", dotted)):
        if found:
            raise UserError(f"{archive}: {found[0]!r}: refused, it {fault}")
    if not names:
        raise UserError(f"{archive}: holds no image")
    jobs = [UnpackJob(archive, member.size, within=member) for member in classes]
    targets.sort(key=lambda target: target.member.start)  # read in the order of the archive
    for first in range(0, len(targets), CHUNK):
        chunk = tuple(targets[first : first + CHUNK])
        jobs.append(UnpackJob(archive, sum(target.member.size for target in chunk), targets=chunk))
    return jobs


def _labeled(archive: Path, flat: list[ArchiveMember], labels: ValidationLabels | None) -> list[ImageTarget]:
    """Give each image that lies in no folder its class."""
    if not flat:
        return []
    if labels is None:
        raise UserError(
            f"{archive}: its images lie in no class folder, and nothing beside it says what they show: put "
            f"{DEVKIT} there, or {WNIDS} with one class per line in the order of the file names"
        )
    if len(labels.classes) != len(flat):
        raise UserError(
            f"{archive}: holds {len(flat):,} images in no class folder, but {labels.source} knows "
            f"{len(labels.classes):,}"
        )
    ordered = sorted(flat, key=lambda member: member.name)
    return [ImageTarget(folder, member.name, member) for folder, member in zip(labels.classes, ordered, strict=True)]

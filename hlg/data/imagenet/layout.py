"""What of an archive of images goes where: a class folder and a file for each, checked before anything is written."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hlg.data.imagenet.archives import IMAGES, Piece, pieces
from hlg.data.imagenet.devkit import DEVKIT, WNIDS, Truth
from hlg.errors import UserError

CHUNK = 256  # files that a worker takes at once from an archive that has no archives in it


class Target(NamedTuple):
    """One image: where its content lies in the archive, and what its class folder and its file are called."""

    folder: str
    name: str
    piece: Piece


@dataclass(frozen=True)
class Job:
    """What a worker does at once: a class that is an archive of its own, or some images of one that is not."""

    archive: Path
    size: int
    within: Piece | None = None
    targets: tuple[Target, ...] = ()


def plan(archive: Path, truth: Truth | None) -> list[Job]:
    """The jobs of one archive: every name in it is checked here, but for those in archives within it.

    Args:
        truth: the classes of images that lie in no class folder.

    Raises:
        UserError: the archive is damaged or refused, or it doesn't hold as many images as ``truth`` knows.
    """
    classes: list[Piece] = []
    targets: list[Target] = []
    flat: list[Piece] = []
    for piece in pieces(archive):
        path = PurePosixPath(piece.name)
        if path.suffix.lower() == ".tar":
            classes.append(piece)
        elif path.suffix.lower() not in IMAGES:
            raise UserError(f"{archive}: {piece.name!r}: is neither an image nor the archive of a class")
        elif len(path.parts) == 1:
            flat.append(piece)
        else:
            targets.append(Target(path.parts[-2], path.name, piece))
    if classes and (flat or targets):
        mixed = (flat or [target.piece for target in targets])[0].name
        raise UserError(f"{archive}: {mixed!r}: refused, an image beside archives of classes")
    targets += _labelled(archive, flat, truth)
    names = Counter((target.folder, target.name) for target in targets) + Counter(
        (PurePosixPath(piece.name).stem, "") for piece in classes
    )
    twice = [f"{folder}/{name}" for (folder, name), count in names.items() if count > 1]
    dotted = [f"{folder}/{name}" for folder, name in names if folder.startswith(".") or name.startswith(".")]
    for fault, found in (("would be written twice", twice), ("would be hidden", dotted)):
        if found:
            raise UserError(f"{archive}: {found[0]!r}: refused, it {fault}")
    if not names:
        raise UserError(f"{archive}: holds no image")
    jobs = [Job(archive, piece.size, within=piece) for piece in classes]
    targets.sort(key=lambda target: target.piece.start)  # read as they lie
    for first in range(0, len(targets), CHUNK):
        chunk = tuple(targets[first : first + CHUNK])
        jobs.append(Job(archive, sum(target.piece.size for target in chunk), targets=chunk))
    return jobs


def _labelled(archive: Path, flat: list[Piece], truth: Truth | None) -> list[Target]:
    """Images that lie in no folder, each with its class."""
    if not flat:
        return []
    if truth is None:
        raise UserError(
            f"{archive}: its images lie in no class folder, and nothing beside it says what they show: put "
            f"{DEVKIT} there, or {WNIDS} with one class a line in the order of the file names"
        )
    if len(truth.classes) != len(flat):
        raise UserError(
            f"{archive}: holds {len(flat):,} images in no class folder, but {truth.source} knows {len(truth.classes):,}"
        )
    ordered = sorted(flat, key=lambda piece: piece.name)
    return [Target(folder, piece.name, piece) for folder, piece in zip(truth.classes, ordered, strict=True)]

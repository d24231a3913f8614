"""Unpack archives of images where they lie, and remove them: a node has no room for both."""

import shutil
import time
from pathlib import Path, PurePosixPath

from hlg.console import say
from hlg.data.imagenet.archives import CLASS, OURS, ArchiveMember, list_members, open_members
from hlg.data.imagenet.labels import KIT
from hlg.data.index import SPLITS
from hlg.errors import UserError

ENDINGS = (".tar", ".tar.gz", ".tgz")


def unpack_archives(folder: Path) -> int:
    """Unpack and remove every archive directly in ``folder``, and every one in them; returns how many there were.

    ``imagenet_train.tar`` may hold a folder for each class or, as ImageNet is published, an archive for each class.

    Raises:
        UserError: a damaged or hostile archive, one whose images are of no class, or too little room; it is named.
    """
    start, count = time.monotonic(), 0
    for _ in range(2):  # no deeper, so that an archive that contains itself comes to an end
        for archive in _find_archives(folder):
            _unpack_archive(archive)
            count += 1
    if count:
        say(f"{folder}: {count} archives unpacked in {time.monotonic() - start:.1f}s")
    return count


def _find_archives(folder: Path) -> list[Path]:
    """List the archives of images directly in ``folder``, sorted by name."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.is_file() and path.name != KIT)
    return sorted(path for path in files if path.name.lower().endswith(ENDINGS))


def _unpack_archive(archive: Path) -> None:
    """Unpack one archive and remove it; all that is in it is checked before anything is written.

    Raises:
        UserError: as :func:`unpack_archives`. The archive stays, and so does what came out so far.
    """
    members = list(list_members(archive))
    into = _folder_for(archive, members)
    size, free = sum(member.size for member in members), shutil.disk_usage(archive.parent).free
    if size > free:
        raise UserError(
            f"{archive}: can't be unpacked, it has {size / 1e9:.1f} GB and the disk {free / 1e9:.1f} GB left; use a "
            "node with a larger disk, or fewer images"
        )
    try:
        with open_members(archive) as read:
            for member in members:
                path = into / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(read(member))
    except FileExistsError as error:
        raise UserError(f"{archive}: refused, {error.filename} is there already: is it in two archives?") from None
    except OSError as error:  # a full disk among them
        raise UserError(f"{archive}: can't be unpacked ({error.strerror or error})") from None
    archive.unlink()


def _folder_for(archive: Path, members: list[ArchiveMember]) -> Path:
    """Return where an archive is unpacked: where it lies or, if its images are those of a class, a folder of its name.

    Raises:
        UserError: the classes of its images are in no folder's name.
    """
    ending = next(ending for ending in ENDINGS[::-1] if archive.name.lower().endswith(ending))
    stem = archive.name[: -len(ending)]
    paths = [PurePosixPath(member.name) for member in members]
    images = [path for path in paths if path.suffix != ".tar" and path.name not in OURS]
    if CLASS.fullmatch(stem) and all(len(path.parts) == 1 for path in paths):
        return archive.parent / stem
    for path in images:
        if path.parent.name in ("", *SPLITS):
            raise UserError(
                f"{archive}: {str(path)!r} lies in no class folder, so its class is unknown: sort the images with "
                "make imagenet, and upload its train/ and val/"
            )
    return archive.parent

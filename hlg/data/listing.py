"""List an ImageNet-style folder, cached between runs.

Listing 1.28 million files takes seconds on a local disk and minutes on a network disk. The list is therefore cached as
`$XDG_CACHE_HOME/hlg-repro/<hash of the folder's path>.json` (`~/.cache` if that is not set), never in the folder
itself. Where nothing can be written, as in a container without a home, there is no cache and no failure.

A cached list counts only while the folder and each of its class folders have the inode, the time of last modification
and the time of last change that they had before they were listed. So these changes are noticed: a file or folder that
is added, removed, renamed, or replaced by renaming another one over it; a class folder that is touched, linked
elsewhere or given other rights; another disk mounted in its place. These are not, since a folder keeps no trace of
them: a file rewritten in place, and a change of the target of a link. Neither changes a name: sizes and contents never
come from the cache (see `hlg.data.hashes`), and a file that is gone is an error when it is opened.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hlg.errors import UserError
from hlg.files import read_plain

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")  # compared in lower case: .JPEG, .Jpg and .PNG count too
WORTH_CACHING = 20_000  # files; fewer are listed in no time
SETTLED_S = 2  # the clock of a file system may stand still so long: a second change would leave the time as it is
FORMAT = 2
LONGEST_LIST = 1 << 30  # bytes; that of ImageNet has a thirtieth

Stamp = list[int]  # inode, ns of last modification, ns of last change


@dataclass(frozen=True)
class ClassFolders:
    """The names in a data set's folder that do not begin with a dot, each list sorted."""

    folders: dict[str, tuple[list[str], list[str]]]  # class folder -> its images, everything else in it
    stray: list[str]  # beside the class folders


def list_class_folders(root: Path) -> ClassFolders:
    """List the class folders of `root` and what is in them; no file is opened.

    Raises:
        UserError: a folder is missing or cannot be read, or a link in its place leads nowhere.
    """
    cache = _cache_file(root)
    kept = cache and _recall(cache, root)
    if kept:
        return kept
    started = time.time_ns()
    stamps = {"": _stamp(root)}
    names, stray = _names(root, folders=True)
    folders = {}
    for name in names:
        stamps[name] = _stamp(root / name)
        folders[name] = _names(root / name, folders=False)
    found = ClassFolders(folders, stray)
    if cache and sum(len(images) for images, _ in folders.values()) >= WORTH_CACHING:
        changed = max(time_ns for stamp in stamps.values() if stamp for time_ns in stamp[1:])
        if None not in stamps.values() and changed < started - SETTLED_S * 10**9:
            _keep(cache, root, found, stamps)
    return found


def _names(folder: Path, *, folders: bool) -> tuple[list[str], list[str]]:
    """List the names in `folder` that are folders (or, if not `folders`, image files), and the others; both sorted.

    A link that leads nowhere counts as the image that its name says, and in the place of a folder it is refused: what
    it stood for is missing, and without it the classes behind would get other labels.
    """
    wanted: list[str] = []
    other: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                is_image = entry.name.lower().endswith(IMAGE_SUFFIXES)
                gone = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110 - slow for 1.28 million
                if gone and folders:
                    raise UserError(
                        f"{entry.path}: this link leads to nothing that can be read; if it is a class folder, all "
                        "labels behind it would shift without it: mend the link, or remove it"
                    )
                fits = entry.is_dir() if folders else is_image and (gone or entry.is_file())
                (wanted if fits else other).append(entry.name)
    except FileNotFoundError:
        raise UserError(f"{folder}: no such folder; give the folder that holds one folder a class") from None
    except NotADirectoryError:
        raise UserError(f"{folder}: is a file; give the folder that holds one folder a class") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from None
    return sorted(wanted), sorted(other)


# The cache: a line with the SHA-256 of what follows, then JSON


def _cache_file(root: Path) -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(base) if base.startswith("/") else Path.home() / ".cache"  # a relative one does not count
        return folder / "hlg-repro" / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]}.json"
    except (RuntimeError, OSError):  # no home; a link to itself
        return None


def _stamp(folder: Path) -> Stamp | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return [found.st_ino, found.st_mtime_ns, found.st_ctime_ns]


def _recall(cache: Path, root: Path) -> ClassFolders | None:
    """Read the cached list; None if there is none, if it is damaged, or if the folder has changed since."""
    try:
        digest, _, body = read_plain(cache, LONGEST_LIST).partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        kept = json.loads(body)  # as fast as can be, for it is ours by its hash
        if kept["format"] != FORMAT or any(_stamp(root / name) != stamp for name, stamp in kept["stamps"].items()):
            return None
        return ClassFolders({name: (images, other) for name, (images, other) in kept["folders"].items()}, kept["stray"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _keep(cache: Path, root: Path, found: ClassFolders, stamps: dict[str, Stamp | None]) -> None:
    """Write the list atomically; several ranks may do so at once."""
    kept = {"format": FORMAT, "root": str(root), "stamps": stamps, "folders": found.folders, "stray": found.stray}
    body = json.dumps(kept).encode()
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=cache.parent, prefix=cache.stem)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            Path(name).replace(cache)
        except OSError:
            Path(name).unlink()

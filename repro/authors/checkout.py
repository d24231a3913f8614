"""Recognize the authors' code in a folder: which commit it is, and whether anything in it was changed.

The answer comes from the files alone, by the hashes that git gives them, so that it is the same for a clone, a download
and a copy. What counts is what a training runs: train.py and src/. Nothing of their code is in this repository.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.errors import ReproError
from repro.files import read_json, read_regular

VERSIONS = Path(__file__).with_name("versions.json")
GET = "git clone https://gitee.com/mindspore/models, then PUBLISHED=models/research/cv/hlg"
FEWEST = 0.5  # of the files are theirs, or the folder holds something else
SHOWN = 5  # files that a message names


@dataclass(frozen=True)
class AuthorsCode:
    """The code in `folder`. `commit`: the published one that it is nearest to; `changed`: what differs from that."""

    folder: Path
    repository: str
    commit: str
    first: bool  # whether that is the first published commit
    changed: tuple[str, ...]

    @property
    def words(self) -> str:
        """Say whose code it is, which commit, changed or not."""
        which = f"{self.commit[:9]}{', as first published' if self.first else ', a later commit'}"
        if not self.changed:
            return f"{which}, unchanged"
        more = f" and {len(self.changed) - SHOWN} more" if len(self.changed) > SHOWN else ""
        return f"no published commit; nearest to {which}, but {', '.join(self.changed[:SHOWN])}{more}"


def recognize(folder: Path, versions: Path = VERSIONS) -> AuthorsCode:
    """Find out which of the published commits is in the folder.

    Raises:
        ReproError: it is not their code at all, or it can't be read.
    """
    known = read_json(versions)
    found = _hashes(folder)
    common = [name for name, digest in known["files"].items() if found.get(name) == digest]
    if len(common) < FEWEST * len(known["files"]):
        raise ReproError(f"--published: found {str(folder)!r}, which is not the authors' code; {GET}")
    differences = {}
    for version in known["versions"]:
        differences[version["commit"]] = _differences({**known["files"], **version["files"]}, found)
    commit = min(differences, key=lambda name: len(differences[name]))
    return AuthorsCode(
        folder, known["repository"], commit, commit == next(iter(differences)), tuple(differences[commit])
    )


def _hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of train.py and of every Python file in src/, by their paths in the folder."""
    files = [folder / "train.py", *folder.glob("src/**/*.py")]
    found = {}
    for file in files:
        if file.exists():
            try:
                found[file.relative_to(folder).as_posix()] = git_hash(read_regular(file))
            except OSError as error:
                raise ReproError(f"{file}: cannot be read: {error.strerror}") from None
    return found


def git_hash(content: bytes) -> str:
    """Return the name that git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _differences(known: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    changed = [f"{name} changed" for name in known if name in found and found[name] != known[name]]
    missing = [f"{name} missing" for name in known.keys() - found.keys()]
    added = [f"{name} added" for name in found.keys() - known.keys()]
    return sorted(changed) + sorted(missing) + sorted(added)

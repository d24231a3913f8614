"""Write and check the seal of a run folder: a file of SHA-256 hashes, written last; unfinished folders have none."""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

from repro.errors import ReproError
from repro.files import open_regular, read_text, replace_file

SEAL = "SHA256SUMS"
NOT_KEPT = "checkpoints/"  # sealed with the rest, but too large to be kept with the record
SHOWN = 20  # faults that a message names
_SEALED = re.compile(r"(?P<hash>[0-9a-f]{64})  (?P<name>.+)")


def is_sealed(folder: Path) -> bool:
    """Return whether the run was finished."""
    return os.path.lexists(folder / SEAL)


def write_seal(folder: Path) -> None:
    """Seal a folder that holds all that belongs in it: the hash of every file, in the place of an older seal."""
    (folder / SEAL).unlink(missing_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    replace_file(folder / SEAL, "".join(lines))


def verify_seal(folder: Path) -> int:
    """Check every file against the seal; return how many sealed checkpoints are absent, which is allowed.

    Raises:
        ReproError: files were changed, are missing or are extra; all are named.
    """
    sealed: dict[str, str] = {}
    for number, line in enumerate(read_text(folder / SEAL).removesuffix("\n").split("\n"), 1):
        match = _SEALED.fullmatch(line)
        if not match or match["name"] in sealed or not _is_inside(match["name"]):
            expected = "'<sha256>  <path in the folder>', each path once"
            raise ReproError(f"{folder / SEAL}:{number}: found {line[:200]!r}, expected {expected}")
        sealed[match["name"]] = match["hash"]

    found = [(Path(at).relative_to(folder), folders, files) for at, folders, files in os.walk(folder)]
    present = {(at / name).as_posix() for at, _, files in found for name in files}
    linked = [
        (at / name).as_posix() for at, folders, _ in found for name in folders if (folder / at / name).is_symlink()
    ]
    absent = {name for name in sealed.keys() - present if name.startswith(NOT_KEPT)}
    both = sorted(sealed.keys() & present)
    problems = [f"changed {name}" for name in both if _sha256(folder / name) != sealed[name]]
    problems += [f"missing {name}" for name in sorted(sealed.keys() - present - absent)]
    problems += [f"extra {name}" for name in sorted(present - sealed.keys() - {SEAL})]
    problems += [f"linked folder {name}" for name in sorted(linked)]  # whose files are those of others
    if problems:
        more = f" and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""
        problem = f"the seal is broken: {', '.join(problems[:SHOWN])}{more}"
        raise ReproError(f"{folder}: {problem}; restore the files or remove the folder")
    return len(absent)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == name


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open_regular(path) as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as error:
        raise ReproError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()

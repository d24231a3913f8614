"""The manifest of a tiny data set: how it came about, and the hash and size of every file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hlg.data.hashes import content_hash, file_digests, is_quickly_read
from hlg.data.index import MANIFEST, SPLITS
from hlg.errors import UserError
from hlg.files import load_json

Manifest = dict[str, Any]
Written = tuple[str, str, int]  # path relative to the data set, SHA-256, bytes


def build_manifest(identity: Manifest, names: dict[str, str], written: Iterable[Written]) -> Manifest:
    """Put together a manifest from what was asked for, the classes' names and the files."""
    written = sorted(written)
    files = {path: digest for path, digest, _ in written}
    splits = {
        split: {"images": sum(path.startswith(f"{split}/") for path in files), "hash": _hash(files, split)}
        for split in SPLITS
    }
    return {
        **identity,
        "classes": names,
        "splits": splits,
        "hash": _hash(files),
        "files": files,
        "bytes": {path: size for path, _, size in written},
    }


def read_manifest(out: Path) -> Manifest | None:
    """Read the manifest in a folder; None where there is none or another tool wrote it."""
    try:
        manifest = load_json(out / MANIFEST)
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and _is_ours(manifest) else None


def _is_ours(found: Manifest) -> bool:
    """Tell whether an object is what :func:`build_manifest` makes."""
    splits = found.get("splits")
    return (
        found.get("kind") in ("drawn", "carved")
        and isinstance(found.get("hash"), str)
        and isinstance(splits, dict)
        and all(isinstance(splits.get(split), dict) and "hash" in splits[split] for split in SPLITS)
        and all(_is_map_to(kind, found.get(key)) for key, kind in (("files", str), ("bytes", int), ("classes", str)))
        and bool(found["bytes"])
    )


def _is_map_to(kind: type, found: object) -> bool:
    """Tell whether it is an object whose values are of one type."""
    return isinstance(found, dict) and all(type(value) is kind for value in found.values())


def file_sizes(out: Path) -> dict[str, int]:
    """Bytes of every file in a folder but the manifest, by relative path."""
    found = {p.relative_to(out).as_posix(): p.stat().st_size for p in out.rglob("*") if p.is_file()}
    found.pop(MANIFEST, None)
    return found


def is_as_made(out: Path, manifest: Manifest) -> bool:
    """Tell whether the files of a manifest are there, by their sizes and, if they are quickly read, their contents."""
    sizes: dict[str, int] = manifest["bytes"]
    if not file_sizes(out).items() >= sizes.items():
        return False
    return not is_quickly_read(sizes.values()) or file_digests(str(out), [*sizes]) == [
        manifest["files"][path] for path in sizes
    ]


def verify_tiny(out: Path) -> list[str]:
    """List every difference between a data set and its manifest, one sentence each; reads every byte.

    Raises:
        UserError: the folder has no manifest of this tool.
    """
    manifest = read_manifest(out)
    if manifest is None:
        raise UserError(f"{out}: no {MANIFEST} of this tool in it; make the data set first")
    files: dict[str, str] = manifest["files"]
    present = file_sizes(out)
    problems = [f"{path}: missing" for path in sorted(files.keys() - present.keys())]
    problems += [f"{path}: not in the manifest" for path in sorted(present.keys() - files.keys())]
    both = sorted(files.keys() & present.keys())
    found = zip(both, file_digests(str(out), both), strict=True)
    problems += [f"{path}: content differs" for path, digest in found if digest != files[path]]
    if manifest["hash"] != _hash(files):
        problems.append(f"{MANIFEST}: its hash is not that of its files")
    problems += [
        f"{MANIFEST}: its hash of {split} is not that of its files"
        for split in SPLITS
        if manifest["splits"][split]["hash"] != _hash(files, split)
    ]
    return problems


def _hash(files: dict[str, str], split: str = "") -> str:
    return content_hash({path: digest for path, digest in files.items() if path.startswith(split)})

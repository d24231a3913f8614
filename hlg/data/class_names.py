"""Read and write the names of classes for people: ImageNet's lists of them, and the list kept beside a data set."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from hlg.data.index import MANIFEST
from hlg.errors import UserError
from hlg.files import write_atomic

NAMES_FILE = "classes.txt"  # beside train/ and val/
LONGEST = 32 << 20  # bytes of such a list at most: WordNet's 82,115 names take 3 MB
_LINE = re.compile(r"(n\d{8})[\s,]+(.*)")


def read_class_names(path: Path) -> dict[str, str]:
    """Read class folder -> name from a list: lines such as ``n01440764 tench, Tinca tinca``, or a JSON object.

    LOC_synset_mapping.txt, words.txt and the ``manifest.json`` of a tiny data set are such lists.

    Raises:
        UserError: the file can't be read, or a line names no class.
    """
    try:
        if path.stat().st_size > LONGEST:
            raise UserError(f"{path}: has more than {LONGEST:,} bytes, so it is no list of classes")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this list of classes can't be read ({error})") from None
    if path.suffix == ".json":
        return _read_json(path, text)
    names = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if not found:
            raise UserError(f"{path}:{number}: found {line[:60]!r}; expected a class and its name: n01440764 tench")
        names[found[1]] = found[2].strip()
    return names


def _read_json(path: Path, text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
        found = found.get("classes", found)
        return {str(key): str(name) for key, name in found.items()}
    except (ValueError, AttributeError):
        raise UserError(f"{path}: expected a JSON object of names by class folder") from None


def class_names_beside(root: Path) -> dict[str, str]:
    """Read the names kept beside a split such as ``imagenet/val``; nothing where there is no list of ours."""
    for name in (NAMES_FILE, MANIFEST):
        try:
            return read_class_names(root.resolve().parent / name)
        except UserError:
            continue
    return {}


def class_names(named: str, root: Path) -> dict[str, str]:
    """Read the names in the file ``named`` or, if that is empty, those beside the split ``root``."""
    return read_class_names(Path(named)) if named else class_names_beside(root)


def write_class_names(folder: Path, names: Mapping[str, str]) -> None:
    """Keep the names beside the splits in ``folder``."""
    write_atomic(folder / NAMES_FILE, "".join(f"{key} {name}\n" for key, name in sorted(names.items())))

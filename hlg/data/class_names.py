"""Read and write the names of classes for people: the lists that ImageNet and other tools have, and our own."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hlg.data.index import MANIFEST
from hlg.errors import UserError
from hlg.files import parse_json, read_plain, write_atomic

NAMES_FILE = "classes.txt"  # beside train/ and val/
LONGEST = 32 << 20  # bytes of such a list at most: WordNet's 82,115 names take 3 MB
_LINE = re.compile(r"(n\d{8})(?:[\s,]+(.*))?")
_FORMS = (
    'lines such as n01440764 tench, or JSON: {"0": ["n01440764", "tench"], ...} or {"0": "tench", ...} with every '
    "label from 0 on"
)


@dataclass(frozen=True)
class ClassList:
    """The classes that a file lists: their folders, None where it has names by label alone, and their names.

    One that nobody ``named`` lies beside the data; it may lack some of the classes, or all.
    """

    folders: tuple[str, ...] | None = ()
    names: tuple[str, ...] = ()
    named: str = ""

    def by_folder(self) -> dict[str, str]:
        """Return the names by class folder, as far as the file has both."""
        return {folder: name for folder, name in zip(self.folders or (), self.names, strict=False) if name}

    def names_of(self, classes: Sequence[str]) -> dict[str, str]:
        """Name these classes, which are in label order.

        Raises:
            UserError: the list was named and lacks one of them, or has names by label alone and not as many.
        """
        if not self.named:
            return self.by_folder()
        if self.folders is None:
            if len(self.names) != len(classes):
                raise UserError(
                    f"class_names: {self.named} names {len(self.names):,} labels, not the {len(classes):,} classes here"
                )
            return dict(zip(classes, self.names, strict=True))
        if missing := sorted(set(classes) - set(self.folders)):
            raise UserError(
                f"class_names: {self.named} has no class {missing[0]} (label {list(classes).index(missing[0])}), so it "
                f"is not the list of these {len(classes):,} classes"
            )
        return self.by_folder()


def read_class_list(path: Path) -> ClassList:
    """Read a list of classes: lines such as ``n01440764 tench, Tinca tinca``, or one of three JSON objects.

    Lines are those of LOC_synset_mapping.txt, of words.txt, or of a list of class folders alone. The objects are
    ``imagenet_class_index.json``, the ``id2label`` of a model card, and the ``manifest.json`` of a tiny data set.

    Raises:
        UserError: the file can't be read, or is none of these.
    """
    try:
        text = read_plain(path, LONGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: this list of classes can't be read ({reason})") from None
    folders, names = _read_json(path, text) if path.suffix == ".json" else _read_lines(path, text)
    if not names:
        raise UserError(f"{path}: names no class; expected {_FORMS}")
    if folders is not None and len(set(folders)) < len(folders):
        twice = next(folder for i, folder in enumerate(folders) if folder in folders[:i])
        raise UserError(f"{path}: has the class {twice} twice; expected each once")
    return ClassList(None if folders is None else tuple(folders), tuple(names))


def _read_lines(path: Path, text: str) -> tuple[list[str], list[str]]:
    folders, names = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if not found:
            raise UserError(f"{path}:{number}: found {line[:60]!r}; expected {_FORMS}")
        folders.append(found[1])
        names.append((found[2] or "").strip())
    return folders, names


def _read_json(path: Path, text: str) -> tuple[list[str] | None, list[str]]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise UserError(f"{path}: is not valid JSON ({error})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: found {type(found).__name__}; expected {_FORMS}")
    if found.get("kind") in ("drawn", "carved") and isinstance(own := found.get("classes"), dict):
        return list(own), [str(name) for name in own.values()]
    labels = {str(label) for label in range(len(found))}
    if wrong := [key for key in found if key not in labels]:
        raise UserError(f"{path}: found the key {wrong[0][:60]!r} among {len(found):,}; expected {_FORMS}")
    rows = [found[str(label)] for label in range(len(found))]
    if all(isinstance(row, str) for row in rows):
        return None, rows
    for label, row in enumerate(rows):
        pair = isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) for part in row)
        if not pair or not re.fullmatch(r"n\d{8}", row[0]):
            raise UserError(f'{path}: "{label}": found {json.dumps(row)[:60]}; expected {_FORMS}')
    return [row[0] for row in rows], [row[1] for row in rows]


def find_class_list(named: str, root: Path | None = None) -> ClassList:
    """Read the list ``named`` or, if that is empty, the one beside the split ``root``, an empty one if there is none.

    Raises:
        UserError: the list that was named is none.
    """
    if named:
        return replace(read_class_list(Path(named)), named=named)
    for path in [root.resolve().parent / name for name in (NAMES_FILE, MANIFEST)] if root else []:
        try:
            return read_class_list(path)
        except UserError:
            continue
    return ClassList()


def write_class_names(folder: Path, names: Mapping[str, str]) -> None:
    """Keep the names beside the splits in ``folder``."""
    write_atomic(folder / NAMES_FILE, "".join(f"{key} {name}\n" for key, name in sorted(names.items())))

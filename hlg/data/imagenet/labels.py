"""Read the classes of validation images that lie in no class folder, from the lists that are usual beside them."""

import csv
import io
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hlg.data.class_names import read_class_list
from hlg.data.imagenet.archives import CLASS, read_files
from hlg.errors import UserError
from hlg.files import read_plain
from hlg.signals import deaf_children

KIT = "ILSVRC2012_devkit_t12.tar.gz"
TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"  # of the kit, in its folder data
WNIDS = "val_wnids.txt"  # one class a line, in the order of the images' file names
SOLUTION = "LOC_val_solution.csv"  # Kaggle's
MAPPING = "LOC_synset_mapping.txt"  # the names of the classes only
PLACES = ("", "val", "data", "ILSVRC2012_devkit_t12/data")  # where such files lie in the folder of the archives
LARGEST = 64 << 20  # bytes of such a file, and of the whole kit a few times that
VAL_IMAGES = 50_000
META_S, META_BYTES = 60, 1 << 30  # of the processor and of memory for the kit's table, which takes one and 30 MB


class ValidationLabels(NamedTuple):
    """The classes of the validation images, by their file names or else in their order, as far as known."""

    source: Path | None  # the file that says so
    names: dict[str, str]  # class folder -> name
    by_image: dict[str, str]  # file name without suffix -> class folder
    in_order: list[str]  # the class folder of each image


def read_validation_labels(folder: Path) -> ValidationLabels:
    """Read the first list that is in ``folder``: WNIDS, SOLUTION, the development kit, or its two files.

    Raises:
        UserError: a file is damaged, or not what its name says; it is named.
    """
    mapping = _find(folder, MAPPING)
    names = read_class_list(mapping).by_folder() if mapping else {}
    if path := _find(folder, WNIDS):
        classes = _read_wnids(path)
        if len(classes) == VAL_IMAGES:
            return ValidationLabels(path, names, _numbered(classes), [])
        return ValidationLabels(path, names, {}, classes)
    if path := _find(folder, SOLUTION):
        return ValidationLabels(path, names, _read_solution(path), [])
    if path := _find(folder, KIT):
        files = read_files(path, lambda name: PurePosixPath(name).parent.name == "data", 4 * LARGEST)
        found = {PurePosixPath(name).name: content for name, content in files.items()}
    elif path := _find(folder, TRUTH):
        found = {file.name: _read(file) for file in (path, path.with_name(META)) if file.exists()}
    else:
        return ValidationLabels(None, names, {}, [])
    classes, kit_names = _read_kit(path, found)
    return ValidationLabels(path, {**kit_names, **names}, _numbered(classes), [])


def _find(folder: Path, name: str) -> Path | None:
    return next((path for place in PLACES if (path := folder / place / name).is_file()), None)


def _numbered(classes: Sequence[str]) -> dict[str, str]:
    """Name the images of a list that has all of them, as ImageNet does."""
    return {f"ILSVRC2012_val_{number:08d}": wnid for number, wnid in enumerate(classes, 1)}


def _read(path: Path) -> bytes:
    try:
        return read_plain(path, LARGEST)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None


def _read_text(path: Path) -> str:
    try:
        return _read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: can't be read ({error})") from None


def _read_wnids(path: Path) -> list[str]:
    lines = [line.strip() for line in _read_text(path).rstrip().splitlines()]
    for number, line in enumerate(lines, 1):
        if not CLASS.fullmatch(line):
            raise UserError(f"{path}:{number}: found {line[:60]!r}; expected one class a line, such as n01440764")
    return lines


def _read_solution(path: Path) -> dict[str, str]:
    """Read Kaggle's list: of each image its name and, for each box in it, class and four numbers."""
    classes: dict[str, str] = {}
    try:
        rows = list(csv.reader(io.StringIO(_read_text(path))))
    except csv.Error as error:
        raise UserError(f"{path}: is not a table of comma-separated values ({error})") from None
    for number, row in enumerate(rows, 1):
        if not row or row == ["ImageId", "PredictionString"]:
            continue
        shown = set(row[1].split()[::5]) if len(row) == 2 else set()
        if len(shown) != 1 or not CLASS.fullmatch(min(shown)) or row[0] in classes:
            raise UserError(
                f"{path}:{number}: found {','.join(row)[:60]!r}; expected a new image and one class with its boxes: "
                "ILSVRC2012_val_00000001,n01440764 1 2 30 40"
            )
        classes[row[0]] = shown.pop()
    return classes


def _read_kit(path: Path, found: dict[str, bytes]) -> tuple[list[str], dict[str, str]]:
    """Read class folder of each image, and names of the classes, from the two files of the kit at ``path``."""
    for name in (TRUTH, META):
        if not found.get(name):
            raise UserError(f"{path}: there is no data/{name} with it: is it the kit of tasks 1 and 2?")
    classes = _read_meta(path, found[META])
    order = []
    for number, line in enumerate(found[TRUTH].decode("utf-8-sig", "replace").split(), 1):
        known = classes.get(int(line)) if line.isascii() and line.isdecimal() else None
        if known is None:
            raise UserError(
                f"{path}: data/{TRUTH}:{number}: found {line[:60]!r}, a class that data/{META} doesn't know"
            )
        order.append(known[0])
    return order, dict(classes.values())


def _read_meta(path: Path, content: bytes) -> dict[int, tuple[str, str]]:
    """Read the kit's table: ILSVRC2012_ID -> class folder and name."""
    try:  # in a process of its own, for scipy's reader can be brought down by one wrong byte
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            with deaf_children():
                table = pool.submit(_load_meta, content)
            classes = table.result()
    except Exception as error:  # whatever its reader stumbles over
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: data/{META} is not the kit's table of classes ({reason})") from None
    for wnid, _ in classes.values():
        if not CLASS.fullmatch(wnid):
            raise UserError(f"{path}: data/{META}: found the class {wnid[:60]!r}; expected one such as n01440764")
    return classes


def _load_meta(content: bytes) -> dict[int, tuple[str, str]]:
    """Read the table, which is in MATLAB's format, with a bound on time and memory, in a process of its own."""
    import resource

    from scipy.io import loadmat

    used = Path("/proc/self/statm").read_text().split()[5]  # pages of data
    most = int(used) * resource.getpagesize() + META_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (META_S, META_S))
    table = loadmat(io.BytesIO(content), squeeze_me=True, variable_names=["synsets"])["synsets"]
    columns = (table[key].tolist() for key in ("ILSVRC2012_ID", "WNID", "words", "num_children"))
    rows = [
        (int(number), str(wnid), str(words))
        for number, wnid, words, children in zip(*columns, strict=True)
        if children == 0
    ]
    classes = {number: (wnid, words) for number, wnid, words in rows}
    if len({wnid for wnid, _ in classes.values()}) < len(rows):
        raise ValueError("a class is there twice")
    return classes

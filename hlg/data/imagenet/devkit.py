"""Read the classes of the validation images, which the archive of the images does not tell.

They come from ImageNet's development kit (ILSVRC2012_devkit_t12.tar.gz), or from ``val_wnids.txt``: one class per line,
in the order of the images' file names.
"""

import io
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

from hlg.data.class_names import read_class_names
from hlg.data.imagenet.archives import DAMAGED
from hlg.errors import UserError

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
WNIDS = "val_wnids.txt"
MAPPING = "LOC_synset_mapping.txt"  # the names of the classes only
TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"  # in the folder data of the kit
LARGEST = 64 << 20  # bytes of either, and of the whole kit a few times that
CLASS = re.compile(r"n\d{8}")


class ValidationLabels(NamedTuple):
    """The classes of the validation images."""

    classes: list[str]  # the class folder of each image, in the order of their file names
    source: Path  # the file that says so
    names: dict[str, str]  # class folder -> name, as far as known


def read_validation_labels(folder: Path) -> ValidationLabels | None:
    """Read ``val_wnids.txt`` in ``folder`` or, without that, the development kit; None where neither is.

    Raises:
        UserError: a file is damaged, or not what its name says; it is named.
    """
    names = read_class_names(folder / MAPPING) if (folder / MAPPING).exists() else {}
    if (folder / WNIDS).exists():
        return ValidationLabels(_wnids(folder / WNIDS), folder / WNIDS, names)
    if (folder / DEVKIT).exists():
        classes, kit_names = _kit(folder / DEVKIT)
        return ValidationLabels(classes, folder / DEVKIT, {**kit_names, **names})
    return None


def _wnids(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    for number, line in enumerate(lines, 1):
        if not CLASS.fullmatch(line.strip()):
            raise UserError(f"{path}:{number}: found {line[:60]!r}; expected one class a line, such as n01440764")
    return [line.strip() for line in lines]


def _kit(path: Path) -> tuple[list[str], dict[str, str]]:
    wanted = {TRUTH: b"", META: b""}
    try:
        with tarfile.open(path, "r|*") as tar:  # a stream: nothing is unpacked
            for member in tar:
                if member.offset_data + member.size > 4 * LARGEST:
                    raise UserError(f"{path}: {member.name!r}: refused, the kit has no more than {LARGEST:,} bytes")
                name = Path(member.name).name
                if name in wanted and member.isreg() and Path(member.name).parent.name == "data":
                    wanted[name] = tar.extractfile(member).read()  # type: ignore[union-attr]
    except (*DAMAGED, OSError) as error:
        raise UserError(f"{path}: damaged or no archive ({error}); fetch it anew") from None
    for name, content in wanted.items():
        if not content:
            raise UserError(f"{path}: holds no data/{name}: is it the kit of tasks 1 and 2?")
    classes = _meta(path, wanted[META])
    order = []
    for number, line in enumerate(wanted[TRUTH].decode("ascii", "replace").split(), 1):
        found = classes.get(int(line)) if line.isdecimal() else None
        if found is None:
            raise UserError(
                f"{path}: data/{TRUTH}:{number}: found {line[:60]!r}, a class that data/{META} doesn't know"
            )
        order.append(found[0])
    return order, dict(classes.values())


def _meta(path: Path, content: bytes) -> dict[int, tuple[str, str]]:
    """Read the kit's table, which is in MATLAB's format: ILSVRC2012_ID -> class folder and name."""
    from scipy.io import loadmat  # takes half a second, and only the kit needs it

    try:
        table = loadmat(io.BytesIO(content), squeeze_me=True, variable_names=["synsets"])["synsets"]
        rows = zip(table["ILSVRC2012_ID"], table["WNID"], table["words"], table["num_children"], strict=True)
        classes = {int(number): (str(wnid), str(words)) for number, wnid, words, children in rows if children == 0}
    except Exception as error:  # whatever its reader stumbles over
        raise UserError(f"{path}: data/{META} is not the kit's table of classes ({error})") from None
    for wnid, _ in classes.values():
        if not CLASS.fullmatch(wnid):
            raise UserError(f"{path}: data/{META}: found the class {wnid[:60]!r}; expected one such as n01440764")
    return classes

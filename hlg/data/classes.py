"""Hold the classes of a data set against those that a checkpoint was trained on.

A label is a place among sorted folder names. A folder that is missing or renamed gives all labels behind it another
meaning, so the class folders travel with the weights, and whatever brings the two together compares them here.
"""

import hashlib
import json
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from hlg.data.index import ImageIndex
from hlg.errors import UserError
from hlg.files import parse_json

IMAGENET_ORDER = "sha256:70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"  # of its 1000 class folders
IMAGENET_OUTPUTS = (1000, 1001)  # of a network for them; the published one has a last output that means nothing


def label_order(classes: Sequence[str]) -> str:
    """Hash what the labels mean: the names of the class folders in order, one per line."""
    return f"sha256:{hashlib.sha256(os.fsencode(''.join(f'{name}{chr(10)}' for name in classes))).hexdigest()}"


@dataclass(frozen=True)
class OutputClasses:
    """The classes that a network's outputs stand for, as far as they are known.

    ``told`` holds their class folders in label order, or only the hash of that list, or None where nothing is known;
    ``source`` says who tells it.
    """

    source: str
    told: tuple[str, ...] | str | None = None

    @property
    def folders(self) -> tuple[str, ...] | None:
        """The class folder of each output, where there is a list of them."""
        return self.told if isinstance(self.told, tuple) else None

    @property
    def order(self) -> str | None:
        """The hash of that list."""
        return label_order(self.told) if isinstance(self.told, tuple) else self.told

    def listed(self, folders: Sequence[str]) -> "OutputClasses":
        """Take the list from elsewhere, if it is the one whose hash alone is known."""
        fits = isinstance(self.told, str) and label_order(folders) == self.told
        return replace(self, told=tuple(folders)) if fits else self


def classes_to_text(told: tuple[str, ...] | str) -> str:
    """Write what is known as the text that a checkpoint carries, in ASCII."""
    return json.dumps(told)


def classes_from_text(text: str) -> tuple[str, ...] | str:
    """Read that text.

    Raises:
        ValueError: it is none.
    """
    found = parse_json(text)
    if isinstance(found, str):
        return found
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"found {text[:60]}, expected a list of class folders")
    return tuple(found)


class Agreed(NamedTuple):
    """How labels were mapped to outputs. ``how``: same, name, order or unknown; ``note``: for the user, or empty."""

    classes: tuple[str, ...]
    how: str
    note: str = ""


def agree(here: tuple[str, ...], where: object, outputs: OutputClasses, class_map: str) -> Agreed:
    """Compare the class folders of the data set ``where`` with those of a network's outputs.

    Args:
        here: The class folders, in order.
        where: The folder or file that has them.
        outputs: What the network's outputs mean.
        class_map: What to do where they differ, see the key of that name.

    Raises:
        UserError: they differ, and ``class_map`` doesn't say how to match them, or can't match them.
    """
    if outputs.told is None:
        if class_map == "name":
            raise UserError(f"class_map: found name, but {outputs.source} names no classes; allowed here: order")
        if class_map == "order":
            return Agreed(here, "order")
        note = f"{outputs.source} names no classes, so its outputs are taken for the class folders of {where} in order"
        return Agreed(here, "unknown", f"warning: {note}")
    if label_order(here) == outputs.order:
        return Agreed(here, "same")
    difference = _first_difference(here, outputs)
    if class_map == "order":
        note = f"{where}: the outputs are taken for its class folders in order (class_map=order), although {difference}"
        return Agreed(here, "order", f"warning: {note}")
    if class_map == "name":
        if outputs.folders is None:
            raise UserError(f"class_map: found name, but {outputs.source} has no list of names; give it as class_names")
        foreign = sorted(set(here) - set(outputs.folders))
        if foreign:
            raise UserError(f"{where}: class_map=name, but {outputs.source} has no class {foreign[0]}: remove it")
        note = f"{where}: {len(here)} of the {len(outputs.folders)} classes of {outputs.source}, by name"
        return Agreed(outputs.folders, "name", note)
    raise UserError(
        f"{where}: its labels are not those of {outputs.source}: {difference}. Complete or rename its class folders; "
        "or take each by its name (class_map=name), or all in their order (class_map=order)"
    )


def _first_difference(here: tuple[str, ...], outputs: OutputClasses) -> str:
    if outputs.folders is None:
        return f"its {len(here):,} class folders are not the 1,000 of ImageNet"
    pairs = enumerate(zip_longest(here, outputs.folders, fillvalue="nothing"))
    label, (own, other) = next((label, pair) for label, pair in pairs if pair[0] != pair[1])
    if len({unicodedata.normalize("NFC", name) for name in (own, other)}) == 1:  # macOS splits accents from letters
        own, other = ascii(own), ascii(other)
    return f"label {label} is {own} here and {other} there ({len(here):,} and {len(outputs.folders):,} classes)"


def label_images(index: ImageIndex, outputs: OutputClasses, class_map: str) -> tuple[ImageIndex, Agreed]:
    """Give the images the labels that a network's outputs have for their class folders.

    Raises:
        UserError: see :func:`agree`.
    """
    found = agree(index.classes, index.root, outputs, class_map)
    if found.how != "name":
        return index, found
    label = {name: i for i, name in enumerate(found.classes)}
    labels = np.array([label[name] for name in index.classes], np.int32)[index.labels]
    return replace(index, classes=found.classes, labels=labels), found

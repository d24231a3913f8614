"""Index the images of an ImageNet-style folder, which has a folder of images for each class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hlg.data.listing import IMAGE_SUFFIXES, list_class_folders
from hlg.errors import UserError

SPLITS = ("train", "val")
MANIFEST = "manifest.json"  # beside the splits of a data set made by hlg.data.tiny
REPORT = "verified.json"  # beside the splits of a data set that hlg.data.imagenet.verify inspected


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """The images of one split in a fixed order: by class, then by file name.

    The label of a class is its place among the sorted folder names, as in MindSpore's ImageFolderDataset.
    """

    root: Path
    classes: tuple[str, ...]  # folder names; classes[label]
    files: tuple[str, ...]  # (N,) posix paths relative to root
    labels: np.ndarray  # (N,) int32
    warnings: tuple[str, ...]  # what was found and ignored, one sentence each


def scan(root: str | Path, class_num: int) -> ImageIndex:
    """Index the images of `root`; only names are read, and `hlg.data.listing` caches long lists of them.

    There may be fewer class folders than `class_num` (the published model has 1001 outputs for 1000 classes).
    Names that begin with a dot are ignored; everything else that is not an image in a class folder is counted in
    `warnings`.

    Raises:
        UserError: the folder is missing or unreadable, or has no class folders, more than `class_num` of them, one
            whose name is no text, or one without images, which would take a label and never be seen.
    """
    root = Path(root)
    found = list_class_folders(root)
    classes, stray = list(found.folders), found.stray
    if not classes:
        images = any(name.lower().endswith(IMAGE_SUFFIXES) for name in stray)
        hint = "the images lie in it directly: sort them into one (make imagenet)" if images else "it has none"
        raise UserError(f"{root}: expected one folder a class (like n01440764), but {hint}")
    if len(classes) > class_num:
        raise UserError(
            f"{root}: {len(classes)} class folders, but the model has class_num={class_num} outputs: "
            f"raise class_num to {len(classes)} or more, or point at another folder"
        )

    for name in classes:
        if name.encode(errors="replace").decode() != name:  # runs and checkpoints carry these names as text
            raise UserError(f"{root}: the name of the class folder {name!r} is not UTF-8: rename it")

    files: list[str] = []
    counts: list[int] = []
    inside: list[str] = []
    for name, (images_of_class, others) in found.folders.items():
        files += [f"{name}/{file}" for file in images_of_class]
        counts.append(len(images_of_class))
        inside += [f"{name}/{other}" for other in others]

    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        shown = ", ".join(empty[:3]) + (", ..." if len(empty) > 3 else "")
        raise UserError(
            f"{root}: {len(empty)} of {len(classes)} class folders hold no image "
            f"({' '.join(IMAGE_SUFFIXES)}): {shown}; fill or remove them, or point at the folder that holds "
            "the class folders"
        )

    warnings = []
    shifted = [label for label, name in enumerate(classes) if name.isdecimal() and int(name) != label]
    if shifted:
        warnings.append(
            f"{root}: label {shifted[0]} is the folder {classes[shifted[0]]}, for names are sorted, not numbers; "
            "ImageNet-V2's folders are numbered by label, so sort them by make imagenet"
        )
    if len(classes) == 1:
        warnings.append(f"{root}: has one class folder, {classes[0]}, so all images have label 0")
    if stray:
        warnings.append(f"{root}: {len(stray)} ignored beside the class folders, such as {stray[0]}")
    if inside:
        warnings.append(f"{root}: {len(inside)} ignored in class folders that are no images, such as {inside[0]}")
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), counts)
    return ImageIndex(root, tuple(classes), tuple(files), labels, tuple(warnings))

"""Count correct and mistaken images, class by class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PAIRS = 100  # how many of the most confused pairs are kept


class Confusion:
    """Counts of one evaluation for each class; those of several ranks can be added up.

    ``counts`` is int64 (C, outputs + 2): the number of images of a class that were mistaken for each output, that were
    right (top-1), and that were right among the top 5.
    """

    def __init__(self, classes: Sequence[str], outputs: int) -> None:
        self.classes = classes
        self.counts = np.zeros((len(classes), outputs + 2), np.int64)

    def add(self, labels: np.ndarray, places: np.ndarray, highest: np.ndarray) -> None:
        """Count a batch of images.

        Args:
            labels: (B,), the class of each image.
            places: (B,), how many outputs scored higher than that class.
            highest: (B,), the output that scored highest.
        """
        right = self.counts.shape[1] - 2
        np.add.at(self.counts, (labels, np.where(places == 0, right, highest)), 1)
        top5 = labels[places < 5]
        np.add.at(self.counts, (top5, np.full_like(top5, right + 1)), 1)

    def facts(self, names: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
        """The facts for ``eval.json``: every class, and the most confused pairs; ``names`` by class folder."""
        taken, right, top5 = self.counts[:, :-2], self.counts[:, -2], self.counts[:, -1]
        images = taken.sum(1) + right
        classes = [
            {
                "class": folder,
                **({"name": names[folder]} if folder in names else {}),
                "images": int(images[label]),
                "correct_top1": int(right[label]),
                "correct_top5": int(top5[label]),
            }
            for label, folder in enumerate(self.classes)
        ]
        order = np.argsort(-taken, axis=None, kind="stable")[:PAIRS]
        pairs = [tuple(map(int, np.unravel_index(place, taken.shape))) for place in order]
        confused = [
            {
                "class": self.classes[label],
                "taken_for": class_title(self.classes, other),
                "images": int(taken[label, other]),
            }
            for label, other in pairs
            if taken[label, other] and label != other  # a class mistaken for itself scored nan
        ]
        return {"classes": classes, "confused": confused}


def class_title(classes: Sequence[str], label: int) -> str:
    """Return the class folder of an output; the published network has one output more than there are classes."""
    return classes[label] if label < len(classes) else f"output {label}"

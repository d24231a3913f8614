"""The rows of a fingerprint: the only place that lists their names, and what a check found for one of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

STAGES, BLOCKS = (4, 3, 2, 1), (1, 0)  # of the network, from the head back to the stem


def _group(group: str, *names: str) -> list[tuple[str, str]]:
    return [(group, name) for name in names]


def _forward() -> Iterator[tuple[str, str]]:
    """Operator groups, from the stem to the head."""
    yield from _group("stem", "convolution", "batch norm", "GELU")
    windows = ("smoothing", "regrouping", "norm 0", "window attention", "window means")
    for stage in reversed(STAGES):
        yield from _group(f"stage {stage}", "patch embedding", "position embedding")
        for block in reversed(BLOCKS):
            local = windows if stage < 4 else ()
            names = (*local, "norm 1", "global attention", "norm 2", "MLP", "output")
            yield from _group(f"stage {stage} block {block}", *names)
    yield from _group("head", "norm", "logits")


def _backward() -> Iterator[tuple[str, str]]:
    """Parts of the network with weights, from the head back to the stem."""
    yield from _group("head", "head", "norm")
    for stage in STAGES:
        for block in BLOCKS:
            local = ("norm 0", "smoothing") if stage < 4 else ()
            yield from _group(f"stage {stage} block {block}", "MLP", "norm 2", "attention", "norm 1", *local)
        yield from _group(f"stage {stage}", "position embedding", "patch embedding")


# Area -> (group, name) of each row, in the order in which data flows. Kept results hold these names: they don't change.
ROWS: dict[str, list[tuple[str, str]]] = {
    "input": [
        *_group("", "decoded", "crop box", "resized for training", "resized for evaluation"),
        *_group("", "normalised", "mixed", "labels of the mixture"),
    ],
    "initial weights": _group("", "zeros", "ones", "dense", "convolutions", "embeddings"),
    "forward": list(_forward()),
    "loss": _group("", "ce_smooth_mixup", "ce_smooth"),
    "backward": list(_backward()),
    "training": [
        *_group("", "moving statistics", "batch norm's rule", "loss 1", "an overflow is seen"),
        *_group("", "an overflow changes nothing", "loss 2", "loss 3"),
    ],
    "optimiser": _group("", "schedule", "decay", "no decay", "step 1", "step 2", "step 3"),
    "ranks": _group("", "mean over all ranks", "the same on all ranks", "exact counts", "other ranks"),
    "checkpoint": _group("", "saved and loaded", "published names"),
}
# What `--only` takes. The rows of "training" come from the same steps as those of "backward".
AREAS = tuple(area for area in ROWS if area != "training")
PUBLISHED = "published"  # the area of a comparison with a golden file, whose rows against_golden lists
THE_REST = "the rest"  # stands for the rows of an area that the device could not compute

MEASURED, EXACT = "measured noise", "exact"  # sources of a bound


def row_label(area: str, group: str, name: str) -> str:
    """The full name of a row, unique in a fingerprint."""
    return ": ".join(part for part in (area, group, name) if part)


LABELS = tuple(row_label(area, group, name) for area, parts in ROWS.items() for group, name in parts)


@dataclass(frozen=True)
class FingerprintRow:
    """One line of the fingerprint. Without an error it was not done, and ``note`` says why."""

    area: str
    group: str
    name: str
    error: float | None
    bound: float | None
    source: str = MEASURED  # of the bound
    worst: str = ""  # the tensor with the largest error
    note: str = ""

    def __post_init__(self) -> None:
        if self.label not in LABELS and self.area != PUBLISHED and self.name != THE_REST:
            raise LookupError(f"{self.label!r} is no row of a fingerprint; hlg/fingerprint/rows.py lists them")

    @property
    def label(self) -> str:
        """Its full name."""
        return row_label(self.area, self.group, self.name)

    @property
    def done(self) -> bool:
        """Whether it was computed at all."""
        return self.error is not None

    @property
    def ok(self) -> bool:
        """Whether the error is a number within the bound; true of a row that was not done."""
        return self.error is None or (self.bound is not None and self.error <= self.bound)

    def facts(self) -> dict[str, Any]:
        """As kept in JSON; an error that is no finite number is text there."""
        error = self.error
        return {
            "area": self.area,
            "group": self.group,
            "name": self.name,
            "error": error if error is None or math.isfinite(error) else str(error),
            "bound": self.bound,
            "source": self.source,
            "verdict": ("ok" if self.ok else "out") if self.done else "not done",
            "worst": self.worst,
            "note": self.note,
        }


def exact_row(area: str, name: str, wrong: Sequence[str]) -> FingerprintRow:
    """A row that is right or wrong, with no rounding in between: ``wrong`` lists what is wrong."""
    return FingerprintRow(area, "", name, float(len(wrong)), 0.0, EXACT, wrong[0] if wrong else "")


def undone_row(area: str, name: str, why: str) -> FingerprintRow:
    """A row that was not computed."""
    return FingerprintRow(area, "", name, None, None, "", note=why)

"""Holds tensors against the kept reference, row by row, each with a bound that was measured or follows from what it is.

A row's error is relative: the estimated L2 distance from the float64 reference over the reference's norm; that of the
row's worst tensor. A gradient that is zero but for rounding, as that of a bias before a batch norm, has the norm of its
layer's weight's gradient as its scale. The bound is the noise of this precision, measured on several inputs
(``reference/bounds.json`` says where), times a factor, and never below one rounding of float32 times that factor.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hlg.errors import UserError
from hlg.fingerprint import synthetic
from hlg.fingerprint.causes import cause
from hlg.fingerprint.digest import distance, ratio, sketch

REFERENCE = Path(__file__).parent / "reference"
ROUNDING = 2.0**-24  # of float32; what is below it on one machine need not be on another
MEASURED, EXACT = "measured noise", "exact"


@dataclass(frozen=True)
class Row:
    """One line of the fingerprint. Without an error it was not done, and ``note`` says why."""

    area: str
    group: str
    name: str
    error: float | None
    bound: float | None
    source: str = MEASURED  # of the bound
    worst: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """Its name in full, unique in a fingerprint."""
        return ": ".join(part for part in (self.area, self.group, self.name) if part)

    @property
    def done(self) -> bool:
        """Whether it was judged at all."""
        return self.error is not None

    @property
    def ok(self) -> bool:
        """Whether the error is a number within the bound; true of a row that was not done."""
        return self.error is None or (self.bound is not None and self.error <= self.bound)

    @property
    def cause(self) -> str:
        """What is probably wrong where this row is the first one out of bounds, in a sentence."""
        return cause(self.area, self.name, self.note)

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


class Expected(NamedTuple):
    """A kept tensor: its sketch, and the scale of an error."""

    sketch: np.ndarray
    scale: float


class Judge:
    """The reference of one salt and the bounds of one precision; without bounds every row is out."""

    def __init__(self, reference: Mapping[str, Expected], noise: Mapping[str, float], factor: float, salt: str) -> None:
        self.reference, self.noise, self.factor, self.salt = reference, noise, factor, salt

    def against(
        self,
        area: str,
        group: str,
        name: str,
        tensors: Mapping[str, tuple[str, np.ndarray]],
        bound: float | None = None,
    ) -> Row:
        """The row of these tensors, (key in the reference, value) by the name that is shown.

        ``bound``, where it does not come from measured noise.
        """
        found = {shown: (sketch(key, value), self.reference[key]) for shown, (key, value) in tensors.items()}
        errors = {shown: distance(own, *expected) for shown, (own, expected) in found.items()}
        worst = max(errors, key=lambda shown: math.inf if math.isnan(errors[shown]) else errors[shown])
        source = "what it is"
        if bound is None:
            noise = self.noise.get(": ".join(part for part in (area, group, name) if part))
            source, bound = MEASURED, None if noise is None else self.factor * max(noise, ROUNDING)
        row = Row(area, group, name, errors[worst], bound, source, worst)
        return row if row.ok else replace(row, note=_multiple(list(found.values())))


def exact(area: str, group: str, name: str, wrong: Sequence[str]) -> Row:
    """A row of what is right or wrong, with no rounding in between: ``wrong`` says what is."""
    return Row(area, group, name, float(len(wrong)), 0.0, EXACT, wrong[0] if wrong else "")


def not_done(area: str, group: str, name: str, why: str) -> Row:
    """A row that this device or start can't be asked for."""
    return Row(area, group, name, None, None, "", note=why)


def _multiple(tensors: Sequence[tuple[np.ndarray, Expected]]) -> str:
    """Whether all tensors of a row are the same multiple of what they should be, in words; else nothing."""
    ratios = [ratio(own, expected.sketch) for own, expected in tensors]
    factor = float(np.median(ratios))
    if abs(factor - 1) > 1e-2 and all(
        distance(own, *expected, factor) < 1e-2 * abs(factor - 1) for own, expected in tensors
    ):
        return f"all of it is {factor:.4g} times what it should be"
    return ""


def read_reference(*paths: Path) -> tuple[dict[str, Expected], str]:
    """The kept tensors of some files by their keys, and the salt that they are of.

    Raises:
        UserError: a file that is missing or no reference.
    """
    found: dict[str, Expected] = {}
    salt = synthetic.SALT
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as file:
                salt = str(file["salt"])
                for key, kept, scale in zip(file["keys"], file["sketches"], file["scales"], strict=True):
                    found[str(key)] = Expected(kept, float(scale))
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise UserError(
                f"reference {path}: not a file of python -m tests.support.reference.network ({error})"
            ) from error
    return found, salt


def judge_of(precision: str) -> Judge:
    """The judge by the files kept in this package.

    Raises:
        UserError: a file is missing or damaged, or knows no such precision.
    """
    reference, salt = read_reference(REFERENCE / "images.npz", REFERENCE / "network.npz")
    path = REFERENCE / "bounds.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Judge(reference, kept["noise"][precision], kept["factor"], salt)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: no noise of {precision} ({error!r}); make it by python -m tests.support.reference.noise"
        ) from error

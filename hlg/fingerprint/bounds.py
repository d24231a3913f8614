"""The kept reference tensors, and the bounds within which a machine's tensors must agree with them.

A row's error is relative: the estimated L2 distance from the float64 reference over the reference's norm, for the row's
worst tensor. A gradient that is zero but for rounding, such as that of a bias before a batch norm, is held against the
norm of its layer's weight gradient. The bound is the rounding noise of this precision, measured on several inputs
(``reference/bounds.json`` says where), times a factor, and never below one rounding of float32 times that factor.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hlg.errors import UserError
from hlg.files import load_json
from hlg.fingerprint import synthetic
from hlg.fingerprint.arrays import read_arrays
from hlg.fingerprint.count_sketch import count_sketch, sketch_distance, sketch_ratio
from hlg.fingerprint.rows import LABELS, MEASURED, FingerprintRow, row_label

REFERENCE_FOLDER = Path(__file__).parent / "reference"
ROUNDING = 2.0**-24  # of float32; an error below it on one machine can be larger on another


class Expected(NamedTuple):
    """A kept tensor: its sketch, and what its error is relative to."""

    sketch: np.ndarray
    scale: float


class ReferenceTensors:
    """The reference for one salt, and the noise of one precision by row; a row without noise is out of bounds."""

    def __init__(self, tensors: Mapping[str, Expected], noise: Mapping[str, float], factor: float, salt: str) -> None:
        self.tensors, self.noise, self.factor, self.salt = tensors, noise, factor, salt

    def compare(
        self,
        area: str,
        group: str,
        name: str,
        tensors: Mapping[str, tuple[str, np.ndarray]],
        bound: float | None = None,
    ) -> FingerprintRow:
        """Compare tensors with the kept ones and return the row.

        Args:
            area, group, name: the row's.
            tensors: (key in the reference, value) by the name to show.
            bound: where it does not come from measured noise.
        """
        found = {shown: (count_sketch(key, value), self.tensors[key]) for shown, (key, value) in tensors.items()}
        errors = {shown: sketch_distance(own, *expected) for shown, (own, expected) in found.items()}
        worst = max(errors, key=lambda shown: math.inf if math.isnan(errors[shown]) else errors[shown])
        source = "what it is"
        if bound is None:
            noise = self.noise.get(row_label(area, group, name))
            source, bound = MEASURED, None if noise is None else self.factor * max(noise, ROUNDING)
        row = FingerprintRow(area, group, name, errors[worst], bound, source, worst)
        return row if row.ok else replace(row, note=_common_factor(list(found.values())))


def _common_factor(tensors: Sequence[tuple[np.ndarray, Expected]]) -> str:
    """The factor by which all tensors of a row are too large, in words; empty where there is none."""
    ratios = [sketch_ratio(own, expected.sketch) for own, expected in tensors]
    factor = float(np.median(ratios))
    if abs(factor - 1) > 1e-2 and all(
        sketch_distance(own, *expected, factor) < 1e-2 * abs(factor - 1) for own, expected in tensors
    ):
        return f"all of it is {factor:.4g} times what it should be"
    return ""


def read_sketches(*paths: Path) -> tuple[dict[str, Expected], str]:
    """Read the kept tensors of some files by their keys, and the salt that they were made with.

    Raises:
        UserError: a file is missing, or is no reference.
    """
    found: dict[str, Expected] = {}
    salt = synthetic.SALT
    for path in paths:
        try:
            file = read_arrays(path)
            salt = str(file["salt"])
            for key, kept, scale in zip(file["keys"], file["sketches"], file["scales"], strict=True):
                found[str(key)] = Expected(kept, float(scale))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"reference {path}: not a file of python -m tests.support.reference.network ({error})"
            ) from error
    return found, salt


def load_reference(precision: str) -> ReferenceTensors:
    """Load the reference and the bounds kept in this package.

    Raises:
        UserError: a file is missing or damaged, has no such precision, or names a row that does not exist.
    """
    tensors, salt = read_sketches(REFERENCE_FOLDER / "images.npz", REFERENCE_FOLDER / "network.npz")
    path = REFERENCE_FOLDER / "bounds.json"
    try:
        kept = load_json(path)
        noise, factor = kept["noise"][precision], kept["factor"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: no noise of {precision} ({error!r}); make it by python -m tests.support.reference.noise"
        ) from error
    if unknown := set(noise).difference(LABELS):
        raise UserError(
            f"{path}: {min(unknown)!r} is no row of a fingerprint; make it by python -m tests.support.reference.noise"
        )
    return ReferenceTensors(tensors, noise, factor, salt)

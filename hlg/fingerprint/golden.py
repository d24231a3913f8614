"""Read golden files: what the published implementation computed from synthetic weights and images. NumPy alone."""

from pathlib import Path

import numpy as np

from hlg.errors import UserError
from hlg.fingerprint.arrays import read_arrays

MOST_IMAGES, MOST_CLASSES = 64, 100_000
COMPANIONS = {  # what makes no sense without another array of the same length
    "label_a": ("label_b",),
    "stage_norms": ("stage_names", "stage_means"),
    "stage_means": ("stage_norms",),
    "grad_norms": ("grad_names",),
    "param_norms_after": ("param_names",),
    "trajectory": ("lr",),
    "trajectory_moving": ("lr_moving",),
    **dict.fromkeys(("init_names", "init_mean"), ("init_names", "init_mean", "init_std", "init_min", "init_max")),
}
TEXTS = ("mindspore",)  # beside the names: the release that computed the file


def read_golden(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of a golden file (.npz).

    Raises:
        UserError: no such file, not an .npz, or without what every golden file holds.
    """
    try:
        golden = read_arrays(path)
    except FileNotFoundError:
        raise UserError(f"golden file {path}: no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"golden file {path}: not a readable .npz of plain arrays ({reason})") from None
    missing = {"logits", "label_a", "label_b", "lam"} - golden.keys()
    if missing:
        raise UserError(f"golden file {path}: {', '.join(sorted(missing))} missing; is it a golden file?")
    for key, others in COMPANIONS.items():
        for other in others if key in golden else ():
            if other not in golden or golden[key].ndim != 1 or golden[other].shape != golden[key].shape:
                raise UserError(f"golden file {path}: holds {key}, but no {other} of its length")
    _check_values(path, golden)
    return golden


def _check_values(path: str | Path, golden: dict[str, np.ndarray]) -> None:
    """Raise UserError unless a network can have computed these arrays."""
    for key, array in golden.items():
        texts = key.endswith("_names") or key in TEXTS
        if array.dtype.kind not in ("U" if texts else "iuf") or not (texts or np.isfinite(array).all()):
            raise UserError(f"golden file {path}: {key}: expected {'texts' if texts else 'finite numbers'}")
    shape = golden["logits"].shape
    if len(shape) != 2 or not 1 <= shape[0] <= MOST_IMAGES or not 3 <= shape[1] <= MOST_CLASSES:
        allowed = f"up to {MOST_IMAGES} images of 3 to {MOST_CLASSES:,} classes"
        raise UserError(f"golden file {path}: logits: found the shape {shape}, expected {allowed}")
    for key in ("label_a", "label_b"):
        labels = golden[key]
        if labels.shape != shape[:1] or not ((labels >= 0) & (labels < shape[1])).all():
            raise UserError(f"golden file {path}: {key}: expected {shape[0]} labels from 0 to {shape[1] - 1}")
    if golden["lam"].shape != () or not 0 <= golden["lam"] <= 1:
        raise UserError(f"golden file {path}: lam: expected a number from 0 to 1")

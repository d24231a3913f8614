"""Read golden files: what the published implementation computed from synthetic weights and images. NumPy alone."""

from pathlib import Path

import numpy as np

from hlg.errors import UserError

COMPANIONS = {  # what makes no sense without another array of the same length
    "label_a": ("label_b",),
    "stage_norms": ("stage_names", "stage_means"),
    "stage_means": ("stage_norms",),
    "grad_norms": ("grad_names",),
    "param_norms_after": ("param_names",),
    "trajectory": ("lr",),
}


def read_golden(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of a golden file (.npz).

    Raises:
        UserError: no such file, not an .npz, or without what every golden file holds.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            golden = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise UserError(f"golden file {path}: no such file") from None
    except (OSError, EOFError, ValueError, AttributeError) as error:
        raise UserError(f"golden file {path}: not a readable .npz of plain arrays ({error})") from error
    missing = {"logits", "label_a", "label_b", "lam"} - golden.keys()
    if missing:
        raise UserError(f"golden file {path}: {', '.join(sorted(missing))} missing; is it a golden file?")
    for key, others in COMPANIONS.items():
        for other in others if key in golden else ():
            if other not in golden or golden[other].shape != golden[key].shape:
                raise UserError(f"golden file {path}: holds {key}, but no {other} of its length")
    return golden

"""Weights and inputs that anyone can rebuild from a rule, and the published network's answers to them.

The rule: a parameter called ``name`` (its published name) of a given shape is drawn by
``default_rng(crc32(salt + name)).standard_normal(shape)`` in float32 and scaled by the last part of its name; the
images come from ``default_rng(crc32(salt + "input"))``. A golden file (.npz) holds what the published implementation
computed from them.
"""

import zlib
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from hlg.errors import UserError
from hlg.weights import published_name

SALT = "hlg:"
COMPANIONS = {  # what makes no sense without another array of the same length
    "label_a": ("label_b",),
    "stage_norms": ("stage_names", "stage_means"),
    "stage_means": ("stage_norms",),
    "grad_norms": ("grad_names",),
    "param_norms_after": ("param_names",),
    "trajectory": ("lr",),
}


def parameter(name: str, shape: tuple[int, ...], salt: str = SALT) -> np.ndarray:
    """The rule's value of the parameter with this published name, float32."""
    v = _generator(salt + name).standard_normal(shape).astype(np.float32)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "gamma":
        return 1 + np.float32(0.1) * v
    if leaf in ("beta", "bias", "moving_mean"):
        return np.float32(0.1) * v
    if leaf == "moving_variance":
        return np.abs(1 + np.float32(0.1) * v)
    if leaf == "weight":
        return v / np.sqrt(np.prod(shape[1:])).astype(np.float32)
    return v / np.float32(50)  # class token and position embeddings


def images(batch: int = 4, size: int = 224, salt: str = SALT) -> np.ndarray:
    """The rule's images: float32 (batch, 3, size, size), coarse 16-pixel tiles under fine noise."""
    r = _generator(salt + "input")
    coarse = r.standard_normal((batch, 3, size // 16, size // 16))
    fine = r.standard_normal((batch, 3, size, size))
    return (np.kron(coarse, np.ones((16, 16))) + 0.3 * fine).astype(np.float32)


def set_weights(network: nn.Cell, salt: str = SALT) -> None:
    """Give every parameter of ``network``, moving statistics included, the rule's value."""
    for p in network.get_parameters():
        p.set_data(Tensor(parameter(published_name(p.name), tuple(p.shape), salt)))


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a golden file.

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


def _generator(key: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(key.encode()))

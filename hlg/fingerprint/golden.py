"""The rule's weights in a network, and the published network's answers to them.

A golden file (.npz) holds what the published implementation computed from weights and images made by
:mod:`hlg.fingerprint.synthetic`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mindspore import Parameter, Tensor, nn

from hlg.checkpoint.weights import published_name
from hlg.errors import UserError
from hlg.fingerprint.synthetic import SALT, parameter

COMPANIONS = {  # what makes no sense without another array of the same length
    "label_a": ("label_b",),
    "stage_norms": ("stage_names", "stage_means"),
    "stage_means": ("stage_norms",),
    "grad_norms": ("grad_names",),
    "param_norms_after": ("param_names",),
    "trajectory": ("lr",),
}


def set_weights(network: nn.Cell, salt: str = SALT) -> None:
    """Give every parameter of ``network``, moving statistics included, the rule's value."""
    set_parameters({published_name(p.name): p for p in network.get_parameters()}, salt)


def set_parameters(parameters: Mapping[str, Parameter], salt: str = SALT) -> None:
    """The same for parameters by their published names, whatever they are called by now."""
    for name, p in parameters.items():
        p.set_data(Tensor(parameter(name, tuple(p.shape), salt)))


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

"""Count the floating-point operations of HLG-Mobile from its shapes.

Only convolutions and matrix products count, with two operations for a multiplication and its addition, as is usual.
"""

import itertools
import math

from hlg.model.network import MOBILE, WINDOW, StageConfig


def forward_flops(class_num: int = 1001, image_size: int = 224, stages: tuple[StageConfig, ...] = MOBILE) -> int:
    """Operations of the forward pass of one image."""
    widths = [stage.dim for stage in stages]
    size = image_size // 2
    total = _convolution(3, 32, 3, size) + _convolution(32, 32, 3, size)
    for inputs, stage in zip([32, *widths], stages, strict=False):
        size = math.ceil(size / 2)
        total += _convolution(inputs, stage.dim, 3, size) + _stage(stage, size * size)
    return total + 2 * widths[-1] * class_num


def step_flops(class_num: int = 1001, image_size: int = 224, stages: tuple[StageConfig, ...] = MOBILE) -> int:
    """Operations of a training step per image: forward, and twice as much backward, for inputs and for weights."""
    return 3 * forward_flops(class_num, image_size, stages)


def _stage(stage: StageConfig, tokens: int) -> int:
    C = stage.dim
    total = 0
    for regroup in stage.blocks:
        N = tokens + stage.class_token
        total += 2 * 2 * N * C * stage.mlp_ratio * C  # MLP
        if regroup is None:
            total += _attention(N, N, C)
        else:
            windows, K = tokens // WINDOW**2, WINDOW**2
            smooth = itertools.pairwise((C, C // 4, C // 4, C))
            total += sum(_convolution(i, o, k, math.isqrt(tokens)) for (i, o), k in zip(smooth, (1, 3, 1), strict=True))
            total += windows * _attention(K, K, C) + _attention(N, windows, C)
    return total


def _attention(queries: int, keys: int, C: int) -> int:
    projections = 2 * C * C * (2 * queries + 2 * keys)  # query and output; key and value
    return projections + 2 * 2 * queries * keys * C  # similarity and gathering


def _convolution(inputs: int, outputs: int, kernel: int, size: int) -> int:
    return 2 * inputs * outputs * kernel * kernel * size * size

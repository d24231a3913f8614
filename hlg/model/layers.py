"""The layers of HLG, with the published run's initialization and operators that are fast on the device at hand.

Three of MindSpore's defaults have changed since the published run (1.5.1), so they are spelled out here: ``nn.Dense``
and ``nn.Conv2d`` draw their biases at random from 2.5.0 on, where they were zero, and ``TruncatedNormal(0.02)`` cuts at
+-2 from 1.9.0 on, where it cut at two standard deviations, +-0.04.
"""

import math
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn
from mindspore.common.initializer import HeUniform, TruncatedNormal, initializer

from hlg.model import operators

LAYER_NORM_EPS = 1e-7
BATCH_NORM_EPS = 1e-5
BATCH_NORM_MOMENTUM = 0.9  # MindSpore's sense: the share of the old moving statistic that is kept


class Dense(nn.Cell):
    """``y = x W^T + b``: (..., in) -> (..., out). Weight: normal 0.02, cut at +-0.04; bias zero."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.weight = Parameter(
            initializer(TruncatedNormal(0.02, a=-0.04, b=0.04), (out_channels, in_channels)), name="weight"
        )
        self.bias = Parameter(initializer("zeros", (out_channels,)), name="bias")
        self.affine = operators.affine()

    def construct(self, x: Tensor) -> Tensor:
        shape = x.shape
        weight, bias = self.weight.astype(x.dtype), self.bias.astype(x.dtype)
        y = self.affine(x.reshape(-1, shape[-1]), weight, bias)  # (..., in) -> (M, in) -> (M, out)
        return y.reshape((*shape[:-1], self.out_channels))  # (M, out) -> (..., out)


class Conv2d(nn.Conv2d):
    """Convolution, (B, C, H, W) -> (B, C', H', W'), by a faster operator than MindSpore's where there is one."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, **others: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, **others)
        if stride == 1 and kernel_size > 1:
            self.conv2d = operators.convolve(out_channels, kernel_size)

    def construct(self, x: Tensor) -> Tensor:
        return self.bias_add(self.conv2d(x, self.weight.astype(x.dtype)), self.bias.astype(x.dtype))


class ConvNorm(nn.Cell):
    """Convolution, batch norm and, if ``act``, GELU: (B, C, H, W) -> (B, C', H', W'), H' = ceil(H / stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, act: bool = True) -> None:
        super().__init__()
        self.conv = Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            pad_mode="pad",
            padding=kernel // 2,
            has_bias=True,
            weight_init=HeUniform(negative_slope=math.sqrt(5)),
            bias_init="zeros",
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)
        self.act = operators.gelu() if act else None

    def construct(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x if self.act is None else self.act(x)


class LayerNorm(nn.LayerNorm):
    """Layer norm over the last axis, (..., dim) -> (..., dim), with the published run's epsilon."""

    def __init__(self, dim: int) -> None:
        super().__init__((dim,), epsilon=LAYER_NORM_EPS)
        self.layer_norm = operators.layer_norm(LAYER_NORM_EPS)

    def construct(self, x: Tensor) -> Tensor:
        return self.layer_norm(x, self.gamma.astype(x.dtype), self.beta.astype(x.dtype))


class DropPath(nn.Cell):
    """Stochastic depth: each of the ``parts`` (windows) of an image loses a branch with probability ``rate``.

    The factors are drawn on the host, so that a run can be resumed exactly: a training step gets those of the whole
    network as one matrix, of which this cell reads columns of its own (:func:`assign_drop_columns`).
    """

    def __init__(self, rate: float, parts: int = 1) -> None:
        super().__init__()
        self.rate, self.parts = rate, parts
        self.start = self.stop = 0

    def construct(self, branch: Tensor, scales: Tensor | None) -> Tensor:
        """branch (B*parts, N, C), scales (B, columns) or None (evaluation) -> (B*parts, N, C)."""
        if scales is None or self.start == self.stop:
            return branch
        own = scales[:, self.start : self.stop]  # (B, parts)
        return branch * own.reshape(-1, 1, 1).astype(branch.dtype)  # (B, parts) -> (B*parts, 1, 1)


def assign_drop_columns(network: nn.Cell) -> np.ndarray:
    """Give each :class:`DropPath` of a network its columns, in order, and none where its rate is 0.

    Returns:
        float32 (columns,): the drop rate of each column.
    """
    rates: list[float] = []
    for _, cell in network.cells_and_names():
        if isinstance(cell, DropPath):
            cell.start = len(rates)
            rates += [cell.rate] * (cell.parts if cell.rate > 0 else 0)
            cell.stop = len(rates)
    return np.array(rates, np.float32)


def parameter_count(network: nn.Cell) -> int:
    """Count the trainable values of ``network``."""
    return sum(math.prod(p.shape) for p in network.trainable_params())

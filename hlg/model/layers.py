"""The layers HLG is made of, with the published run's initialisation and the primitives that are fast here.

Three defaults have changed since the published run (MindSpore 1.5.1) and are spelled out here: ``nn.Dense`` and
``nn.Conv2d`` draw their biases at random where it had zeros, and ``TruncatedNormal(0.02)`` cuts at +-2 where it cut at
two standard deviations, +-0.04.
"""

import math
from typing import Any

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
    """MindSpore's convolution, (B, C, H, W) -> (B, C', H', W'), with a faster operator where there is one."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, **others: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, **others)
        if stride == 1 and kernel_size > 1:
            self.conv2d = operators.convolve(out_channels, kernel_size)

    def construct(self, x: Tensor) -> Tensor:
        return self.bias_add(self.conv2d(x, self.weight.astype(x.dtype)), self.bias.astype(x.dtype))


class ConvNorm(nn.Cell):
    """Convolution, batch norm and, where asked, GELU: (B, C, H, W) -> (B, C', H', W'), H' = ceil(H / stride)."""

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
    """Stochastic depth whose random factors are drawn on the host, so that a run can be resumed exactly.

    ``columns`` lists the drop rate of each column of the ``scales`` matrix that a step is given; this cell appends
    its own ``count`` columns, one for each of the ``count`` parts (windows) into which an image is cut.
    """

    def __init__(self, rate: float, count: int, columns: list[float]) -> None:
        super().__init__()
        self.start = len(columns)
        self.stop = self.start + count
        self.active = rate > 0
        if self.active:
            columns.extend([rate] * count)

    def construct(self, branch: Tensor, scales: Tensor | None) -> Tensor:
        """branch (B*count, N, C), scales (B, columns) or None (evaluation) -> (B*count, N, C)."""
        if scales is None or not self.active:
            return branch
        own = scales[:, self.start : self.stop]  # (B, count)
        return branch * own.reshape(-1, 1, 1).astype(branch.dtype)  # (B, count) -> (B*count, 1, 1)


def parameter_count(network: nn.Cell) -> int:
    """The number of trainable values of ``network``."""
    return sum(math.prod(p.shape) for p in network.trainable_params())

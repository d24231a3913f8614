"""Cells that keep what flows through others of the real network, in graph mode and in PyNative alike.

The network's own code runs; a tap takes the place of one of its cells, calls it, and assigns what it is given or puts
out to a parameter of its own.
"""

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from hlg.model.network import HLG, WINDOW, LocalGlobalBlock

Kept = dict[str, Parameter]  # by the key in the reference


class Tap(nn.Cell):
    """Calls ``cell`` and keeps its first input, its output, or both."""

    def __init__(self, cell: Any, given: Parameter | None = None, out: Parameter | None = None) -> None:
        super().__init__(auto_prefix=False)
        self.cell, self.given, self.out = cell, given, out

    def construct(self, x: Tensor, *others: Any) -> Tensor:
        y = self.cell(x, *others)
        if self.given is not None:
            y = ops.depend(y, _keep(self.given, x))
        if self.out is not None:
            y = ops.depend(y, _keep(self.out, y))
        return y


class ContextTap(nn.Cell):
    """Calls an attention and keeps the context, where it is given one."""

    def __init__(self, cell: nn.Cell, context: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.cell, self.kept = cell, context

    def construct(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if context is None:
            return self.cell(x)
        return ops.depend(self.cell(x, context), _keep(self.kept, context))


def _keep(kept: Parameter, x: Tensor) -> Tensor:
    """Assigned; a map as the tokens that the published code has there: (B, C, H, W) -> (B, N, C)."""
    if len(x.shape) > len(kept.shape):
        x = x.reshape(x.shape[0], x.shape[1], -1).transpose(0, 2, 1)
    return ops.assign(kept, x.astype(ms.float32))


def tap(network: HLG, batch: int, size: int) -> Kept:
    """Put taps into ``network`` for (batch, 3, size, size) images; what they will keep, in the order of the data."""
    kept: Kept = {}

    def room(key: str, *shape: int) -> Parameter:
        kept[key] = Parameter(Tensor(np.zeros(shape, np.float32)), name=f"tap.{key}", requires_grad=False)
        return kept[key]

    B = batch
    first, half = network.embeds[0][0], size // 2
    channels = first.conv.out_channels
    for what, part in (("convolution", "conv"), ("batch norm", "norm"), ("GELU", "act")):
        _replace(first, part, out=room(f"forward/stem/{what}", B, channels, half, half))
    for i, stage in enumerate(network.stages):
        s, grid = i + 1, size // (4 << i)
        N, C = stage.position.shape[1:]
        network.embeds[i] = Tap(network.embeds[i], out=room(f"forward/{s}/patch embedding", B, C, grid, grid))
        entered = room(f"forward/{s}/position embedding", B, N, C)
        for j, block in enumerate(stage.blocks):
            at = f"forward/{s}.{j}"
            if isinstance(block, LocalGlobalBlock):
                G, K = (grid // WINDOW) ** 2, WINDOW**2
                _replace(block, "act", out=room(f"{at}/smoothing", B, C, grid, grid))
                grouped = room(f"{at}/regrouping", B * G, K, C)
                _replace(block, "norm0", given=grouped, out=room(f"{at}/norm 0", B * G, K, C))
                _replace(block, "drop_windows", given=room(f"{at}/window attention", B * G, K, C))
                block.attention = ContextTap(block.attention, room(f"{at}/window means", B, G, C))
            _replace(block, "norm1", out=room(f"{at}/norm 1", B, N, C))
            _replace(block, "drop_attention", given=room(f"{at}/global attention", B, N, C))
            _replace(block, "norm2", out=room(f"{at}/norm 2", B, N, C))
            _replace(block, "drop_mlp", given=room(f"{at}/MLP", B, N, C))
            stage.blocks[j] = Tap(block, None if j else entered, room(f"{at}/output", B, N, C))
    _replace(network, "norm", out=room("forward/head/norm", B, N, C))
    logits = room("forward/head/logits", B, network.head.out_channels)
    _replace(network, "head", out=logits)
    return kept


def _replace(owner: nn.Cell, name: str, given: Parameter | None = None, out: Parameter | None = None) -> None:
    """Put a tap in the place of a part, which on an accelerator may be an operator and no cell."""
    part = getattr(owner, name)
    delattr(owner, name)
    setattr(owner, name, Tap(part, given, out))

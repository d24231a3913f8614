"""Probes: cells that keep what flows through others of the real network, in graph mode and in PyNative alike.

The network's own code runs; a probe takes the place of one of its cells, calls it, and assigns the cell's input or
output to a parameter of its own.
"""

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from hlg.model.network import HLG, WINDOW, LocalGlobalBlock


class Probe(nn.Cell):
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


class ContextProbe(nn.Cell):
    """Calls an attention and keeps the context, where it is given one."""

    def __init__(self, cell: nn.Cell, context: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.cell, self.kept = cell, context

    def construct(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if context is None:
            return self.cell(x)
        return ops.depend(self.cell(x, context), _keep(self.kept, context))


def _keep(kept: Parameter, x: Tensor) -> Tensor:
    """Assign a tensor; a map as the tokens that the published code has there: (B, C, H, W) -> (B, N, C)."""
    if len(x.shape) > len(kept.shape):
        x = x.reshape(x.shape[0], x.shape[1], -1).transpose(0, 2, 1)
    return ops.assign(kept, x.astype(ms.float32))


def insert_probes(network: HLG, batch: int, size: int) -> dict[tuple[str, str], Parameter]:
    """Put probes into ``network`` for (batch, 3, size, size) images.

    Returns:
        What the probes will keep, by (group, name) of its row, in the order in which data flows.
    """
    kept: dict[tuple[str, str], Parameter] = {}

    def room(group: str, name: str, *shape: int) -> Parameter:
        zeros = Tensor(np.zeros(shape, np.float32))
        kept[group, name] = Parameter(zeros, name=f"probe.{group}.{name}", requires_grad=False)
        return kept[group, name]

    B = batch
    first, half = network.embeds[0][0], size // 2
    channels = first.conv.out_channels
    for name, part in (("convolution", "conv"), ("batch norm", "norm"), ("GELU", "act")):
        _replace(first, part, out=room("stem", name, B, channels, half, half))
    for i, stage in enumerate(network.stages):
        group, grid = f"stage {i + 1}", size // (4 << i)
        N, C = stage.position.shape[1:]
        network.embeds[i] = Probe(network.embeds[i], out=room(group, "patch embedding", B, C, grid, grid))
        entered = room(group, "position embedding", B, N, C)
        for j, block in enumerate(stage.blocks):
            group = f"stage {i + 1} block {j}"
            if isinstance(block, LocalGlobalBlock):
                G, K = (grid // WINDOW) ** 2, WINDOW**2
                _replace(block, "act", out=room(group, "smoothing", B, C, grid, grid))
                grouped = room(group, "regrouping", B * G, K, C)
                _replace(block, "norm0", given=grouped, out=room(group, "norm 0", B * G, K, C))
                _replace(block, "drop_windows", given=room(group, "window attention", B * G, K, C))
                block.attention = ContextProbe(block.attention, room(group, "window means", B, G, C))
            _replace(block, "norm1", out=room(group, "norm 1", B, N, C))
            _replace(block, "drop_attention", given=room(group, "global attention", B, N, C))
            _replace(block, "norm2", out=room(group, "norm 2", B, N, C))
            _replace(block, "drop_mlp", given=room(group, "MLP", B, N, C))
            stage.blocks[j] = Probe(block, None if j else entered, room(group, "output", B, N, C))
    _replace(network, "norm", out=room("head", "norm", B, N, C))
    _replace(network, "head", out=room("head", "logits", B, network.head.out_channels))
    return kept


def _replace(owner: nn.Cell, name: str, given: Parameter | None = None, out: Parameter | None = None) -> None:
    """Put a probe in the place of a part, which on an accelerator may be an operator and no cell."""
    part = getattr(owner, name)
    delattr(owner, name)
    setattr(owner, name, Probe(part, given, out))

"""HLG-Mobile: a mobile-size transformer with local and global attention.

    images      (B, 3, S, S)
    stem        three 3x3 convolutions               (B, 32, S/4, S/4)
    stage 1     two local-global blocks
    embedding   a 3x3 convolution of stride 2        (B, 64, S/8, S/8)
    stage 2     two local-global blocks
    embedding   a 3x3 convolution of stride 2        (B, 192, S/16, S/16)
    stage 3     two local-global blocks
    embedding   a 3x3 convolution of stride 2        (B, 384, S/32, S/32)
    stage 4     a class token, two global blocks     (B, 1 + N, 384)
    head        layer norm, class token, dense       (B, class_num)

Shapes: B images, C channels, H x W grid, N = H*W tokens, K = 7*7 tokens per window, G = N/K windows,
h heads of d channels, M tokens that are attended to.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from hlg.errors import UserError
from hlg.model import operators
from hlg.model.layers import ConvNorm, Dense, DropPath, LayerNorm, assign_drop_columns

WINDOW = 7

# Two ways to cut a grid of H = W = `grid` into windows of 7x7 tokens, each with its inverse.


def group_local(x: Tensor, grid: int) -> Tensor:
    """Put neighboring tokens into one window: (B, C, H, W) -> (B*G, K, C)."""
    B, C = x.shape[:2]
    g = grid // WINDOW
    x = x.reshape(B, C, g, WINDOW, g, WINDOW).transpose(0, 2, 4, 3, 5, 1)  # -> (B, g, g, 7, 7, C)
    return x.reshape(B * g * g, WINDOW * WINDOW, C)  # -> (B*G, K, C)


def ungroup_local(x: Tensor, grid: int) -> Tensor:
    """Put the tokens of local windows back in their order: (B*G, K, C) -> (B, N, C)."""
    g, C = grid // WINDOW, x.shape[-1]
    x = x.reshape(-1, g, g, WINDOW, WINDOW, C).transpose(0, 1, 3, 2, 4, 5)  # -> (B, g, 7, g, 7, C)
    return x.reshape(-1, grid * grid, C)  # -> (B, N, C)


def group_dilated(x: Tensor, grid: int) -> Tensor:
    """Put tokens ``grid / 7`` apart into one window, which then spans the grid: (B, C, H, W) -> (B*G, K, C)."""
    B, C = x.shape[:2]
    g = grid // WINDOW
    x = x.reshape(B, C, WINDOW, g, WINDOW, g).transpose(0, 3, 5, 2, 4, 1)  # -> (B, g, g, 7, 7, C)
    return x.reshape(B * g * g, WINDOW * WINDOW, C)  # -> (B*G, K, C)


def ungroup_dilated(x: Tensor, grid: int) -> Tensor:
    """Put the tokens of dilated windows back in their order: (B*G, K, C) -> (B, N, C)."""
    g, C = grid // WINDOW, x.shape[-1]
    x = x.reshape(-1, g, g, WINDOW, WINDOW, C).transpose(0, 3, 1, 4, 2, 5)  # -> (B, 7, g, 7, g, C)
    return x.reshape(-1, grid * grid, C)  # -> (B, N, C)


Regroup = Callable[[Tensor, int], Tensor]
LOCAL: tuple[Regroup, Regroup] = (group_local, ungroup_local)
DILATED: tuple[Regroup, Regroup] = (group_dilated, ungroup_dilated)


@dataclass(frozen=True)
class StageConfig:
    """The shape of one stage."""

    dim: int  # channels
    heads: int  # of dim / heads channels each
    mlp_ratio: int  # width of the MLPs over that of the stage
    # For each block how it regroups tokens into windows. None: it has no windows, as in a stage with a class token.
    blocks: tuple[tuple[Regroup, Regroup] | None, ...] = (LOCAL, DILATED)
    class_token: bool = False


MOBILE = (
    StageConfig(dim=32, heads=2, mlp_ratio=8),
    StageConfig(dim=64, heads=4, mlp_ratio=8),
    StageConfig(dim=192, heads=8, mlp_ratio=4),
    StageConfig(dim=384, heads=16, mlp_ratio=4, blocks=(None, None), class_token=True),
)


class Attention(nn.Cell):
    """Multi-head attention of tokens ``x`` over tokens ``context``: (B, N, C), (B, M, C) -> (B, N, C).

    Without ``context`` the tokens attend to themselves. Projections of the same tokens are computed together.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.query = Dense(dim, dim)
        self.key = Dense(dim, dim)
        self.value = Dense(dim, dim)
        self.project = Dense(dim, dim)
        self.split_heads = operators.split_heads(heads, dim)
        self.attend = operators.attend()

    def construct(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        B, N, C = x.shape
        query = self.query.weight.astype(x.dtype) * self.scale, self.query.bias.astype(x.dtype) * self.scale
        key = self.key.weight.astype(x.dtype), self.key.bias.astype(x.dtype)
        value = self.value.weight.astype(x.dtype), self.value.bias.astype(x.dtype)
        if context is None:
            q, k, v = self.split_heads(x, (query, key, value))  # each (B, h, N, d)
        else:
            (q,) = self.split_heads(x, (query,))
            k, v = self.split_heads(context, (key, value))  # each (B, h, M, d)
        y = self.attend(q, k, v).transpose(0, 2, 1, 3)  # (B, h, N, d) -> (B, N, h, d)
        return self.project(y.reshape(B, N, C))  # (B, N, h, d) -> (B, N, C)


class FeedForward(nn.Cell):
    """The MLP of a block, (B, N, C) -> (B, N, C): two dense layers, wider by ``ratio`` in between."""

    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__()
        self.expand = Dense(dim, dim * ratio)
        self.contract = Dense(dim * ratio, dim)
        self.act = operators.gelu()

    def construct(self, x: Tensor) -> Tensor:
        # (B, N, C) -> (B*N, C), once for both layers: a reshape between them would cost time
        rows = x.reshape(-1, x.shape[-1])
        return self.contract(self.act(self.expand(rows))).reshape(x.shape)  # (B*N, C) -> (B, N, C)


class Block(nn.Cell):
    """A global block, of stage 4: attention over all tokens, then MLP, (B, N, C) -> (B, N, C)."""

    def __init__(self, stage: StageConfig, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = LayerNorm(stage.dim)
        self.norm2 = LayerNorm(stage.dim)
        self.attention = Attention(stage.dim, stage.heads)
        self.mlp = FeedForward(stage.dim, stage.mlp_ratio)
        self.drop_attention = DropPath(drop_rate)
        self.drop_mlp = DropPath(drop_rate)

    def construct(self, x: Tensor, scales: Tensor | None) -> Tensor:
        n = self.norm1(x)
        x = x + self.drop_attention(self.attention(n), scales)
        return x + self.drop_mlp(self.mlp(self.norm2(x)), scales)


class LocalGlobalBlock(Block):
    """A local-global block, of stages 1 to 3: (B, C, H, W) -> (B, C, H, W).

    Attention within each window, then attention of all tokens over the windows' means, then MLP. Both attentions have
    the same weights.
    """

    def __init__(self, stage: StageConfig, drop_rate: float, grid: int, regroup: tuple[Regroup, Regroup]) -> None:
        super().__init__(stage, drop_rate)
        C = stage.dim
        self.grid = grid
        self.group, self.ungroup = regroup
        self.smooth = nn.SequentialCell(
            ConvNorm(C, C // 4, 1), ConvNorm(C // 4, C // 4, 3), ConvNorm(C // 4, C, 1, act=False)
        )
        self.act = operators.gelu()
        self.norm0 = LayerNorm(C)
        self.drop_windows = DropPath(drop_rate, parts=(grid // WINDOW) ** 2)  # each on its own, as published

    def construct(self, x: Tensor, scales: Tensor | None) -> Tensor:
        B, C, H, W = x.shape
        y = self.group(self.act(x + self.smooth(x)), self.grid)  # (B, C, H, W) -> (B*G, K, C)
        n = self.norm0(y)
        y = y + self.drop_windows(self.attention(n), scales)
        means = y.mean(1).reshape(B, y.shape[0] // B, C)  # (B*G, K, C) -> (B, G, C)
        y = self.ungroup(y, self.grid)  # (B*G, K, C) -> (B, N, C)

        x = y + self.drop_attention(self.attention(self.norm1(y), means), scales)
        x = x + self.drop_mlp(self.mlp(self.norm2(x)), scales)
        return x.transpose(0, 2, 1).reshape(B, C, H, W)  # (B, N, C) -> (B, C, H, W)


class Stage(nn.Cell):
    """Position embedding and blocks on a grid: (B, C, H, W) -> (B, C, H, W), or (B, 1 + N, C) with a class token."""

    def __init__(self, stage: StageConfig, grid: int, drop_rates: list[float]) -> None:
        super().__init__()
        self.position = _embedding("position", grid * grid + stage.class_token, stage.dim)
        self.cls = _embedding("cls", 1, stage.dim) if stage.class_token else None
        self.blocks = nn.CellList(
            [
                Block(stage, rate) if regroup is None else LocalGlobalBlock(stage, rate, grid, regroup)
                for regroup, rate in zip(stage.blocks, drop_rates, strict=True)
            ]
        )

    def construct(self, x: Tensor, scales: Tensor | None) -> Tensor:
        B, C, H, W = x.shape
        if self.cls is None:
            x = x + self.position.transpose(0, 2, 1).reshape(1, C, H, W)  # (1, N, C) -> (1, C, H, W)
        else:
            x = x.reshape(B, C, H * W).transpose(0, 2, 1)  # (B, C, H, W) -> (B, N, C)
            x = ops.cat((ops.tile(self.cls.astype(x.dtype), (B, 1, 1)), x), 1)  # -> (B, 1 + N, C)
            x = x + self.position
        for block in self.blocks:
            x = block(x, scales)
        return x


class HLG(nn.Cell):
    """The whole network: normalized images (B, 3, S, S) -> logits (B, class_num).

    Args:
        class_num: Number of classes.
        image_size: S, a multiple of 112: the grids of stages 1 to 3 are S/4, S/8 and S/16, each cut into 7x7 windows.
        stages: The four stages; HLG-Mobile's by default.
        drop_rate: Stochastic depth of the last block; it rises linearly from 0 over the blocks.

    A training step also gives ``scales`` (B, columns), the factors of stochastic depth, which
    :func:`hlg.data.streams.draw_drop_scales` draws by ``drop_rates`` (columns,).

    Raises:
        UserError: an image size that does not fit.
    """

    def __init__(
        self,
        class_num: int = 1001,
        image_size: int = 224,
        stages: tuple[StageConfig, ...] = MOBILE,
        drop_rate: float = 0.1,
    ) -> None:
        super().__init__()
        if image_size <= 0 or image_size % 112:
            raise UserError(
                f"image size {image_size} does not fit: stages 1 to 3 are cut into 7x7 windows at strides 4, 8 and 16, "
                "so it must be a multiple of 112 (112, 224, 336, ...)"
            )
        widths = [stage.dim for stage in stages]
        rates = iter(np.linspace(0, drop_rate, sum(len(stage.blocks) for stage in stages)).tolist())
        grids = [image_size // 4, image_size // 8, image_size // 16, math.ceil(image_size / 32)]
        stem = nn.SequentialCell(
            ConvNorm(3, 32, 3, stride=2), ConvNorm(32, 32, 3), ConvNorm(32, widths[0], 3, stride=2)
        )
        self.embeds = nn.CellList([stem] + [ConvNorm(i, o, 3, stride=2) for i, o in itertools.pairwise(widths)])
        self.stages = nn.CellList(
            [Stage(stage, grid, [next(rates) for _ in stage.blocks]) for stage, grid in zip(stages, grids, strict=True)]
        )
        self.norm = LayerNorm(widths[-1])
        self.head = Dense(widths[-1], class_num)
        self.drop_rates = assign_drop_columns(self)

    def construct(self, x: Tensor, scales: Tensor | None = None) -> Tensor:
        for embed, stage in zip(self.embeds, self.stages):  # noqa: B905 (graph mode knows no strict=)
            x = stage(embed(x), scales)
        return self.head(self.norm(x)[:, 0])  # (B, 1 + N, C) -> (B, C) -> (B, class_num)


def _embedding(name: str, tokens: int, dim: int) -> Parameter:
    """Make a learned embedding (1, tokens, dim), normal with sigma 1 as published."""
    return Parameter(initializer(Normal(1.0), (1, tokens, dim)), name=name)


def build_network(class_num: int, image_size: int, amp_level: str = "O0") -> HLG:
    """Build HLG-Mobile with random weights, to compute in the precision of ``amp_level``.

    O0: float32. O2: float16, but batch norm float32. O3: float16. Parameters and loss stay float32 at every level.

    Raises:
        UserError: an image size that does not fit.
    """
    network = HLG(class_num, image_size)
    if amp_level != "O0":
        # It sets the cells of `network` itself; what it returns only adds a cast that losses and evaluation do anyway.
        ms.amp.auto_mixed_precision(network, amp_level)
    return network

"""HLG-Mobile in PyTorch, a peer that takes its turns for repro.bench.pacing: ``python torch_hlg.py step --batch 8``.

It computes what the network does here (with the golden weights its logits agree to a relative 6e-7), float32. It needs
torch and numpy, which this project does not install: ``pip install torch numpy`` in an environment of its own.
"""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from paced import take_turns

DIM, HEADS, RATIO, GRID = (32, 64, 192, 384), (2, 4, 8, 16), (8, 8, 4, 4), (56, 28, 14, 7)


def conv_bn(i, o, kernel, stride=1, act=True):
    layers = [nn.Conv2d(i, o, kernel, stride, kernel // 2), nn.BatchNorm2d(o)]
    return [*layers, nn.GELU(approximate="tanh")] if act else layers


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x, context):
        def split(t):
            return t.view(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)

        out = F.scaled_dot_product_attention(split(self.q(x)), split(self.k(context)), split(self.v(context)))
        return self.proj(out.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    def __init__(self, dim, heads, ratio, grid, dilated, plain):
        super().__init__()
        self.grid, self.dilated, self.plain = grid, dilated, plain
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-7), nn.LayerNorm(dim, eps=1e-7)
        self.attention = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * ratio), nn.GELU(approximate="tanh"), nn.Linear(dim * ratio, dim))
        if not plain:
            self.norm0 = nn.LayerNorm(dim, eps=1e-7)
            self.smooth = nn.Sequential(
                *conv_bn(dim, dim // 4, 1), *conv_bn(dim // 4, dim // 4, 3), *conv_bn(dim // 4, dim, 1, act=False)
            )

    def forward(self, x):
        if self.plain:
            n = self.norm1(x)
            x = x + self.attention(n, n)
            return x + self.mlp(self.norm2(x))
        B, N, C = x.shape
        g = self.grid // 7
        y = x.transpose(1, 2).reshape(B, C, self.grid, self.grid)
        y = F.gelu(y + self.smooth(y), approximate="tanh").permute(0, 2, 3, 1)
        if self.dilated:
            y = y.reshape(B, 7, g, 7, g, C).permute(0, 2, 4, 1, 3, 5)
        else:
            y = y.reshape(B, g, 7, g, 7, C).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(B * g * g, 49, C)
        n = self.norm0(y)
        y = y + self.attention(n, n)
        means = y.mean(1).reshape(B, g * g, C)
        y = y.reshape(B, g, g, 7, 7, C).permute(*((0, 3, 1, 4, 2, 5) if self.dilated else (0, 1, 3, 2, 4, 5)))
        y = y.reshape(B, N, C)
        x = y + self.attention(self.norm1(y), means)
        return x + self.mlp(self.norm2(x))


class HLG(nn.Module):
    def __init__(self, classes=1001):
        super().__init__()
        stems = [nn.Sequential(*conv_bn(3, 32, 3, 2), *conv_bn(32, 32, 3), *conv_bn(32, DIM[0], 3, 2))]
        stems += [nn.Sequential(*conv_bn(DIM[i - 1], DIM[i], 3, 2)) for i in (1, 2, 3)]
        self.stems = nn.ModuleList(stems)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(DIM[s], HEADS[s], RATIO[s], GRID[s], d == 1, s == 3) for d in (0, 1)))
            for s in range(4)
        )
        self.pos = nn.ParameterList(nn.Parameter(torch.randn(1, GRID[s] ** 2 + (s == 3), DIM[s])) for s in range(4))
        self.cls = nn.Parameter(torch.randn(1, 1, DIM[3]))
        self.norm, self.head = nn.LayerNorm(DIM[3], eps=1e-7), nn.Linear(DIM[3], classes)

    def forward(self, x):
        for s in range(4):
            x = self.stems[s](x)
            B, C, H, W = x.shape
            x = x.flatten(2).transpose(1, 2)
            if s == 3:
                x = torch.cat([self.cls.expand(B, -1, -1), x], 1)
            x = self.blocks[s](x + self.pos[s])
            if s < 3:
                x = x.transpose(1, 2).reshape(B, C, H, W)
        return self.head(self.norm(x)[:, 0])


def repetition(what, batch, compiled):
    """What is repeated: a forward pass in evaluation mode, or a training step with AdamW."""
    torch.manual_seed(0)
    net = HLG()
    run = torch.compile(net) if compiled else net
    x, y = torch.randn(batch, 3, 224, 224), torch.randint(0, 1001, (batch,))
    optimizer = torch.optim.AdamW(net.parameters())

    def forward():
        with torch.no_grad():
            run(x)

    def step():
        F.cross_entropy(run(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    net.train(what == "step")
    return step if what == "step" else forward


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("forward", "step"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--compile", action="store_true", help="torch.compile, which needs a C++ compiler")
    options = parser.parse_args()
    take_turns(repetition(options.what, options.batch, options.compile))

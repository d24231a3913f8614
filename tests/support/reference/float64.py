"""HLG-Mobile in float64, its losses, optimizer and schedules, written independently of hlg's, in PyTorch.

It shares only the synthetic weights. PyTorch is not a dependency of this project: see
:mod:`tests.support.reference.network`.
"""

import csv
import math
import re
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

from hlg.fingerprint.synthetic import SMOOTHING, draw_parameter
from tests.support import ROOT

PARAMETERS = ROOT / "tests/hlg/fixtures/parameters.csv"
HEADS, GRIDS = (2, 4, 8, 16), (56, 28, 14, 7)
# Stored by the published code, and never used.
UNUSED = re.compile(r"block4_\d\.(norm0|spatial_smooth)\.|patch_embed(1\.(conv|norm)\.|[234]\.(conv|norm)\d)")
Weights = dict[str, torch.Tensor]
Keep = Callable[[str, torch.Tensor], None]


def weights(salt: str) -> Weights:
    """Draw the synthetic weights by their published names; the trainable ones ask for gradients."""
    found: Weights = {}
    with PARAMETERS.open() as file:
        for row in csv.DictReader(file):
            name = row["name"]
            if UNUSED.match(name):
                continue
            shape = tuple(map(int, row["shape"].split("x")))
            found[name] = torch.tensor(draw_parameter(name, shape, salt), dtype=torch.float64)
            found[name].requires_grad_(row["trainable"] == "1")
    return found


class Network:
    """The forward pass. In training mode batch norm takes the batch's statistics and moves its own."""

    def __init__(self, w: Weights, keep: Keep = lambda key, tensor: None) -> None:
        self.w, self.keep, self.training = w, keep, False

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.gamma"], self.w[f"{name}.beta"], 1e-7)

    def dense(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def conv(self, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = self.w[f"{name}.weight"]
        return F.conv2d(x, weight, self.w[f"{name}.bias"], stride, weight.shape[-1] // 2)

    def batch_norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        gamma, beta, mean, variance = (
            self.w[f"{name}.{leaf}"] for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return F.batch_norm(x, mean, variance, gamma, beta, self.training, 0.1, 1e-5)

    def attention(self, name: str, heads: int, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        def split(t: torch.Tensor) -> torch.Tensor:  # (B, N, C) -> (B, h, N, d)
            return t.reshape(t.shape[0], t.shape[1], heads, -1).transpose(1, 2)

        q, k, v = (split(self.dense(f"{name}.to_{part}", t)) for part, t in (("q", x), ("k", context), ("v", context)))
        y = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]), -1) @ v
        return self.dense(f"{name}.proj", y.transpose(1, 2).reshape(x.shape))

    def mlp(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self.dense(f"{name}.ff2", gelu(self.dense(f"{name}.ff1", x)))

    def windows(self, x: torch.Tensor, grid: int, dilated: bool) -> torch.Tensor:
        """(B, N, C) -> (B*G, 49, C): each window a 7x7 square, or the tokens that lie grid/7 apart."""
        rows = torch.arange(grid).reshape(7, -1).T if dilated else torch.arange(grid).reshape(-1, 7)
        places = (rows[:, None, :, None] * grid + rows[None, :, None, :]).reshape(-1, 49)  # (G, 49)
        self.places = places
        return x[:, places].reshape(-1, 49, x.shape[-1])

    def tokens(self, windows: torch.Tensor, batch: int) -> torch.Tensor:
        """The inverse: (B*G, 49, C) -> (B, N, C)."""
        flat = windows.reshape(batch, -1, windows.shape[-1])
        return flat[:, torch.argsort(self.places.reshape(-1))]

    def block(self, stage: int, index: int, x: torch.Tensor) -> torch.Tensor:
        name, heads, grid = f"block{stage}_{index}", HEADS[stage - 1], GRIDS[stage - 1]

        def keep(what: str, tensor: torch.Tensor) -> torch.Tensor:
            self.keep(f"forward/{stage}.{index}/{what}", tensor)
            return tensor

        if stage < 4:
            B, N, C = x.shape
            y = x.transpose(1, 2).reshape(B, C, grid, grid)
            z = y
            for i in range(3):
                smooth = f"{name}.spatial_smooth.0"
                z = self.batch_norm(f"{smooth}.{3 * i + 1}", self.conv(f"{smooth}.{3 * i}", z))
                z = gelu(z) if i < 2 else z
            y = keep("smoothing", gelu(y + z)).reshape(B, C, N).transpose(1, 2)
            y = keep("regrouping", self.windows(y, grid, index == 1))
            n = keep("norm 0", self.norm(f"{name}.norm0", y))
            y = y + keep("window attention", self.attention(f"{name}.attn", heads, n, n))
            means = keep("window means", y.mean(1).reshape(B, -1, C))
            x = self.tokens(y, B)
            n = keep("norm 1", self.norm(f"{name}.norm1", x))
        else:
            means = n = keep("norm 1", self.norm(f"{name}.norm1", x))
        x = x + keep("global attention", self.attention(f"{name}.attn", heads, n, means))
        n = keep("norm 2", self.norm(f"{name}.norm2", x))
        return keep("output", x + keep("MLP", self.mlp(f"{name}.mlp", n)))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        for stage in range(1, 5):
            for layer in ("1", "2", "3") if stage == 1 else ("",):
                first = layer == "1"
                x = self.conv(f"patch_embed{stage}.conv{layer}", x, stride=1 if layer == "2" else 2)
                if first:
                    self.keep("forward/stem/convolution", x)
                x = self.batch_norm(f"patch_embed{stage}.norm{layer}", x)
                if first:
                    self.keep("forward/stem/batch norm", x)
                x = gelu(x)
                if first:
                    self.keep("forward/stem/GELU", x)
            self.keep(f"forward/{stage}/patch embedding", x)
            B, C, H, W = x.shape
            x = x.flatten(2).transpose(1, 2)
            if stage == 4:
                x = torch.cat([self.w["cls"].expand(B, 1, C), x], 1)
            x = x + self.w[f"pos_embed{stage}"]
            self.keep(f"forward/{stage}/position embedding", x)
            for index in (0, 1):
                x = self.block(stage, index, x)
            if stage < 4:
                x = x.transpose(1, 2).reshape(B, C, H, W)
        x = self.norm("norm", x)
        self.keep("forward/head/norm", x)
        x = self.dense("head", x[:, 0])
        self.keep("forward/head/logits", x)
        return x


def gelu(x: torch.Tensor) -> torch.Tensor:
    return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def ce_smooth_mixup(logits: torch.Tensor, a: torch.Tensor, b: torch.Tensor, lam: float) -> torch.Tensor:
    """(1-s) times the soft label, plus s/(C-2) for every class that is in neither image."""
    target = torch.full_like(logits, SMOOTHING / (logits.shape[1] - 2))
    for i in range(len(logits)):
        target[i, a[i]] = target[i, b[i]] = 0
        target[i, a[i]] += (1 - SMOOTHING) * lam
        target[i, b[i]] += (1 - SMOOTHING) * (1 - lam)
    return -(target * torch.log_softmax(logits, 1)).sum(1).mean()


def ce_smooth(logits: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    target = torch.full_like(logits, SMOOTHING / (logits.shape[1] - 1))
    target[torch.arange(len(logits)), a] = 1 - SMOOTHING
    return -(target * torch.log_softmax(logits, 1)).sum(1).mean()


class AdamW:
    """AdamW of the paper (Loshchilov and Hutter 2019), decay scaled by the rate; none for betas and biases."""

    def __init__(self, w: Weights) -> None:
        self.w = {name: p for name, p in w.items() if p.requires_grad}
        self.m = {name: torch.zeros_like(p) for name, p in self.w.items()}
        self.v = {name: torch.zeros_like(p) for name, p in self.w.items()}
        self.t = 0

    @torch.no_grad()
    def step(self, gradients: Weights, lr: float) -> None:
        self.t += 1
        for name, p in self.w.items():
            g, m, v = gradients[name], self.m[name], self.v[name]
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.999).add_(g * g, alpha=0.001)
            decay = 0 if "beta" in name or "bias" in name else 0.05
            p -= lr * (m / (1 - 0.9**self.t) / ((v / (1 - 0.999**self.t)).sqrt() + 1e-8) + decay * p)


def gradients_of(loss: torch.Tensor, w: Weights) -> Weights:
    names = [name for name, p in w.items() if p.requires_grad]
    return dict(zip(names, torch.autograd.grad(loss, [w[name] for name in names]), strict=True))


def rates(mode: str, lr_init: float, lr_min: float, lr_max: float, warmup: int, total: int) -> np.ndarray:
    """The learning rate of each step, by the published formulas; ``warmup`` and ``total`` in steps."""
    found = []
    for step in range(total):
        if mode == "steps":
            found.append(lr_max * 0.1 ** sum(step >= part * total for part in (0.3, 0.6, 0.8)))
            continue
        done = step + (mode == "cosine")
        rest = (done - warmup) / (total - warmup)
        if step < warmup:
            found.append(lr_init + (lr_max - lr_init) * done / warmup)
        elif mode == "cosine":
            found.append(lr_max / 2 * (1 + math.cos(math.pi * rest)))
        elif mode == "poly":
            found.append(lr_min + (lr_max - lr_min) * (1 - rest) ** 2)
        else:
            found.append(lr_max - (lr_max - lr_min) * rest)
    return np.array(found)

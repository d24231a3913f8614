"""HLG-Mobile in float64, written apart from this project's own, and what it computes from the rule's weights.

It makes ``hlg/fingerprint/reference/network.npz``, against which ``make fingerprint`` holds a machine:

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install torch numpy
    /tmp/peer/bin/python -m tests.support.reference.network

Before it writes anything it computes what the published implementation computed (tests/hlg/fixtures/golden.npz), and
ends with an error where the two part by more than that one's float32 explains. PyTorch is not a dependency of this
project. ``--salt`` and ``--out`` make the reference of other weights and inputs, on which noise is measured.
"""

import argparse
import csv
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

from hlg.fingerprint import synthetic
from hlg.fingerprint.digest import sketch
from tests.support import ROOT

FIXTURES = ROOT / "tests/hlg/fixtures"
OUT = ROOT / "hlg/fingerprint/reference/network.npz"
HEADS, GRIDS = (2, 4, 8, 16), (56, 28, 14, 7)
# How far the published float32 numbers may be from float64; none was measured beyond half of its bound.
GOLDEN_BOUNDS = {
    "logits": 1e-5,
    "loss_ce_smooth_mixup": 1e-6,
    "loss_ce_smooth": 1e-6,
    "stage_norms": 1e-5,
    "stage_means": 1e-4,
    "grad_norms": 1e-4,
    "trajectory": 1e-5,
    "logits_after": 1e-4,
    "param_norms_after": 1e-4,
    "lr_cosine": 1e-6,
    "lr_poly": 1e-6,
    "lr_steps": 1e-6,
    "lr_linear": 1e-6,
}
# Stored by the published code, and never used.
UNUSED = re.compile(r"block4_\d\.(norm0|spatial_smooth)\.|patch_embed(1\.(conv|norm)\.|[234]\.(conv|norm)\d)")
Weights = dict[str, torch.Tensor]
Keep = Callable[[str, torch.Tensor], None]


def weights(salt: str) -> Weights:
    """The rule's weights by their published names; those that can be trained ask for gradients."""
    found: Weights = {}
    with (FIXTURES / "parameters.csv").open() as file:
        for row in csv.DictReader(file):
            name = row["name"]
            if UNUSED.match(name):
                continue
            shape = tuple(map(int, row["shape"].split("x")))
            found[name] = torch.tensor(synthetic.parameter(name, shape, salt), dtype=torch.float64)
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
                z = self.batch_norm(
                    f"{name}.spatial_smooth.0.{3 * i + 1}", self.conv(f"{name}.spatial_smooth.0.{3 * i}", z)
                )
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
    target = torch.full_like(logits, synthetic.SMOOTHING / (logits.shape[1] - 2))
    for i in range(len(logits)):
        target[i, a[i]] = target[i, b[i]] = 0
        target[i, a[i]] += (1 - synthetic.SMOOTHING) * lam
        target[i, b[i]] += (1 - synthetic.SMOOTHING) * (1 - lam)
    return -(target * torch.log_softmax(logits, 1)).sum(1).mean()


def ce_smooth(logits: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    target = torch.full_like(logits, synthetic.SMOOTHING / (logits.shape[1] - 1))
    target[torch.arange(len(logits)), a] = 1 - synthetic.SMOOTHING
    return -(target * torch.log_softmax(logits, 1)).sum(1).mean()


class AdamW:
    """As in the paper (Loshchilov and Hutter 2019), decay scaled by the rate; none for betas and biases."""

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


def check_golden() -> tuple[list[str], dict[str, np.ndarray]]:
    """What of the published numbers this network does not give, a sentence each; and what it gives."""
    with np.load(FIXTURES / "golden.npz") as file:
        golden = {name: file[name] for name in file.files}
    seen: dict[str, torch.Tensor] = {}
    w = weights("hlg:")
    network = Network(w, lambda key, tensor: seen.__setitem__(key, tensor.detach()))
    x = torch.tensor(synthetic.images(4), dtype=torch.float64)
    a, b = (torch.tensor(golden[key].astype(np.int64)) for key in ("label_a", "label_b"))
    lam = float(golden["lam"])
    found: dict[str, np.ndarray | float | dict[str, float]] = {}
    with torch.no_grad():
        logits = network(x)
    found["logits"] = logits.numpy()
    found["loss_ce_smooth_mixup"] = float(ce_smooth_mixup(logits, a, b, lam))
    found["loss_ce_smooth"] = float(ce_smooth(logits, a))
    stages = {f"patch_embed{s}": seen[f"forward/{s}/patch embedding"] for s in range(1, 5)}
    stages |= {f"block{s}_{i}": seen[f"forward/{s}.{i}/output"] for s in range(1, 5) for i in (0, 1)}
    del stages["block4_0"]  # its entry is block4_1's: the published code adds in place
    found["stage_norms"] = {name: float(t.norm()) for name, t in stages.items()}
    found["stage_means"] = {name: float(t.mean()) for name, t in stages.items()}
    network.training = True
    optimizer, losses = AdamW(w), []
    for lr in golden["lr"]:
        loss = ce_smooth_mixup(network(x), a, b, lam)
        gradients = gradients_of(loss, w)
        losses.append(loss.item())
        if len(losses) == 1:
            found["grad_norms"] = {name: float(g.norm()) for name, g in gradients.items()}
        optimizer.step(gradients, float(lr))
    found["trajectory"] = np.array(losses)
    network.training = False
    with torch.no_grad():
        found["logits_after"] = network(x).numpy()
    found["param_norms_after"] = {name: float(p.detach().norm()) for name, p in w.items()}
    for mode in ("cosine", "poly", "steps", "linear"):
        found[f"lr_{mode}"] = rates(mode, 0, 1e-5, 1e-3, 100, 1500)

    faults, given = [], {}
    names = {"stage": "stage_names", "grad": "grad_names", "param": "param_names"}
    for key, bound in GOLDEN_BOUNDS.items():
        mine, theirs = found[key], golden[key]
        if isinstance(mine, dict):
            by_name = dict(zip(map(str, golden[names[key.split("_")[0]]]), theirs, strict=True))
            typical = np.median([abs(by_name[name]) for name in mine])
            # One that is zero but for rounding, as the gradient of a bias before a batch norm, by the typical one.
            scale = {n: abs(by_name[n]) if abs(by_name[n]) > 1e-3 * typical else typical for n in mine}
            error = max(abs(mine[n] - by_name[n]) / scale[n] for n in mine)
            given[key] = np.array([mine[n] for n in sorted(mine)])
        else:
            error = np.linalg.norm(mine - theirs) / np.linalg.norm(theirs)
            given[key] = np.asarray(mine)
        print(f"{key:<22}{error:>10.1e}{bound:>9.0e}")
        if not error <= bound:
            faults.append(f"{key}: {error:.1e} from the published value, more than {bound:.0e}")
    return faults, given


def reference(salt: str) -> dict[str, tuple[np.ndarray, float]]:
    """Every kept tensor as (sketch, the scale that its error is relative to), by its key."""
    kept: dict[str, tuple[np.ndarray, float]] = {}

    def keep(key: str, tensor: torch.Tensor | np.ndarray, scale: float | None = None) -> None:
        array = tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else tensor
        kept[key] = (sketch(key, array), float(np.linalg.norm(array)) if scale is None else scale)

    w = weights(salt)
    x = torch.tensor(synthetic.images(synthetic.BATCH, synthetic.SIZE, salt), dtype=torch.float64)
    a, b = (torch.tensor(label.astype(np.int64)) for label in synthetic.labels(salt))
    lam = float(np.float32(synthetic.LAM))
    with torch.no_grad():
        Network(w, keep)(x)

    raw = torch.tensor(synthetic.logits(salt), dtype=torch.float64)
    keep("loss/ce_smooth_mixup", ce_smooth_mixup(raw, a, b, lam))
    keep("loss/ce_smooth", ce_smooth(raw, a))

    network = Network(w)
    network.training = True
    optimizer = AdamW(w)
    for step, lr in enumerate(rates("cosine", 0, 1e-5, 1e-3, 4, 8)[:3], 1):
        loss = ce_smooth_mixup(network(x), a, b, lam)
        gradients = gradients_of(loss, w)
        keep(f"training/loss {step}", loss)
        if step == 1:
            for name, g in gradients.items():
                # The bias before a batch norm, and that of the keys, have no gradient but rounding: by their weight's.
                beside = float(gradients.get(name.removesuffix("bias") + "weight", g).norm())
                keep(f"gradient/{name}", g, float(g.norm()) if g.norm() > 1e-9 * beside else beside)
            for name, p in w.items():
                if not p.requires_grad:
                    keep(f"moving/{name}", p)
        optimizer.step(gradients, lr)

    for mode in ("cosine", "poly", "steps", "linear"):
        keep(f"schedule/{mode}", rates(mode, 0, 1e-5, 1e-3, 100, 1500))

    w = weights(salt)
    start = {name: p.detach().clone() for name, p in w.items()}
    AdamW(w).step({name: torch.zeros_like(p) for name, p in w.items()}, 0.1)
    for name, p in w.items():
        if p.requires_grad:
            keep(f"decay/{name}", p - start[name], 0.1 * 0.05 * float(start[name].norm()))
    w = weights(salt)
    optimizer = AdamW(w)
    for step, lr in enumerate(rates("cosine", 0, 1e-5, 0.1, 4, 8)[:3], 1):
        before = {name: p.detach().clone() for name, p in w.items()}
        optimizer.step(
            {
                name: torch.tensor(synthetic.gradient(name, tuple(p.shape), step, salt)).double()
                for name, p in w.items()
            },
            lr,
        )
        for name, p in optimizer.w.items():
            keep(f"optimiser step {step}/{name}", p - before[name])

    u = torch.tensor(synthetic.pixels(salt)).double()
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normal = ((u / 255 - mean) / std).permute(0, 3, 1, 2)
    keep("input/normalised", normal)
    keep("input/mixed", normal * lam + normal.flip(0) * (1 - lam))
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.reference.network")
    parser.add_argument("--salt", default=synthetic.SALT)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    faults, given = check_golden()
    if faults:
        print("error: not the published network, nothing is written", *faults, sep="\n  ", file=sys.stderr)
        return 1
    kept = reference(options.salt)
    for key, value in given.items():  # so that a test without PyTorch can hold this very file against the published one
        kept[f"golden/{key}"] = (sketch(f"golden/{key}", value), float(np.linalg.norm(value)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        options.out,
        keys=np.array(list(kept)),
        sketches=np.stack([sketch for sketch, _ in kept.values()]),
        scales=np.array([scale for _, scale in kept.values()]),
        salt=np.array(options.salt),
    )
    print(f"{options.out}: {len(kept)} tensors, {options.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

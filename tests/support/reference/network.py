"""Make ``network.npz``: what the float64 network computes from the synthetic weights and inputs.

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install torch numpy
    /tmp/peer/bin/python -m tests.support.reference.network

First it computes what the published implementation computed (tests/hlg/fixtures/golden.npz), and writes nothing if the
two differ by more than that one's float32 explains. ``--salt`` and ``--out`` make the reference for other weights and
inputs, on which noise is measured. The network itself is in :mod:`tests.support.reference.float64`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from hlg.fingerprint import synthetic
from hlg.fingerprint.golden import read_golden
from tests.support import ROOT
from tests.support.reference import FOLDER, Sketches, float64
from tests.support.reference.float64 import AdamW, Network, Weights, gradients_of, weights

# How far the published float32 numbers may be from float64; none was measured beyond half of its bound.
GOLDEN_BOUNDS = {
    **{"logits": 1e-5, "loss_ce_smooth_mixup": 1e-6, "loss_ce_smooth": 1e-6},
    **{"stage_norms": 1e-5, "stage_means": 1e-4, "grad_norms": 1e-4},
    **{"trajectory": 1e-5, "logits_after": 1e-4, "param_norms_after": 1e-4},
    **{"lr_cosine": 1e-6, "lr_poly": 1e-6, "lr_steps": 1e-6, "lr_linear": 1e-6},
}
MODES = ("cosine", "poly", "steps", "linear")


def published_schedule(mode: str) -> np.ndarray:
    """The rates of 300 epochs of five steps, 20 of them warm-up."""
    return float64.rates(mode, 0, 1e-5, 1e-3, 100, 1500)


def compute_golden(golden: dict[str, np.ndarray]) -> dict[str, np.ndarray | dict[str, float]]:
    """Compute the quantities of a golden file; norms and means by the published name of what they are of."""
    seen: dict[str, torch.Tensor] = {}
    w = weights("hlg:")
    network = Network(w, lambda key, tensor: seen.__setitem__(key, tensor.detach()))
    x = torch.tensor(synthetic.draw_images(len(golden["logits"])), dtype=torch.float64)
    a, b = (torch.tensor(golden[key].astype(np.int64)) for key in ("label_a", "label_b"))
    lam = float(golden["lam"])
    found: dict[str, np.ndarray | dict[str, float]] = {}
    with torch.no_grad():
        logits = network(x)
    found["logits"] = logits.numpy()
    found["loss_ce_smooth_mixup"] = float64.ce_smooth_mixup(logits, a, b, lam).numpy()
    found["loss_ce_smooth"] = float64.ce_smooth(logits, a).numpy()
    stages = {f"patch_embed{s}": seen[f"forward/{s}/patch embedding"] for s in range(1, 5)}
    stages |= {f"block{s}_{i}": seen[f"forward/{s}.{i}/output"] for s in range(1, 5) for i in (0, 1)}
    del stages["block4_0"]  # its entry is block4_1's: the published code adds in place
    found["stage_norms"] = {name: float(t.norm()) for name, t in stages.items()}
    found["stage_means"] = {name: float(t.mean()) for name, t in stages.items()}
    network.training = True
    optimizer, losses = AdamW(w), []
    for lr in golden["lr"]:
        loss = float64.ce_smooth_mixup(network(x), a, b, lam)
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
    return found | {f"lr_{mode}": published_schedule(mode) for mode in MODES}


def matches_published(sketches: Sketches) -> bool:
    """Compute the published numbers, print how far they are from the published ones, and keep them."""
    golden = read_golden(ROOT / "tests/hlg/fixtures/golden.npz")
    computed, right = compute_golden(golden), True
    for key, bound in GOLDEN_BOUNDS.items():
        found, expected = computed[key], golden[key]
        if isinstance(found, dict):
            by_name = dict(zip(map(str, golden[f"{key.split('_')[0]}_names"]), expected, strict=True))
            found, expected = (np.array([numbers[name] for name in sorted(found)]) for numbers in (found, by_name))
            # One that is zero but for rounding, as the gradient of a bias before a batch norm, by the typical one.
            typical = np.median(np.abs(expected))
            scale = np.where(np.abs(expected) > 1e-3 * typical, np.abs(expected), typical)
            error = np.max(np.abs(found - expected) / scale)
        else:
            error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        sketches.keep(f"golden/{key}", found)  # so that a test without PyTorch can hold the file to the published one
        print(f"{key:<22}{error:>10.1e}{bound:>9.0e}  {'ok' if error <= bound else 'OUT'}")
        right = right and bool(error <= bound)
    return right


def compute_reference(sketches: Sketches, salt: str) -> None:
    """Compute what ``make fingerprint`` compares with, and keep it."""

    def keep(key: str, tensor: torch.Tensor, scale: float | None = None) -> None:
        sketches.keep(key, tensor.detach().numpy(), scale)

    w = weights(salt)
    x = torch.tensor(synthetic.draw_images(salt=salt), dtype=torch.float64)
    a, b = (torch.tensor(labels.astype(np.int64)) for labels in synthetic.draw_labels(salt))
    lam = float(np.float32(synthetic.LAM))
    with torch.no_grad():
        Network(w, keep)(x)

    raw = torch.tensor(synthetic.draw_logits(salt), dtype=torch.float64)
    keep("loss/ce_smooth_mixup", float64.ce_smooth_mixup(raw, a, b, lam))
    keep("loss/ce_smooth", float64.ce_smooth(raw, a))

    network = Network(w)
    network.training = True
    optimizer = AdamW(w)
    for step, lr in enumerate(float64.rates("cosine", 0, 1e-5, 1e-3, 4, 8)[: synthetic.STEPS], 1):
        loss = float64.ce_smooth_mixup(network(x), a, b, lam)
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

    for mode in MODES:
        sketches.keep(f"schedule/{mode}", published_schedule(mode))

    for name, (before, after) in updates(AdamW(weights(salt)), None, 0.1, salt).items():
        keep(f"decay/{name}", after - before, 0.1 * 0.05 * float(before.norm()))
    optimizer = AdamW(weights(salt))
    for step, lr in enumerate(float64.rates("cosine", 0, 1e-5, 0.1, 4, 8)[: synthetic.STEPS], 1):
        for name, (before, after) in updates(optimizer, step, lr, salt).items():
            keep(f"optimiser step {step}/{name}", after - before)

    u = torch.tensor(synthetic.draw_pixels(salt)).double()
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normal = ((u / 255 - mean) / std).permute(0, 3, 1, 2)
    keep("input/normalised", normal)
    keep("input/mixed", normal * lam + normal.flip(0) * (1 - lam))


def updates(optimizer: AdamW, step: int | None, lr: float, salt: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Take a step on this step's synthetic gradients, or on zeros: parameters before and after, by name."""
    before = {name: p.detach().clone() for name, p in optimizer.w.items()}
    gradients: Weights = {
        name: torch.zeros_like(p)
        if step is None
        else torch.tensor(synthetic.draw_gradient(name, tuple(p.shape), step, salt)).double()
        for name, p in before.items()
    }
    optimizer.step(gradients, lr)
    return {name: (old, optimizer.w[name].detach()) for name, old in before.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.reference.network")
    parser.add_argument("--salt", default=synthetic.SALT)
    parser.add_argument("--out", type=Path, default=FOLDER / "network.npz")
    options = parser.parse_args()
    golden, sketches = Sketches(), Sketches()
    if not matches_published(golden):
        sys.exit("error: not the published network, nothing is written")
    compute_reference(sketches, options.salt)
    sketches.kept |= golden.kept
    sketches.write(options.out, options.salt)
    print(f"{options.out}: {len(sketches.kept)} tensors, {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

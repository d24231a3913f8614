"""Synthetic weights and inputs that anyone can rebuild, so that nothing has to be downloaded. NumPy alone.

A parameter called ``name`` (its published name) of a given shape is drawn by
``default_rng(crc32(salt + name)).standard_normal(shape)`` in float32 and scaled by the last part of its name; inputs
are drawn alike. Another salt makes another network and other inputs.
"""

import zlib
from typing import Any

import numpy as np

SALT = "hlg:"
BATCH, CLASSES, SIZE = 2, 1001, 224  # what the fingerprint is taken of
LOSS_SCALE = 1024.0  # the published recipe's
SMOOTHING = 0.1
LAM = 0.7  # the share of an image's own pixels and label in a mixture
STEPS = 3  # of training, and of the optimizer alone

# Arguments of learning_rates: each published mode over 300 short epochs, and what the few steps here train with.
SCHEDULE_MODES = ("cosine", "poly", "steps", "linear")
SCHEDULE: dict[str, Any] = {
    "lr_init": 0,
    "lr_min": 1e-5,
    "lr_max": 1e-3,
    "warmup_epochs": 20,
    "max_epoch": 300,
    "steps_per_epoch": 5,
}
SHORT_SCHEDULE = SCHEDULE | {"mode": "cosine", "warmup_epochs": 1, "max_epoch": 2, "steps_per_epoch": 4}


def draw_parameter(name: str, shape: tuple[int, ...], salt: str = SALT) -> np.ndarray:
    """Draw the parameter with this published name, float32."""
    v = _generator(salt + name).standard_normal(shape).astype(np.float32)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "gamma":
        return 1 + np.float32(0.1) * v
    if leaf in ("beta", "bias", "moving_mean"):
        return np.float32(0.1) * v
    if leaf == "moving_variance":
        return np.abs(1 + np.float32(0.1) * v)
    if leaf == "weight":
        return v / np.sqrt(np.prod(shape[1:])).astype(np.float32)
    return v / np.float32(50)  # class token and position embeddings


def draw_images(batch: int = BATCH, size: int = SIZE, salt: str = SALT) -> np.ndarray:
    """Draw normalized images, float32 (batch, 3, size, size): coarse 16-pixel tiles under fine noise."""
    r = _generator(salt + "input")
    coarse = r.standard_normal((batch, 3, size // 16, size // 16))
    fine = r.standard_normal((batch, 3, size, size))
    return (np.kron(coarse, np.ones((16, 16))) + 0.3 * fine).astype(np.float32)


def draw_pixels(salt: str = SALT) -> np.ndarray:
    """Draw images as a decoder returns them, uint8 (BATCH, SIZE, SIZE, 3)."""
    return _generator(salt + "pixels").integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)


def draw_maps(channels: int, salt: str = SALT) -> np.ndarray:
    """Draw small maps for a batch norm alone, float32 (BATCH, channels, 2, 2), of values that float16 holds too."""
    drawn = _generator(salt + "maps").standard_normal((BATCH, channels, 2, 2))
    return drawn.astype(np.float16).astype(np.float32)


def draw_labels(salt: str = SALT) -> tuple[np.ndarray, np.ndarray]:
    """Draw the classes of the images and of their mixup partners, int32 (BATCH,) each, all of them different."""
    drawn = _generator(salt + "labels").permutation(CLASSES - 1)[: 2 * BATCH].astype(np.int32)
    return drawn[:BATCH], drawn[BATCH:]


def draw_logits(salt: str = SALT) -> np.ndarray:
    """Draw logits for the losses alone, float32 (BATCH, CLASSES)."""
    return _generator(salt + "logits").standard_normal((BATCH, CLASSES)).astype(np.float32)


def draw_gradient(name: str, shape: tuple[int, ...], step: int, salt: str = SALT) -> np.ndarray:
    """Draw a parameter's gradient at a step of the optimizer, float32: small, as gradients are, and never zero."""
    v = _generator(f"{salt}gradient {step} {name}").standard_normal(shape).astype(np.float32)
    return (v + np.copysign(np.float32(0.1), v)) * np.float32(1e-2)


def draw_share(rank: int, shape: tuple[int, ...], salt: str = SALT) -> np.ndarray:
    """Draw what a rank brings to a sum over all ranks, float32."""
    return _generator(f"{salt}rank {rank} {shape}").standard_normal(shape).astype(np.float32)


def _generator(key: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(key.encode()))

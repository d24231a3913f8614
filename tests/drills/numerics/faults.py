"""Faults to plant in the real code, from the input to the checkpoint, each with the row that must be named first."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import TruncatedNormal
from PIL import Image

from hlg.checkpoint import store
from hlg.data import augment, decode
from hlg.fingerprint import inputs, optimizer, synthetic_weights
from hlg.fingerprint.synthetic import SHORT_SCHEDULE, draw_parameter
from hlg.model import layers, loss, network, normalize, operators, schedule
from hlg.model.network import DILATED, HLG, LOCAL, MOBILE, Attention, LocalGlobalBlock
from hlg.model.optimizer import AdamW
from hlg.runtime import collective
from hlg.training.step import Gradients, TrainStep

Outputs = tuple[Tensor, ...]
Function = Callable[..., Any]


class Fault(NamedTuple):
    """The first row that must be out of bounds, the patch that plants the fault, and in which precision."""

    row: str
    plant: AbstractContextManager[Any]
    amp_level: str = "O0"


FAULTS: dict[str, Fault] = {}  # by what is wrong


def plant(says: str, row: str, target: Any, amp_level: str = "O0", **wrong: Any) -> None:
    """Register a fault: attributes of ``target``, a module or a class, have wrong values."""
    FAULTS[says] = Fault(row, patch.multiple(target, **wrong), amp_level)


def replaces(target: Any, attribute: str, row: str, amp_level: str = "O0") -> Callable[[Function], Function]:
    """Register a fault: the decorated function, whose docstring says what is wrong, replaces one of ``target``'s."""

    def register(function: Function) -> Function:
        says = (function.__doc__ or "").rstrip(".")
        plant(says, row, target, amp_level, **{attribute: function})
        return function

    return register


# ---------------------------------------------------------------------------------------------------- input

plant("Images are decoded as BGR", "input: decoded", inputs, open_rgb=lambda p: decode.open_rgb(p)[..., ::-1].copy())
plant("The random crop rounds halves to even", "input: crop box", augment, _round=lambda x: round(x * 0.998))


@replaces(augment, "resize_bilinear", "input: resized for training")
def antialiased(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Images are resized with antialiasing."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


plant(
    "The center crop is one pixel off",
    "input: resized for evaluation",
    inputs,
    eval_image=lambda pixels, size: np.roll(augment.eval_image(pixels, size), 1, 1),
)
OTHER_ORDER = {"MEAN": normalize.MEAN[::-1], "STD": normalize.STD[::-1]}
plant("Images are normalized in another channel order", "input: normalised", normalize, **OTHER_ORDER)


@replaces(TrainStep, "construct", "input: mixed")
def other_share(self: Any, images: Tensor, labels: Tensor, partner: Tensor, lam: Tensor, *others: Tensor) -> Outputs:
    """Mixup gives the partner the image's share."""
    x = self.normalize(images)
    x = x * (1.0 - lam) + x[partner] * lam
    scales, lr, stop = others
    loss, overflow = self.update(x, labels, labels[partner], lam, scales, lr)
    return loss, overflow, stop


# -------------------------------------------------------------------------------------------------- weights


@replaces(layers, "initializer", "initial weights: zeros")
def random_biases(init: Any, shape: Any, original: Function = layers.initializer) -> Any:
    """Biases are drawn at random, as by the defaults of MindSpore from 2.5.0 on."""
    return original("normal" if init == "zeros" else init, shape)


plant(
    "Dense weights are cut at two, not at two standard deviations",
    "initial weights: dense",
    layers,
    TruncatedNormal=lambda sigma, a, b: TruncatedNormal(sigma),
)

# -------------------------------------------------------------------------------------------------- forward

plant("Batch norm's epsilon is 1e-3, not 1e-5", "forward: stem: batch norm", layers, BATCH_NORM_EPS=1e-3)
plant("GELU is exact, not the tanh form", "forward: stem: GELU", operators, gelu=lambda: nn.GELU(approximate=False))
plant("Layer norm's epsilon is 1e-5, not 1e-7", "forward: stage 1 block 0: norm 0", layers, LAYER_NORM_EPS=1e-5)
plant(
    "Local and dilated grouping are swapped",
    "forward: stage 1 block 0: regrouping",
    network,
    HLG=partial(HLG, stages=tuple(replace(s, blocks=(DILATED, LOCAL)) if s.blocks[0] else s for s in MOBILE)),
)


@replaces(Attention, "__init__", "forward: stage 1 block 0: window attention")
def scaled_twice(self: Attention, dim: int, heads: int, original: Function = Attention.__init__) -> None:
    """Queries are scaled twice."""
    original(self, dim, heads)
    self.scale = self.scale**2


@replaces(LocalGlobalBlock, "construct", "forward: stage 1 block 0: window means")
def early_means(self: LocalGlobalBlock, x: Tensor, scales: Tensor | None) -> Tensor:
    """The window means are taken before the attention."""
    B, C, H, W = x.shape
    y = self.group(self.act(x + self.smooth(x)), self.grid)
    n = self.norm0(y)
    means = y.mean(1).reshape(B, -1, C)
    y = y + self.drop_windows(self.attention(n), scales)
    y = self.ungroup(y, self.grid)
    x = y + self.drop_attention(self.attention(self.norm1(y), means), scales)
    x = x + self.drop_mlp(self.mlp(self.norm2(x)), scales)
    return x.transpose(0, 2, 1).reshape(B, C, H, W)


@replaces(synthetic_weights, "draw_parameter", "forward: stage 2 block 1: window attention")
def transposed_weight(name: str, shape: tuple[int, ...], salt: str) -> np.ndarray:
    """One weight of an attention is transposed."""
    value = draw_parameter(name, shape, salt)
    return value.T.copy() if name == "block2_1.attn.proj.weight" else value


@replaces(synthetic_weights, "draw_parameter", "forward: stage 3: position embedding")
def shifted_positions(name: str, shape: tuple[int, ...], salt: str) -> np.ndarray:
    """The rows of one position embedding are in another order."""
    value = draw_parameter(name, shape, salt)
    return np.roll(value, 1, 1) if name == "pos_embed3" else value


# ----------------------------------------------------------------------------------------- loss and backward


@replaces(loss.CeSmoothMixup, "construct", "loss: ce_smooth_mixup")
def other_smoothing(self: Any, logits: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor) -> Tensor:
    """The smoothing of a mixture is spread over one class too many."""
    soft = self.one_hot(labels) * lam + self.one_hot(mixed) * (1 - lam)
    target = soft * (1 - self.smoothing) + (soft == 0).astype("float32") * self.smoothing / (self.class_num - 1)
    return self.per_image(logits, target).mean()


@replaces(Gradients, "__init__", "backward: head: head")
def sum_over_ranks(self: Gradients, *arguments: Any, original: Function = Gradients.__init__, **keys: Any) -> None:
    """Gradients are eight times too large, as by a sum over eight ranks."""
    original(self, *arguments, **keys)
    self.unscale = self.unscale * 8


@replaces(operators.Gelu, "bprop", "backward: stage 4 block 1: MLP")
def gelu_gradient(self: operators.Gelu, x: Tensor, out: Outputs, dout: Outputs) -> Outputs:
    """The gradient of GELU lacks a factor."""
    _, s, curve = out
    return (dout[0] * (s + self.sigmoid_grad(s, x) * curve),)


@replaces(operators.Attend, "bprop", "backward: stage 4 block 1: attention")
def softmax_gradient(self: operators.Attend, q: Tensor, k: Tensor, v: Tensor, out: Outputs, dout: Outputs) -> Outputs:
    """The gradient of softmax is not centered."""
    g, weights = dout[0], out[1]
    ds = weights * self.similarity(g, v)
    return self.gather(ds, k), self.scatter(ds, q), self.scatter(weights, g)


@replaces(operators.Convolve, "bprop", "backward: stage 3 block 1: smoothing")
def kernel_not_turned(self: operators.Convolve, x: Tensor, weight: Tensor, out: Tensor, dout: Tensor) -> Outputs:
    """A convolution's gradient forgets to turn the kernel."""
    return self.forward(dout, weight.transpose(1, 0, 2, 3)), self.weight_grad(dout, x, weight.shape)


plant(
    "Batch norm does not update its moving statistics", "training: moving statistics", layers, BATCH_NORM_MOMENTUM=1.0
)


class BiasedNorm(nn.BatchNorm2d):
    """A batch norm that moves its variance by the biased rule, in PyNative mode."""

    def construct(self, x: Tensor) -> Tensor:
        kept = layers.BATCH_NORM_MOMENTUM * self.moving_variance.asnumpy()
        y = super().construct(x)
        if self.training:
            n = x.size // x.shape[1]
            self.moving_variance.set_data(Tensor(kept + (self.moving_variance.asnumpy() - kept) * (n - 1) / n))
        return y


plant(
    "Batch norm moves its variance by the biased rule, as that of MindSpore up to 2.0.0",
    "training: batch norm's rule",
    nn,
    BatchNorm2d=BiasedNorm,
)
CONVOLUTION = layers.Conv2d.construct


@replaces(layers.Conv2d, "construct", "training: an overflow is seen", "O3")
def saturated(self: layers.Conv2d, x: Tensor) -> Tensor:
    """Float16 saturates where it should overflow."""

    def finite(x: Tensor) -> Tensor:
        return ops.clamp(ops.nan_to_num(x, 0.0, 65504.0, -65504.0), -65504.0, 65504.0)

    return finite(CONVOLUTION(self, finite(x)))


# ------------------------------------------------------------------------------------------------ optimizer


plant(
    "The schedule is frozen at its first value",
    "optimiser: schedule",
    optimizer,
    learning_rates=lambda **keys: (rates := schedule.learning_rates(**keys))[:1].repeat(rates.size),
)
UNSCALED, EVERYWHERE = partial(AdamW, weight_decay=0.05 / optimizer.LARGEST_RATE), partial(AdamW, no_decay=())
plant("Weight decay is not scaled by the learning rate", "optimiser: decay", optimizer, AdamW=UNSCALED)
plant("Weight decay is applied to biases and betas", "optimiser: no decay", optimizer, AdamW=EVERYWHERE)
ADAMW = AdamW.construct
FIRST_RATE = float(schedule.learning_rates(**SHORT_SCHEDULE | {"lr_max": optimizer.LARGEST_RATE})[0])


@replaces(AdamW, "construct", "optimiser: step 1")
def uncorrected(self: AdamW, gradients: Outputs, lr: Tensor, skip: Tensor) -> Any:
    """AdamW leaves its bias correction out, as nn.AdamWeightDecay does."""
    self.updates.set_data(Tensor(1e6, ms.float32))
    return ADAMW(self, gradients, lr, skip)


@replaces(AdamW, "construct", "optimiser: step 2")
def first_rate(self: AdamW, gradients: Outputs, lr: Tensor, skip: Tensor) -> Any:
    """The optimizer stays at its first rate, as the published one does on MindSpore from 2.5.0 on."""
    decay_alone = (gradients[0] == 0).all()
    return ADAMW(self, gradients, lr if decay_alone else Tensor(FIRST_RATE, ms.float32), skip)


# --------------------------------------------------------------------------------------- ranks, checkpoints


@replaces(collective.Average, "__init__", "ranks: mean over all ranks")
def sum_for_mean(self: collective.Average, *given: Any, original: Function = collective.Average.__init__) -> None:
    """The mean over the ranks is a sum."""
    original(self, *given)
    self.ranks = 1


@replaces(store, "restore_checkpoint", "checkpoint: saved and loaded")
def lost_moments(path: Path, parameters: Any, original: Function = store.restore_checkpoint) -> None:
    """The optimizer's state is lost in a checkpoint."""
    parameters = list(parameters)
    original(path, parameters)
    for p in parameters:
        if p.name.startswith("adam_"):
            p.set_data(ops.zeros(p.shape, p.dtype))

"""The faults, from the input to the checkpoint."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from PIL import Image

from hlg.checkpoint import store
from hlg.data import augment, decode
from hlg.fingerprint import golden, optimizer
from hlg.model import layers, loss, network, normalize, operators, schedule
from hlg.model.network import DILATED, HLG, LOCAL, MOBILE, Attention, LocalGlobalBlock
from hlg.model.optimizer import AdamW
from hlg.runtime import collective
from hlg.training.step import Gradients, TrainStep
from tests.drills.numerics.planted import fault

# ---------------------------------------------------------------------------------------------------- input


@fault("images are decoded as BGR", "input: decoded")
def bgr() -> Any:
    original = decode.open_rgb
    return patch("hlg.fingerprint.inputs.open_rgb", lambda path: original(path)[..., ::-1].copy())


@fault("the random crop rounds halves to even", "input: crop box")
def other_crop() -> Any:
    return patch.object(augment, "_round", lambda x: round(x * 0.998))


@fault("images are resized with antialiasing", "input: resized for training")
def antialiased() -> Any:
    def resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))

    return patch.object(augment, "resize_bilinear", resize)


@fault("the centre crop is one pixel off", "input: resized for evaluation")
def off_centre() -> Any:
    crop = augment.eval_image
    return patch("hlg.fingerprint.inputs.eval_image", lambda image, size: np.roll(crop(image, size), 1, 1))


@fault("images are normalised in another channel order", "input: normalised")
@contextmanager
def other_channels() -> Iterator[None]:
    with (
        patch.object(normalize, "MEAN", normalize.MEAN[::-1]),
        patch.object(normalize, "STD", normalize.STD[::-1]),
    ):
        yield


@fault("mixup gives the partner the image's share", "input: mixed")
def other_share() -> Any:
    def construct(
        self: TrainStep,
        images: Tensor,
        labels: Tensor,
        partner: Tensor,
        lam: Tensor,
        scales: Tensor,
        lr: Tensor,
        stop: Tensor,
    ) -> Any:
        x = self.normalize(images)
        x = x * (1.0 - lam) + x[partner] * lam
        loss, overflow = self.update(x, labels, labels[partner], lam, scales, lr)
        return loss, overflow, stop

    return patch.object(TrainStep, "construct", construct)


# -------------------------------------------------------------------------------------------------- weights


@fault("biases are drawn at random, as by the defaults of MindSpore 2.x", "initial weights: zeros")
def random_biases() -> Any:
    original = layers.initializer
    return patch.object(
        layers, "initializer", lambda init, shape: original("normal" if init == "zeros" else init, shape)
    )


@fault("dense weights are cut at two, not at two standard deviations", "initial weights: dense")
def other_cut() -> Any:
    original = layers.TruncatedNormal
    return patch.object(layers, "TruncatedNormal", lambda sigma, a, b: original(sigma))


# -------------------------------------------------------------------------------------------------- forward


@fault("batch norm's epsilon is 1e-3, not 1e-5", "forward: stem: batch norm")
def batch_norm_epsilon() -> Any:
    return patch.object(layers, "BATCH_NORM_EPS", 1e-3)


@fault("GELU is exact, not the tanh form", "forward: stem: GELU")
def exact_gelu() -> Any:
    return patch.object(operators, "gelu", lambda: nn.GELU(approximate=False))


@fault("layer norm's epsilon is 1e-5, not 1e-7", "forward: stage 1 block 0: norm 0")
def layer_norm_epsilon() -> Any:
    return patch.object(layers, "LAYER_NORM_EPS", 1e-5)


@fault("local and dilated grouping are swapped", "forward: stage 1 block 0: regrouping")
def swapped_grouping() -> Any:
    stages = tuple(replace(s, blocks=(DILATED, LOCAL)) if s.blocks[0] else s for s in MOBILE)
    return patch.object(network, "HLG", partial(HLG, stages=stages))


@fault("queries are scaled twice", "forward: stage 1 block 0: window attention")
def scaled_twice() -> Any:
    original = Attention.__init__

    def init(self: Attention, dim: int, heads: int) -> None:
        original(self, dim, heads)
        self.scale = self.scale**2

    return patch.object(Attention, "__init__", init)


@fault("the windows' means are taken before the attention", "forward: stage 1 block 0: window means")
def early_means() -> Any:
    def construct(self: LocalGlobalBlock, x: Tensor, scales: Tensor | None) -> Tensor:
        B, C, H, W = x.shape
        y = self.group(self.act(x + self.smooth(x)), self.grid)
        n = self.norm0(y)
        means = y.mean(1).reshape(B, -1, C)
        y = y + self.drop_windows(self.attention(n), scales)
        y = self.ungroup(y, self.grid)
        x = y + self.drop_attention(self.attention(self.norm1(y), means), scales)
        x = x + self.drop_mlp(self.mlp(self.norm2(x)), scales)
        return x.transpose(0, 2, 1).reshape(B, C, H, W)

    return patch.object(LocalGlobalBlock, "construct", construct)


def _other_weight(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    original = golden.parameter
    return patch.object(
        golden,
        "parameter",
        lambda n, shape, salt: change(original(n, shape, salt)) if n == name else original(n, shape, salt),
    )


@fault("one weight of an attention is transposed", "forward: stage 2 block 1: window attention")
def transposed_weight() -> Any:
    return _other_weight("block2_1.attn.proj.weight", lambda w: w.T.copy())


@fault("the rows of one position embedding are in another order", "forward: stage 3: position embedding")
def shifted_positions() -> Any:
    return _other_weight("pos_embed3", lambda p: np.roll(p, 1, 1))


# ----------------------------------------------------------------------------------------- loss and backward


@fault("the smoothing of a mixture is spread over one class too many", "loss: ce_smooth_mixup")
def other_smoothing() -> Any:
    def construct(self: Any, logits: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor) -> Tensor:
        soft = self.one_hot(labels) * lam + self.one_hot(mixed) * (1 - lam)
        target = soft * (1 - self.smoothing) + (soft == 0).astype("float32") * self.smoothing / (self.class_num - 1)
        return self.per_image(logits, target).mean()

    return patch.object(loss.CeSmoothMixup, "construct", construct)


@fault("gradients are eight times too large, as by a sum over eight ranks", "backward: head: head")
def sum_over_ranks() -> Any:
    original = Gradients.__init__

    def init(self: Gradients, *arguments: Any, **keys: Any) -> None:
        original(self, *arguments, **keys)
        self.unscale = self.unscale * 8

    return patch.object(Gradients, "__init__", init)


@fault("the gradient of GELU lacks a factor", "backward: stage 4 block 1: MLP")
def gelu_gradient() -> Any:
    def bprop(self: operators.Gelu, x: Tensor, out: tuple[Tensor, ...], dout: tuple[Tensor, ...]) -> Any:
        _, s, curve = out
        return (dout[0] * (s + self.sigmoid_grad(s, x) * curve),)

    return patch.object(operators.Gelu, "bprop", bprop)


@fault("the gradient of softmax is not centred", "backward: stage 4 block 1: attention")
def softmax_gradient() -> Any:
    def bprop(
        self: operators.Attend, q: Tensor, k: Tensor, v: Tensor, out: tuple[Tensor, ...], dout: tuple[Tensor, ...]
    ) -> Any:
        g, weights = dout[0], out[1]
        ds = weights * self.similarity(g, v)
        return self.gather(ds, k), self.scatter(ds, q), self.scatter(weights, g)

    return patch.object(operators.Attend, "bprop", bprop)


@fault("a convolution's gradient forgets to turn the kernel", "backward: stage 3 block 1: smoothing")
def kernel_not_turned() -> Any:
    def bprop(self: operators.Convolve, x: Tensor, weight: Tensor, out: Tensor, dout: Tensor) -> Any:
        return self.forward(dout, weight.transpose(1, 0, 2, 3)), self.weight_grad(dout, x, weight.shape)

    return patch.object(operators.Convolve, "bprop", bprop)


@fault("batch norm does not update its moving statistics", "training: moving statistics")
def frozen_statistics() -> Any:
    return patch.object(layers, "BATCH_NORM_MOMENTUM", 1.0)


@fault("float16 saturates where it should overflow", "training: an overflow is seen", "O3")
def saturated() -> Any:
    original = layers.Conv2d.construct

    def finite(x: Tensor) -> Tensor:
        return ops.clamp(ops.nan_to_num(x, 0.0, 65504.0, -65504.0), -65504.0, 65504.0)

    def construct(self: layers.Conv2d, x: Tensor) -> Tensor:
        return finite(original(self, finite(x)))

    return patch.object(layers.Conv2d, "construct", construct)


# ------------------------------------------------------------------------------------------------ optimiser


@fault("the schedule is frozen at its first value", "optimiser: schedule")
def frozen_schedule() -> Any:
    original = schedule.learning_rates
    return patch.object(optimizer, "learning_rates", lambda **keys: np.full_like(original(**keys), original(**keys)[0]))


@fault("weight decay is not scaled by the learning rate", "optimiser: decay")
def unscaled_decay() -> Any:
    return patch.object(optimizer, "AdamW", partial(AdamW, weight_decay=0.05 / optimizer.LARGEST_RATE))


@fault("weight decay is applied to biases and betas", "optimiser: no decay")
def decayed_biases() -> Any:
    return patch.object(optimizer, "AdamW", partial(AdamW, no_decay=()))


@fault("AdamW leaves its bias correction out, as nn.AdamWeightDecay does", "optimiser: step 1")
def uncorrected() -> Any:
    original = AdamW.construct

    def construct(self: AdamW, gradients: tuple[Tensor, ...], lr: Tensor, skip: Tensor) -> Any:
        self.updates.set_data(Tensor(1e6, ms.float32))
        return original(self, gradients, lr, skip)

    return patch.object(AdamW, "construct", construct)


@fault("the optimiser stays at its first rate, as the published one does on MindSpore 2.x", "optimiser: step 2")
def first_rate() -> Any:
    original = AdamW.construct
    first: list[Tensor] = []

    def construct(self: AdamW, gradients: tuple[Tensor, ...], lr: Tensor, skip: Tensor) -> Any:
        if all((g == 0).all() for g in gradients[:1]):  # the decay alone
            return original(self, gradients, lr, skip)
        first.append(lr)
        return original(self, gradients, first[0], skip)

    return patch.object(AdamW, "construct", construct)


# --------------------------------------------------------------------------------------- ranks, checkpoints


@fault("the mean over the ranks is a sum", "ranks: mean over all ranks")
def sum_for_mean() -> Any:
    original = collective.Average.__init__

    def init(self: collective.Average, shapes: Any, ranks: int) -> None:
        original(self, shapes, ranks)
        self.ranks = 1

    return patch.object(collective.Average, "__init__", init)


@fault("the optimiser's state is lost in a checkpoint", "checkpoint: saved and loaded")
def lost_moments() -> Any:
    original = store.restore_checkpoint

    def restore(path: Path, parameters: Any) -> None:
        parameters = list(parameters)
        original(path, parameters)
        for p in parameters:
            if p.name.startswith("adam_"):
                p.set_data(ops.zeros(p.shape, p.dtype))

    return patch.object(store, "restore_checkpoint", restore)

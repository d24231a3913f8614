"""The training step and the evaluation step, each as one graph.

Shapes: B images of S x S pixels, C classes. ``auto_prefix=False`` keeps the network's parameters under their own names.
"""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.ops import composite

from hlg.model.loss import CrossEntropy
from hlg.model.network import HLG
from hlg.model.normalize import Normalize
from hlg.model.optimizer import AdamW
from hlg.runtime.collective import Average


class Objective(nn.Cell):
    """Network and loss, scaled: the function that is differentiated."""

    def __init__(self, network: HLG, loss: CrossEntropy, loss_scale: float) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.loss = loss
        self.loss_scale = loss_scale

    def construct(self, x: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor, scales: Tensor | None) -> Tensor:
        return self.loss(self.network(x, scales), labels, mixed, lam) * self.loss_scale


# Functions over all gradients at once: a loop over 245 parameters in Python compiles half a minute longer.
_scale = composite.MultitypeFuncGraph("scale")
_total = composite.MultitypeFuncGraph("total")
_assign = composite.MultitypeFuncGraph("assign")


@_scale.register("Number", "Tensor")
def _scale_tensor(factor: float, gradient: Tensor) -> Tensor:
    return gradient * factor


@_total.register("Tensor")
def _total_of_tensor(gradient: Tensor) -> Tensor:
    add = ops.ReduceSum()
    return add(add(gradient, 0))  # on a CPU a sum over all axes at once takes four times as long


@_assign.register("Tensor", "Tensor")
def _assign_one(parameter: Parameter, value: Tensor) -> Tensor:
    return ops.assign(parameter, value)


class Gradients(nn.Cell):
    """Loss and gradients for normalized images x (B, 3, S, S), with the loss scale divided out.

    With several ranks both are means over the ranks, and so are the moving statistics of batch norm afterwards: every
    parameter stays the same on all ranks, bit for bit. (A batch is normalized by the statistics of the rank's own
    images.)

    Returns:
        loss (), the gradients in the order of ``network.trainable_params()``, and whether any of them is not finite.
    """

    def __init__(self, network: HLG, loss: CrossEntropy, loss_scale: float = 1.0, ranks: int = 1) -> None:
        super().__init__(auto_prefix=False)
        weights = ms.ParameterTuple(network.trainable_params())
        self.ranks = ranks
        self.moving = ms.ParameterTuple(p for p in network.get_parameters() if not p.requires_grad)
        self.average = Average([p.shape for p in (*weights, *self.moving)] + [()], ranks)
        self.weights = len(weights)
        self.objective = Objective(network, loss, loss_scale)
        self.unscale = 1.0 / loss_scale
        self.map = composite.HyperMap()
        self.add = ops.AddN()
        self.differentiate = ops.value_and_grad(self.objective, None, weights)

    def construct(
        self, x: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor, scales: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        loss, gradients = self.differentiate(x, labels, mixed, lam, scales)
        if self.ranks > 1:
            moving = ops.depend(self.moving, loss)  # as this step has left them
            means = self.average((*gradients, *moving, loss))
            gradients = means[: self.weights]
            loss = ops.depend(means[-1], self.map(_assign, self.moving, means[self.weights : -1]))
        gradients = self.map(ops.partial(_scale, self.unscale), gradients)
        total = self.add(self.map(_total, gradients))  # not finite as soon as one of its terms is not
        return loss * self.unscale, gradients, ops.logical_not(ops.isfinite(total))


class Update(nn.Cell):
    """Forward, backward and optimizer for normalized images; a step whose gradients overflow changes nothing."""

    def __init__(
        self, network: HLG, loss: CrossEntropy, optimizer: AdamW, loss_scale: float = 1.0, ranks: int = 1
    ) -> None:
        super().__init__(auto_prefix=False)
        self.gradients = Gradients(network, loss, loss_scale, ranks)
        self.optimizer = optimizer

    def construct(
        self, x: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor, scales: Tensor | None, lr: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Take a step as :class:`Gradients` does, with lr float32 (); returns the loss and whether it overflowed."""
        loss, gradients, overflow = self.gradients(x, labels, mixed, lam, scales)
        return ops.depend(loss, self.optimizer(gradients, lr, overflow)), overflow


class TrainStep(nn.Cell):
    """A whole training step from uint8 images, in one graph: normalize, mix, update."""

    def __init__(
        self, network: HLG, loss: CrossEntropy, optimizer: AdamW, loss_scale: float = 1.0, ranks: int = 1
    ) -> None:
        super().__init__(auto_prefix=False)
        self.normalize = Normalize()
        self.update = Update(network, loss, optimizer, loss_scale, ranks)
        self.ranks = ranks
        self.sum = ops.AllReduce()

    def construct(
        self, images: Tensor, labels: Tensor, partner: Tensor, lam: Tensor, scales: Tensor, lr: Tensor, stop: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take one step.

        Args:
            images: uint8 (B, S, S, 3).
            labels: int32 (B,).
            partner: int32 (B,), the place in the batch of the image that each image is mixed with.
            lam: float32 (), the share of the image itself.
            scales: float32 (B, columns), factors of stochastic depth (:func:`hlg.data.streams.draw_drop_scales`).
            lr: float32 (), the learning rate of this step.
            stop: float32 (), not 0 where this rank asks the run to stop after this step.

        Returns:
            Loss float32 (), whether the gradients overflowed, bool (), and the sum of ``stop`` over all ranks; all
            three are the same on every rank.
        """
        x = self.normalize(images)
        x = x * lam + x[partner] * (1.0 - lam)
        loss, overflow = self.update(x, labels, labels[partner], lam, scales, lr)
        if self.ranks > 1:
            # After the update, so that every rank runs its all-reduces in the same order.
            stop = self.sum(ops.depend(stop, loss))
        return loss, overflow, stop


class EvalStep(nn.Cell):
    """Find the place of the right class among the scores, and the class that scores highest.

    uint8 images (B, S, S, 3), labels (B,) -> int32 (B,), int32 (B,). The place is the number of classes that score
    higher: 0 is a top-1 hit, below 5 a top-5 hit. Of equal scores the lower class wins, as in an argmax; a score that
    is not a number never hits.
    """

    def __init__(self, network: HLG) -> None:
        super().__init__(auto_prefix=False)
        self.normalize = Normalize()
        self.network = network
        self.argmax = ops.Argmax(output_type=ms.int32)

    def construct(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(self.normalize(images)).astype(ms.float32)
        classes = ops.arange(logits.shape[1]).reshape(1, -1)
        own = labels.reshape(-1, 1) == classes  # (B, C)
        score = ops.select(own, logits, ops.zeros_like(logits)).sum(-1, keepdims=True)  # (B, 1)
        beaten = (score > logits) | ((score == logits) & (labels.reshape(-1, 1) <= classes))
        return (~beaten).astype(ms.int32).sum(-1), self.argmax(logits)

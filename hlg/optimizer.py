"""AdamW as the published run had it: bias-corrected, decay decoupled and scaled by the learning rate."""

from collections.abc import Iterable

import mindspore as ms
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore.common.initializer import initializer

EPS = 1e-8


class AdamW(nn.Cell):
    """One AdamW step for ``parameters``, in graph mode with the framework's fused kernel.

    For each parameter p with gradient g at update number t, lr given with the step::

        m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
        p -= lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay p)

    The fused kernel knows no bias correction, so it is folded into its learning rate, epsilon and decay.
    ``nn.AdamWeightDecay``, which leaves the correction out, is a different optimiser.

    Args:
        no_decay: parameters whose name contains one of these have no weight decay.
        centralize: subtract from the gradient of each weight its mean over all axes but the first.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        beta1: float = 0.9,
        beta2: float = 0.999,
        weight_decay: float = 0.05,
        no_decay: tuple[str, ...] = ("beta", "bias"),
        centralize: bool = False,
    ) -> None:
        super().__init__(auto_prefix=False)  # parameters keep their names
        self.parameters = ParameterTuple(parameters)
        self.moments1 = self.parameters.clone(prefix="adam_m", init="zeros")
        self.moments2 = self.parameters.clone(prefix="adam_v", init="zeros")
        self.updates = Parameter(initializer("zeros", (), ms.float32), name="adam_updates", requires_grad=False)
        self.decays = tuple(0.0 if any(part in p.name for part in no_decay) else weight_decay for p in self.parameters)
        self.centralize = tuple(
            centralize and p.ndim > 1 and d > 0 for p, d in zip(self.parameters, self.decays, strict=True)
        )
        self.beta1, self.beta2 = beta1, beta2
        self.fused = ops.AdamWeightDecay()

    def construct(self, gradients: tuple[Tensor, ...], lr: Tensor, skip: Tensor) -> Tensor:
        """Update every parameter, or none where ``skip`` (a bool scalar) is true: not even the moments move."""
        go = 1.0 - skip.astype(ms.float32)
        t = self.updates + go
        # With beta 1, gradient 0 and rate 0 the kernel leaves parameter and moments as they are. At t = 0 (the very
        # first step skipped) the corrections would divide by zero.
        age = ops.maximum(t, 1.0)
        c1 = 1.0 - ops.pow(self.beta1, age)
        root2 = ops.sqrt(1.0 - ops.pow(self.beta2, age))
        beta1 = 1.0 - go * (1.0 - self.beta1)
        beta2 = 1.0 - go * (1.0 - self.beta2)
        rate, eps = go * lr * root2 / c1, EPS * root2
        done = ops.assign(self.updates, t)
        for i in range(len(self.parameters)):
            gradient = ops.select(skip, ops.zeros_like(gradients[i]), gradients[i])
            if self.centralize[i]:
                gradient = gradient - gradient.mean(tuple(range(1, gradient.ndim)), keep_dims=True)
            done = ops.depend(
                done,
                self.fused(
                    self.parameters[i],
                    self.moments1[i],
                    self.moments2[i],
                    rate,
                    beta1,
                    beta2,
                    eps,
                    self.decays[i] * c1 / root2,
                    gradient,
                ),
            )
        return done

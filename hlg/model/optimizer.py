"""AdamW as in the published run: bias-corrected, with decoupled weight decay scaled by the learning rate."""

from collections.abc import Iterable

import mindspore as ms
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore.common.initializer import initializer
from mindspore.ops import composite

EPS = 1e-8
STATE_PREFIX = "adam_"  # of the names of the optimizer's own parameters in a checkpoint

# Over all parameters at once: a loop over 245 of them in Python compiles half a minute longer.
_update = composite.MultitypeFuncGraph("adamw")


@_update.register(*["Tensor"] * 10, "Number", "Bool")
def _update_one(
    skip: Tensor,
    rate: Tensor,
    beta1: Tensor,
    beta2: Tensor,
    eps: Tensor,
    undo: Tensor,
    parameter: Parameter,
    m: Parameter,
    v: Parameter,
    gradient: Tensor,
    decay: float,
    centralize: bool,
) -> Tensor:
    """Update one parameter by the fused kernel; ``undo`` takes what was folded into the rate out of the decay again."""
    gradient = ops.select(skip, ops.zeros_like(gradient), gradient)
    if centralize:
        gradient = gradient - gradient.mean(tuple(range(1, gradient.ndim)), keep_dims=True)
    return ops.AdamWeightDecay()(parameter, m, v, rate, beta1, beta2, eps, decay * undo, gradient)


class AdamW(nn.Cell):
    """One AdamW step for all ``parameters``, by MindSpore's fused kernel.

    For each parameter p with gradient g at update number t, lr given with the step::

        m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
        p -= lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay p)

    The fused kernel knows no bias correction, so it is folded into its learning rate, epsilon and decay.
    ``nn.AdamWeightDecay``, which leaves the correction out, is a different optimizer.

    Args:
        no_decay: Parameters whose name contains one of these have no weight decay.
        centralize: Subtract from the gradient of each weight its mean over all axes but the first.
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
        self.moments1 = self.parameters.clone(prefix=f"{STATE_PREFIX}m", init="zeros")
        self.moments2 = self.parameters.clone(prefix=f"{STATE_PREFIX}v", init="zeros")
        self.updates = Parameter(
            initializer("zeros", (), ms.float32), name=f"{STATE_PREFIX}updates", requires_grad=False
        )
        self.decays = tuple(0.0 if any(part in p.name for part in no_decay) else weight_decay for p in self.parameters)
        self.centralize = tuple(
            centralize and p.ndim > 1 and d > 0 for p, d in zip(self.parameters, self.decays, strict=True)
        )
        self.beta1, self.beta2 = beta1, beta2
        self.map = composite.HyperMap()

    def construct(self, gradients: tuple[Tensor, ...], lr: Tensor, skip: Tensor) -> Tensor:
        """Update all parameters, or nothing, not even the moments, where ``skip``, bool (), is true."""
        go = 1.0 - skip.astype(ms.float32)
        t = self.updates + go
        # With beta 1, gradient 0 and rate 0 the kernel leaves parameter and moments as they are. At t = 0 (the very
        # first step skipped) the corrections would divide by zero.
        age = ops.maximum(t, 1.0)
        c1 = 1.0 - ops.pow(self.beta1, age)
        root2 = ops.sqrt(1.0 - ops.pow(self.beta2, age))
        beta1 = 1.0 - go * (1.0 - self.beta1)
        beta2 = 1.0 - go * (1.0 - self.beta2)
        one = ops.partial(_update, skip, go * lr * root2 / c1, beta1, beta2, EPS * root2, c1 / root2)
        updated = self.map(one, self.parameters, self.moments1, self.moments2, gradients, self.decays, self.centralize)
        return ops.depend(ops.assign(self.updates, t), updated)

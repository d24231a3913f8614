"""Check the schedule, and the optimizer alone on synthetic gradients, so that no noise of the network hides its own.

Rates are a hundred times the recipe's: at its own, a weight's rounding is as large as its update.
"""

from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from hlg.checkpoint.weights import published_name
from hlg.fingerprint import synthetic
from hlg.fingerprint.bounds import ReferenceTensors
from hlg.fingerprint.rows import FingerprintRow
from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.model.network import build_network
from hlg.model.optimizer import AdamW
from hlg.model.schedule import learning_rates

LARGEST_RATE = 0.1


def check_schedule(reference: ReferenceTensors) -> Iterator[FingerprintRow]:
    """Compute the rates of 300 short epochs, of each published mode."""
    found = {mode: learning_rates(mode=mode, **synthetic.SCHEDULE) for mode in synthetic.SCHEDULE_MODES}
    tensors = {mode: (f"schedule/{mode}", rates) for mode, rates in found.items()}
    yield reference.compare("optimiser", "", "schedule", tensors)


class OptimizerCheck:
    """AdamW over the network's parameters, compiled once for any number of salts."""

    def __init__(self) -> None:
        self.network = build_network(synthetic.CLASSES, synthetic.SIZE)
        self.optimizer = AdamW(self.network.trainable_params())
        self.parameters = list(self.optimizer.parameters)

    def rows(self, reference: ReferenceTensors) -> Iterator[FingerprintRow]:
        """Compare the updates of a step with zero gradients, which is the decay, and of three with synthetic ones."""
        still = [np.zeros(p.shape, np.float32) for p in self.parameters]
        set_synthetic_weights(self.network, reference.salt)
        reset_optimizer(self.optimizer)
        moved = self._moved(still, LARGEST_RATE, "decay")
        free = {n: v for n, v in moved.items() if n.endswith(("beta", "bias"))}
        yield reference.compare("optimiser", "", "decay", {n: v for n, v in moved.items() if n not in free})
        yield reference.compare("optimiser", "", "no decay", free)

        rates = learning_rates(**synthetic.SHORT_SCHEDULE | {"lr_max": LARGEST_RATE})
        set_synthetic_weights(self.network, reference.salt)
        reset_optimizer(self.optimizer)
        for step in range(1, synthetic.STEPS + 1):
            gradients = [
                synthetic.draw_gradient(published_name(p.name), p.shape, step, reference.salt) for p in self.parameters
            ]
            moved = self._moved(gradients, float(rates[step - 1]), f"optimiser step {step}")
            yield reference.compare("optimiser", "", f"step {step}", moved)

    def _moved(self, gradients: list[np.ndarray], rate: float, key: str) -> dict[str, tuple[str, np.ndarray]]:
        """How much one step changes each parameter."""
        before = [p.asnumpy().astype(np.float64) for p in self.parameters]
        self.optimizer(tuple(map(Tensor, gradients)), Tensor(rate, ms.float32), Tensor(False)).asnumpy()
        return {
            p.name: (f"{key}/{published_name(p.name)}", p.asnumpy() - old)
            for p, old in zip(self.parameters, before, strict=True)
        }


def reset_optimizer(optimizer: AdamW) -> None:
    """Make an optimizer forget its steps."""
    for p in (*optimizer.moments1, *optimizer.moments2, optimizer.updates):
        p.set_data(ops.zeros(p.shape, p.dtype))

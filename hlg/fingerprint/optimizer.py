"""The optimiser alone, on gradients made by rule, so that no noise of the network hides what it does; the schedule.

Rates a hundred times the recipe's: at its own the rounding of a weight is as large as what it is moved by.
"""

from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.checkpoint.weights import published_name
from hlg.fingerprint import golden, synthetic
from hlg.fingerprint.backward import STEPS, restart
from hlg.fingerprint.bounds import Judge, Row
from hlg.model.network import build_network
from hlg.model.optimizer import AdamW
from hlg.model.schedule import learning_rates

LARGEST_RATE = 0.1
MODES = ("cosine", "poly", "steps", "linear")


def schedule(judge: Judge) -> Iterator[Row]:
    """The rates of 300 short epochs, of each published mode."""
    found = {
        mode: learning_rates(
            mode=mode, lr_init=0, lr_min=1e-5, lr_max=1e-3, warmup_epochs=20, max_epoch=300, steps_per_epoch=5
        )
        for mode in MODES
    }
    tensors = {mode: (f"schedule/{mode}", rates) for mode, rates in found.items()}
    yield judge.against("optimiser", "", "schedule", tensors)


class Optimiser:
    """AdamW over the network's parameters, compiled once for any number of salts."""

    def __init__(self) -> None:
        self.network = build_network(synthetic.CLASSES, synthetic.SIZE)
        self.optimizer = AdamW(self.network.trainable_params())
        self.parameters = list(self.optimizer.parameters)

    def rows(self, judge: Judge) -> Iterator[Row]:
        """What a step does to each parameter: without gradients, which is the decay, and on the rule's, three times."""
        still = [np.zeros(p.shape, np.float32) for p in self.parameters]
        golden.set_weights(self.network, judge.salt)
        restart(self.optimizer)
        moved = self._moved(still, LARGEST_RATE, "decay")
        free = {n: v for n, v in moved.items() if n.endswith(("beta", "bias"))}
        yield judge.against("optimiser", "", "decay", {n: v for n, v in moved.items() if n not in free})
        yield judge.against("optimiser", "", "no decay", free)

        rates = learning_rates(
            mode="cosine", lr_init=0, lr_min=1e-5, lr_max=LARGEST_RATE, warmup_epochs=1, max_epoch=2, steps_per_epoch=4
        )
        golden.set_weights(self.network, judge.salt)
        restart(self.optimizer)
        for step in range(1, STEPS + 1):
            gradients = [synthetic.gradient(published_name(p.name), p.shape, step, judge.salt) for p in self.parameters]
            moved = self._moved(gradients, float(rates[step - 1]), f"optimiser step {step}")
            yield judge.against("optimiser", "", f"step {step}", moved)

    def _moved(self, gradients: list[np.ndarray], rate: float, key: str) -> dict[str, tuple[str, np.ndarray]]:
        """By how much one step changes each parameter."""
        before = [p.asnumpy().astype(np.float64) for p in self.parameters]
        self.optimizer(tuple(map(Tensor, gradients)), Tensor(rate, ms.float32), Tensor(False)).asnumpy()
        return {
            p.name: (f"{key}/{published_name(p.name)}", p.asnumpy() - old)
            for p, old in zip(self.parameters, before, strict=True)
        }

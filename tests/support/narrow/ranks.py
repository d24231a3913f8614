"""What tests let ranks compute: ``python -m hlg.launch --ranks 2 tests.support.narrow.ranks OUT``.

Each rank writes ``OUT/rank_<n>.npz``. One process alone computes what several ranks must compute together.
"""

import sys
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.config import Config
from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.model.loss import build_loss
from hlg.model.network import build_network
from hlg.model.normalize import Normalize
from hlg.model.optimizer import AdamW
from hlg.runtime import collective, device
from hlg.training.step import Gradients, TrainStep
from tests.support.narrow.network import narrow

IMAGES, CLASSES, SIZE, STEPS = 12, 3, 112, 4


def images() -> tuple[np.ndarray, np.ndarray]:
    """A global batch, the same on every rank."""
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8), rng.integers(0, CLASSES, IMAGES).astype(np.int32)


def work(on: device.Device, steps: int = STEPS, mode: int = ms.GRAPH_MODE) -> dict[str, np.ndarray]:
    """Gradients with batch norm in evaluation mode, then some training steps in a mode, then counts."""
    ms.set_context(mode=ms.PYNATIVE_MODE)  # nothing to compile
    size = IMAGES // on.count
    mine = slice(on.rank * size, (on.rank + 1) * size)
    pixels, labels = (array[mine] for array in images())
    network = build_network(CLASSES, SIZE)
    set_synthetic_weights(network)
    for p in network.get_parameters():  # ranks that begin differently
        p.set_data(p + 0.01 * on.rank)
    collective.broadcast(network.get_parameters(), on.count)

    loss = build_loss("ce_smooth_mixup", CLASSES, 0.1, 255)
    one, lr, stop = (Tensor(np.float32(x)) for x in (1, 1e-3, on.rank == 1))
    identity = Tensor(np.arange(size, dtype=np.int32))
    scales = Tensor(np.ones((size, len(network.drop_rates)), np.float32))
    found: dict[str, np.ndarray] = {}

    gradients = Gradients(network, loss, 1024.0, on.count)
    gradients.set_train(False)
    x = Normalize()(Tensor(pixels))
    value, each, _ = gradients(x, Tensor(labels), Tensor(labels), one, scales)
    found["loss"] = value.asnumpy()
    for p, gradient in zip(network.trainable_params(), each, strict=True):
        found[f"gradient {p.name}"] = gradient.asnumpy()

    ms.set_context(mode=mode)
    step = TrainStep(network, loss, AdamW(network.trainable_params()), 1024.0, on.count)
    step.set_train(True)
    for i in range(steps):
        out = step(Tensor(pixels), Tensor(labels), identity, one, scales, lr, stop)
        found[f"loss {i}"] = out[0].asnumpy()
        if i == 0:
            found |= {f"moving {p.name}": p.asnumpy().copy() for p in network.get_parameters() if not p.requires_grad}
    found["stop"] = out[2].asnumpy()
    found |= {f"parameter {p.name}": p.asnumpy() for p in network.get_parameters()}
    found["counts"] = collective.sum_over_ranks([on.rank + 1, 2**24 + 1, 10**11], on.count)
    return found


if __name__ == "__main__":
    narrow()
    on = device.start(Config(run_distribute="--run_distribute=1" in sys.argv, stall_timeout=60))
    np.savez(Path(sys.argv[1]) / f"rank_{on.rank}.npz", **work(on))

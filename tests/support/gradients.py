"""Loss and gradients of the network on small images: ``python -m tests.support.gradients OUT --graph_kernel=1 ...``."""

import sys

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.config import load
from hlg.data.streams import draw_drop_scales
from hlg.model.loss import build_loss
from hlg.model.network import build_network
from hlg.runtime import device
from hlg.training.step import Gradients

CLASSES, SIZE, BATCH = 10, 112, 2


def main(out: str, *keys: str) -> None:
    device.start(load(keys)[0])  # before MindSpore compiles anything
    rng = np.random.default_rng(0)
    network = build_network(CLASSES, SIZE, "O0")
    for parameter in network.trainable_params():
        middle = 1 if parameter.name.endswith("gamma") else 0
        values = middle + 0.05 * rng.standard_normal(parameter.shape)
        parameter.set_data(Tensor(values.astype(np.float32)))
    gradients = Gradients(network, build_loss("ce_smooth_mixup", CLASSES))
    gradients.set_train(True)
    loss, found, _ = gradients(
        Tensor(rng.standard_normal((BATCH, 3, SIZE, SIZE)).astype(np.float32)),
        Tensor(np.array([1, 2], np.int32)),
        Tensor(np.array([2, 1], np.int32)),
        Tensor(0.7, ms.float32),
        Tensor(draw_drop_scales(network.drop_rates, 1, 0, BATCH)),
    )
    named = {p.name: gradient.asnumpy() for p, gradient in zip(network.trainable_params(), found, strict=True)}
    np.savez(out, loss=loss.asnumpy(), **named)


if __name__ == "__main__":
    main(*sys.argv[1:])

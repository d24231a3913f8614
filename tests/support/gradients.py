"""Loss and gradients of a network on small images: ``python -m tests.support.gradients OUT --graph_kernel=1 ...``.

It has one block of each kind, as wide as those of HLG-Mobile, so that three blocks need every operator of its eight.
"""

import sys
from dataclasses import replace

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.config import load
from hlg.data.streams import draw_drop_scales
from hlg.model.loss import build_loss
from hlg.model.network import DILATED, HLG, LOCAL, MOBILE
from hlg.runtime import device
from hlg.training.step import Gradients

CLASSES, SIZE, BATCH = 10, 112, 2
BLOCKS = ((), (DILATED,), (LOCAL,), (None,))
STAGES = tuple(replace(stage, blocks=blocks) for stage, blocks in zip(MOBILE, BLOCKS, strict=True))


def main(out: str, *keys: str) -> None:
    device.start(load(keys)[0])  # before MindSpore compiles anything
    rng = np.random.default_rng(0)
    network = HLG(CLASSES, SIZE, STAGES)
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

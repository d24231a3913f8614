"""The published implementation, a peer that takes its turns for repro.bench.pacing.

    python published_hlg.py step --code models/research/cv/hlg --batch 8

``--code`` is that folder of a checkout of mindspore-ai/models; its modules want the package easydict. Its network,
loss and optimizer run as they are: those first published on MindSpore 1.7.0, those of a later commit on today's. They
are put together as its train.py has them, in float32.
"""

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
from mindspore import Tensor
from mindspore.train.loss_scale_manager import FixedLossScaleManager
from paced import take_turns

SETTINGS = {"train_image_size": 224, "class_num": 1001, "hlg_config_path": "src.hlg.HLGConfig"}
SETTINGS |= {"loss_name": "ce_smooth_mixup", "label_smooth_factor": 0.1, "aux_factor": 0.4, "loss_scale": 1024.0}
SETTINGS |= {"opt": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.05, "gc_flag": 0}
SETTINGS |= {"no_weight_decay_filter": "beta,bias"}


def repetition(what, batch):
    """What is repeated: a forward pass in evaluation mode, or a training step of normalised, mixed images."""
    from src.cross_entropy import get_loss
    from src.hlg import get_network
    from src.optimizer import get_optimizer

    args = SimpleNamespace(**SETTINGS)
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((batch, 3, 224, 224)).astype(np.float32))
    y = Tensor(np.eye(1001, dtype=np.float32)[rng.integers(0, 1001, batch)])
    net = get_network("hlg_mobile", args)
    if what == "forward":
        net.set_train(False)
        return lambda: net(x).asnumpy()
    optimizer, _ = get_optimizer("adamw", net, Tensor(np.full(10000, 1e-3, np.float32)), args)
    scale = FixedLossScaleManager(args.loss_scale, drop_overflow_update=False)
    step = ms.train.Model(net, get_loss(args.loss_name, args), optimizer, loss_scale_manager=scale)._train_network
    step.set_train(True)
    return lambda: step(x, y).asnumpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("forward", "step"))
    parser.add_argument("--code", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    sys.path.insert(0, str(options.code))
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")  # MindSpore 1.7.0 knows no set_device
    take_turns(repetition(options.what, options.batch))

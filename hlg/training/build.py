"""Build what a program works with from its configuration, the same way for every program.

The functions take ``shard``, (rank, number of ranks), where what they build depends on it.
"""

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.config import Config
from hlg.data.index import ImageIndex
from hlg.data.loader import Batch, EvalLoader, TrainLoader
from hlg.data.streams import draw_drop_scales, mixup_draw
from hlg.limits import usable_threads
from hlg.model.loss import build_loss
from hlg.model.network import HLG
from hlg.model.optimizer import AdamW
from hlg.model.schedule import learning_rates
from hlg.training.step import TrainStep

ALONE = (0, 1)


def build_train_step(config: Config, network: HLG, ranks: int = 1) -> TrainStep:
    """Build the training step of ``network``, with its loss and its optimizer."""
    c = config
    loss = build_loss(c.loss_name, c.class_num, c.smoothing, c.ignore_label)
    optimizer = AdamW(network.trainable_params(), c.beta1, c.beta2, c.weight_decay, c.no_weight_decay_names, c.gc_flag)
    return TrainStep(network, loss, optimizer, c.loss_scale, ranks)


def build_train_loader(
    config: Config,
    index: ImageIndex,
    shard: tuple[int, int] = ALONE,
    start_step: int = 0,
    total_steps: int | None = None,
) -> TrainLoader:
    """Build the loader of augmented batches, from ``start_step`` to the end of the run or to ``total_steps``.

    Raises:
        UserError: there are fewer images than one step takes.
    """
    c = config
    steps_per_epoch = len(index.files) // (c.batch_size * shard[1])
    return TrainLoader(
        index,
        image_size=c.train_image_size,
        batch_size=c.batch_size,
        crop_min=c.crop_min,
        autoaugment=c.autoaugment,
        seed=c.seed,
        workers=usable_threads(c.train_num_workers),
        start_step=start_step,
        total_steps=c.max_epoch * steps_per_epoch if total_steps is None else total_steps,
        on_unreadable=c.on_unreadable,
        shard=shard,
    )


def build_eval_loader(config: Config, index: ImageIndex, shard: tuple[int, int] = ALONE) -> EvalLoader:
    """Build the loader of every image, once and in order."""
    return EvalLoader(
        index,
        image_size=config.eval_image_size,
        batch_size=config.eval_batch_size,
        workers=usable_threads(config.eval_num_workers),
        on_unreadable=config.on_unreadable,
        shard=shard,
    )


def build_schedule(config: Config, steps_per_epoch: int) -> np.ndarray:
    """Compute the learning rate of every step of a run, float32 (steps,)."""
    c = config
    return learning_rates(
        mode=c.lr_decay_mode,
        lr_init=c.lr_init,
        lr_min=c.lr_min,
        lr_max=c.lr_max,
        warmup_epochs=c.warmup_epochs,
        max_epoch=c.max_epoch,
        steps_per_epoch=steps_per_epoch,
        poly_power=c.poly_power,
    )


def build_step_inputs(
    config: Config,
    network: HLG,
    batch: Batch,
    step: int,
    lr: float,
    shard: tuple[int, int] = ALONE,
    stop: bool = False,
) -> tuple[Tensor, ...]:
    """Build the inputs of :class:`TrainStep` for one step; every random number comes from (seed, step).

    The factors of stochastic depth are drawn for the images of all ranks, so they depend on an image's place in the
    global batch alone; mixup, as published, mixes within the batch of each rank.
    """
    c, (rank, ranks) = config, shard
    lam, partner = mixup_draw(c.seed, step, c.batch_size, c.mixup, rank)
    scales = draw_drop_scales(network.drop_rates, c.seed, step, c.batch_size * ranks)
    return (
        Tensor(batch.images),
        Tensor(batch.labels),
        Tensor(partner),
        Tensor(lam, ms.float32),
        Tensor(scales[rank * c.batch_size : (rank + 1) * c.batch_size]),
        Tensor(lr, ms.float32),
        Tensor(float(stop), ms.float32),
    )

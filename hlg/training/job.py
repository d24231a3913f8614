"""A training job: network, graphs, data and schedule."""

import gc
import time

import mindspore as ms
import numpy as np
from mindspore import Tensor

from hlg.checkpoint.locate import find_checkpoint
from hlg.checkpoint.weights import load_weights
from hlg.config import Config
from hlg.data.classes import IMAGENET_OUTPUTS, OutputClasses, label_images
from hlg.data.index import ImageIndex
from hlg.data.loader import Batch
from hlg.model.network import build_network
from hlg.runtime import collective, graph_cache
from hlg.runtime.device import Device
from hlg.training.build import (
    build_eval_loader,
    build_schedule,
    build_step_inputs,
    build_train_loader,
    build_train_step,
)
from hlg.training.evaluate import blank_batch
from hlg.training.step import EvalStep

PUBLISHED_RANKS, PUBLISHED_BATCH = 8, 128  # each rank's


class Job:
    """The training job of this rank, from step ``start`` on.

    ``classes`` says what the outputs of a resumed run mean; those of a new one mean what they do in ``pretrained``.

    Raises:
        UserError: ``pretrained`` can't be used, or class folders are not those that it was trained on.
    """

    def __init__(
        self,
        config: Config,
        on: Device,
        train_index: ImageIndex,
        eval_index: ImageIndex,
        start: int = 0,
        classes: OutputClasses | None = None,
    ) -> None:
        self.config = c = config
        self.on, self.start = on, start
        self.network = build_network(c.class_num, c.train_image_size, c.amp_level)
        # A resumed run has its weights in its checkpoint; the file it was first started from may be gone.
        pretrained = c.pretrained if not start else ""
        self.loaded = load_weights(find_checkpoint(pretrained), self.network) if pretrained else None
        classes = self.loaded.classes if self.loaded else classes
        train_index, eval_index, self.class_notes = _labeled(train_index, eval_index, classes, c.class_map)
        self.train_step = build_train_step(c, self.network, on.count)
        self.eval_step = EvalStep(self.network)
        self.train_loader = build_train_loader(c, train_index, on.shard, start)
        self.eval_loader = build_eval_loader(c, eval_index, on.shard)
        self.global_batch = c.batch_size * on.count
        self.steps_per_epoch = self.train_loader.steps_per_epoch
        self.learning_rates = build_schedule(c, self.steps_per_epoch)

    def parameters(self) -> list[ms.Parameter]:
        """Everything that training changes: the network's parameters and the optimizer's state."""
        optimizer = self.train_step.update.optimizer
        return [*self.network.get_parameters(), *optimizer.moments1, *optimizer.moments2, optimizer.updates]

    def inputs(self, step: int, batch: Batch, stop: bool = False) -> tuple[Tensor, ...]:
        """The inputs of the training step number ``step``; ``stop`` asks all ranks to stop after it."""
        lr = self.learning_rates[step]
        return build_step_inputs(self.config, self.network, batch, step, lr, self.on.shard, stop)

    def compile(self) -> tuple[float, graph_cache.CacheUse]:
        """Compile both graphs ahead of the first step, in seconds; in PyNative mode there is nothing to compile."""
        c = self.config
        if c.context_mode != ms.GRAPH_MODE:
            return 0.0, graph_cache.CacheUse()
        start = time.perf_counter()
        shape = (c.batch_size, c.train_image_size, c.train_image_size, 3)
        blank = Batch(np.zeros(shape, np.uint8), np.zeros(c.batch_size, np.int32), np.zeros(c.batch_size, np.int64))
        self.train_step.set_train(True)
        gc.freeze()  # MindSpore collects garbage while it compiles, and nothing that exists by now is garbage
        with graph_cache.cached_compilation(c, self.on, self.parameters()) as use:
            self.train_step.compile(*self.inputs(0, blank))
            self.eval_step.set_train(False)
            self.eval_step.compile(*blank_batch(c.eval_image_size, c.eval_batch_size))  # not run: that takes a second
        return time.perf_counter() - start, use

    def skipped(self) -> list[str]:
        """The files that any rank left out as unreadable so far. Every rank must call it."""
        if self.config.on_unreadable != "skip":
            return []
        loaders = (self.train_loader, self.eval_loader)
        found = (collective.union(loader.skipped, loader.index.files, self.on.count) for loader in loaders)
        return sorted({name for names in found for name in names})


def describe_batch(batch: int, ranks: int, classes: int) -> str:
    """Say how many images a step takes and, on ImageNet, how that differs from the published run and what keeps it."""
    whole, published = batch * ranks, PUBLISHED_RANKS * PUBLISHED_BATCH
    said = f"global batch: {ranks} x {batch} = {whole:,} images"
    as_published = f"{PUBLISHED_RANKS} x {PUBLISHED_BATCH} = {published:,}"
    if classes not in IMAGENET_OUTPUTS:
        return said
    if whole == published:
        return f"{said}, as published ({as_published})"
    said += f"; published: {as_published}, to which its learning rate belongs"
    own = max(1, round(published / ranks))
    if own * ranks == published:
        return f"{said}; batch_size={own} keeps that"
    return f"{said}; {published:,} does not divide by {ranks}: batch_size={own} comes closest, {own * ranks:,}"


def _labeled(
    train_index: ImageIndex, eval_index: ImageIndex, classes: OutputClasses | None, class_map: str
) -> tuple[ImageIndex, ImageIndex, list[str]]:
    """Give both splits the labels that the outputs have, and return what to tell the user about that."""
    notes = []
    if classes:
        train_index, found = label_images(train_index, classes, class_map)
        notes.append(found.note)
    own = OutputClasses(f"the training images, {train_index.root}", train_index.classes)
    # In order would be wrong here: one folder that is missing in either split shifts the labels behind it.
    eval_index, found = label_images(eval_index, own, class_map if class_map == "name" else "")
    return train_index, eval_index, [note for note in (*notes, found.note) if note]

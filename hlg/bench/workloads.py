"""Workloads to measure: one repetition of each, its images and its arithmetic."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from hlg.config import Config
from hlg.data.index import ImageIndex
from hlg.data.loader import NEEDED, Batch, EvalLoader
from hlg.data.throughput import find_or_draw_images, image_facts, measure_decoding
from hlg.model.flops import forward_flops, step_flops
from hlg.model.network import HLG, build_network
from hlg.runtime.memory import check_training_memory
from hlg.training.build import ALONE, build_eval_loader, build_step_inputs, build_train_loader, build_train_step
from hlg.training.evaluate import compile_eval_step, evaluate
from hlg.training.step import EvalStep, TrainStep

EVALUATED_BATCHES = 4
INPUT_IMAGES = 256  # of a repetition at least, or batches that were made ahead would count as made at once
DECODING_S = 2.0  # how long decoding alone is measured


@dataclass(frozen=True)
class Workload:
    """One workload: what to repeat, its images, the arithmetic of one image, and facts for the result."""

    repeat: Callable[[], object]
    images: int
    flops_per_image: int = 0
    compile_time_s: float = 0.0
    facts: Callable[[], dict[str, Any]] = dict


Shard = tuple[int, int]  # rank and number of ranks, each of which measures the same


def forward_workload(config: Config, _: ExitStack, __: Shard = ALONE) -> Workload:
    """The network in evaluation mode, from normalized images to logits."""
    c = config
    network = build_network(c.class_num, c.train_image_size, c.amp_level)
    network.set_train(False)
    shape = (c.batch_size, 3, c.train_image_size, c.train_image_size)
    x = Tensor(np.random.default_rng(c.seed).standard_normal(shape).astype(np.float32))
    flops = forward_flops(c.class_num, c.train_image_size)
    return Workload(lambda: network(x).asnumpy(), c.batch_size, flops, _compile(c, network, x))


def step_workload(config: Config, _: ExitStack, shard: Shard = ALONE) -> Workload:
    """A training step of random images: normalize, mix, forward, backward, AdamW."""
    c, rng = config, np.random.default_rng(config.seed)
    images = rng.integers(0, 256, (c.batch_size, c.train_image_size, c.train_image_size, 3), np.uint8)
    labels = rng.integers(0, c.class_num, c.batch_size).astype(np.int32)
    network, step = _training(c, shard)
    inputs = build_step_inputs(c, network, Batch(images, labels, np.arange(c.batch_size)), 0, c.lr_max, shard)
    return _stepping(c, step, lambda: inputs)


def fed_step_workload(config: Config, closing: ExitStack, shard: Shard = ALONE) -> Workload:
    """A training step with its wait for the images, which come from files as in a training."""
    c = config
    network, step = _training(c, shard)
    index = find_or_draw_images(c.dataset_path, c.class_num, closing)
    stream = build_train_loader(replace(c, on_unreadable=NEEDED), index, shard, total_steps=sys.maxsize).stream()
    closing.callback(stream.close)

    def inputs() -> tuple[Tensor, ...]:
        return build_step_inputs(c, network, next(stream), 0, c.lr_max, shard)

    return _stepping(c, step, inputs, lambda: image_facts(index, c.dataset_path))


def _training(config: Config, shard: Shard) -> tuple[HLG, TrainStep]:
    check_training_memory(config)
    network = build_network(config.class_num, config.train_image_size, config.amp_level)
    step = build_train_step(config, network, shard[1])
    step.set_train(True)
    return network, step


def _stepping(
    config: Config,
    step: TrainStep,
    inputs: Callable[[], tuple[Tensor, ...]],
    images: Callable[[], dict[str, Any]] = dict,
) -> Workload:
    compile_time_s = _compile(config, step, *inputs())
    flops, average = step_flops(config.class_num, config.train_image_size), step.update.gradients.average
    facts = {"averaged_bytes": average.bytes, "averages": len(average.buckets)}

    def once() -> object:
        return step(*inputs())[0].asnumpy()

    return Workload(once, config.batch_size, flops, compile_time_s, lambda: facts | images())


def _compile(config: Config, cell: nn.Cell, *inputs: Tensor) -> float:
    """Compile a graph for these inputs; returns the seconds. PyNative mode, which has no use for one, is spared it."""
    start = time.perf_counter()
    if config.context_mode == ms.GRAPH_MODE:
        cell.compile(*inputs)
    return time.perf_counter() - start


def input_workload(config: Config, closing: ExitStack, _: Shard = ALONE) -> Workload:
    """Measure the training input: read, decode, crop and augment on the configured threads."""
    c = config
    index = find_or_draw_images(c.dataset_path, c.class_num, closing)
    stream = build_train_loader(replace(c, on_unreadable=NEEDED), index, total_steps=sys.maxsize).stream()
    closing.callback(stream.close)
    batches = -(-INPUT_IMAGES // c.batch_size)
    taken = 0
    start, cpu = time.perf_counter(), time.process_time()

    def take() -> None:
        nonlocal taken
        for _ in range(batches):
            next(stream)
        taken += batches * c.batch_size

    def facts() -> dict[str, Any]:
        busy, wall = time.process_time() - cpu, time.perf_counter() - start
        stream.close()
        alone = measure_decoding(index, c.train_num_workers, DECODING_S)
        return {
            "images_per_s_per_core": taken / busy,
            "cores_busy": busy / wall,
            "decoded_per_s_per_core": alone.images_per_s_per_core,
            "share_of_decoding": taken / busy / alone.images_per_s_per_core,
            **image_facts(index, c.dataset_path),
        }

    return Workload(take, batches * c.batch_size, facts=facts)


def evaluation_workload(config: Config, closing: ExitStack, _: Shard = ALONE) -> Workload:
    """An evaluation of some batches of files, each as large as a training batch."""
    c = replace(config, eval_batch_size=config.batch_size, on_unreadable=NEEDED)
    whole = find_or_draw_images(c.eval_path, c.class_num, closing)
    count = min(len(whole.files), EVALUATED_BATCHES * c.eval_batch_size)
    index = replace(whole, files=whole.files[:count], labels=whole.labels[:count])
    step = EvalStep(build_network(c.class_num, c.eval_image_size, c.amp_level))
    loader = build_eval_loader(c, index)
    flops = forward_flops(c.class_num, c.eval_image_size)
    return Workload(lambda: evaluate(step, loader), count, flops, facts=lambda: image_facts(whole, c.eval_path))


def fed_forward_workload(config: Config, closing: ExitStack, shard: Shard = ALONE) -> Workload:
    """A step of an evaluation with its wait for the images, which come from files as in an evaluation."""
    c = replace(config, eval_batch_size=config.batch_size, on_unreadable=NEEDED)
    index = find_or_draw_images(c.eval_path, c.class_num, closing)
    step = EvalStep(build_network(c.class_num, c.eval_image_size, c.amp_level))
    compile_time_s = compile_eval_step(step, c.eval_image_size, c.eval_batch_size)
    batches = _endless(build_eval_loader(c, _whole_steps(index, c.eval_batch_size * shard[1]), shard), closing)

    def once() -> object:
        batch = next(batches)
        return [found.asnumpy() for found in step(Tensor(batch.images), Tensor(batch.labels))]

    flops = forward_flops(c.class_num, c.eval_image_size)
    return Workload(once, c.eval_batch_size, flops, compile_time_s, lambda: image_facts(index, c.eval_path))


def _whole_steps(index: ImageIndex, images: int) -> ImageIndex:
    """Cut or repeat a list of files, so that every step of so many images is full."""
    count = max(images, len(index.files) // images * images)
    places = np.arange(count) % len(index.files)
    return replace(index, files=tuple(index.files[i] for i in places), labels=index.labels[places])


def _endless(loader: EvalLoader, closing: ExitStack) -> Iterator[Batch]:
    """Take the batches again and again; the threads that make them end with `closing`."""
    streams = (closing.enter_context(contextlib.closing(loader.stream())) for _ in repeat(None))
    return chain.from_iterable(streams)


WORKLOADS: dict[str, Callable[[Config, ExitStack, Shard], Workload]] = {
    "forward": forward_workload,
    "step": step_workload,
    "input": input_workload,
    "evaluate": evaluation_workload,
    "fed_step": fed_step_workload,
    "fed_forward": fed_forward_workload,
}

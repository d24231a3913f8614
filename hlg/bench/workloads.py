"""Workloads to measure: one repetition of each, its images and its arithmetic."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mindspore import Tensor

from hlg.config import Config
from hlg.data.loader import NEEDED, Batch
from hlg.data.throughput import find_or_draw_images, image_facts, measure_decoding
from hlg.model.flops import forward_flops, step_flops
from hlg.model.network import build_network
from hlg.training.build import build_eval_loader, build_step_inputs, build_train_loader, build_train_step
from hlg.training.evaluate import evaluate
from hlg.training.step import EvalStep

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


def forward_workload(config: Config, _: ExitStack) -> Workload:
    """The network in evaluation mode, from normalized images to logits."""
    c = config
    network = build_network(c.class_num, c.train_image_size, c.amp_level)
    network.set_train(False)
    shape = (c.batch_size, 3, c.train_image_size, c.train_image_size)
    x = Tensor(np.random.default_rng(c.seed).standard_normal(shape).astype(np.float32))
    start = time.perf_counter()
    network.compile(x)
    compile_time_s = time.perf_counter() - start
    flops = forward_flops(c.class_num, c.train_image_size)
    return Workload(lambda: network(x).asnumpy(), c.batch_size, flops, compile_time_s)


def step_workload(config: Config, _: ExitStack) -> Workload:
    """A training step of random images: normalize, mix, forward, backward, AdamW."""
    c, rng = config, np.random.default_rng(config.seed)
    network = build_network(c.class_num, c.train_image_size, c.amp_level)
    step = build_train_step(c, network)
    step.set_train(True)
    images = rng.integers(0, 256, (c.batch_size, c.train_image_size, c.train_image_size, 3), np.uint8)
    labels = rng.integers(0, c.class_num, c.batch_size).astype(np.int32)
    inputs = build_step_inputs(c, network, Batch(images, labels, np.arange(c.batch_size)), step=0, lr=c.lr_max)
    start = time.perf_counter()
    step.compile(*inputs)
    compile_time_s = time.perf_counter() - start
    flops, average = step_flops(c.class_num, c.train_image_size), step.update.gradients.average
    facts = {"averaged_bytes": average.bytes, "averages": len(average.buckets)}
    return Workload(lambda: step(*inputs)[0].asnumpy(), c.batch_size, flops, compile_time_s, lambda: facts)


def input_workload(config: Config, closing: ExitStack) -> Workload:
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


def evaluation_workload(config: Config, closing: ExitStack) -> Workload:
    """An evaluation of some batches of files, each as large as a training batch."""
    c = replace(config, eval_batch_size=config.batch_size, on_unreadable=NEEDED)
    whole = find_or_draw_images(c.eval_path, c.class_num, closing)
    count = min(len(whole.files), EVALUATED_BATCHES * c.eval_batch_size)
    index = replace(whole, files=whole.files[:count], labels=whole.labels[:count])
    step = EvalStep(build_network(c.class_num, c.eval_image_size, c.amp_level))
    loader = build_eval_loader(c, index)
    flops = forward_flops(c.class_num, c.eval_image_size)
    return Workload(lambda: evaluate(step, loader), count, flops, facts=lambda: image_facts(whole, c.eval_path))


WORKLOADS: dict[str, Callable[[Config, ExitStack], Workload]] = {
    "forward": forward_workload,
    "step": step_workload,
    "input": input_workload,
    "evaluate": evaluation_workload,
}

"""Measure one thing on this machine: ``python -m hlg.bench step --batch_size 8 --steps 10 --json FILE``.

What: forward (the network alone, random images), step (a whole training step from pixels to weights), input (augmented
images, some batches a repetition), evaluate (some batches of images from files, network, counting). Any key of the
configuration may follow. The device is a CPU unless --device_target says otherwise, and images are drawn ones unless
--dataset_path or --eval_path names a folder. Of the images, sizes and counts are written too, and of any measurement
the most memory that the process had.

--paced waits for a line on standard input before each repetition and answers with its seconds on standard output, so
that repro.bench.turns can measure several programs by turns. --profile FOLDER writes which operators the time goes to.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from hlg import cli
from hlg.config import Config
from hlg.data.loader import EvalLoader, TrainLoader
from hlg.data.streams import draw_drop_scales, mixup_draw
from hlg.data.throughput import decoding, described, read_or_drawn
from hlg.files import write_result
from hlg.model.flops import forward_flops, step_flops
from hlg.model.loss import build_loss
from hlg.model.network import build_network
from hlg.model.optimizer import AdamW
from hlg.record.environment import environment_facts
from hlg.runtime import device
from hlg.runtime.profiler import costliest, profiled
from hlg.training.evaluate import evaluate
from hlg.training.step import RankStep, TrainStep

WARM_UP = 2
EVALUATED_BATCHES = 4
INPUT_IMAGES = 256  # of a repetition at least, or batches that were made ahead would count as made at once
DECODING_S = 2.0  # how long decoding alone is measured
PRODUCT = 2048  # side of the square matrices whose product tells what the machine can do


@dataclasses.dataclass(frozen=True)
class Work:
    """What is repeated, how many images that is, the arithmetic of one image, and what to add to the result."""

    repeat: Callable[[], object]
    images: int
    flops_per_image: int = 0
    compile_time_s: float = 0.0
    beside: Callable[[], dict[str, Any]] = dict


def forward(config: Config, _: ExitStack) -> Work:
    """The network in evaluation mode, from normalised images to logits."""
    c = config
    network = build_network(c.class_num, c.train_image_size, c.amp_level)
    network.set_train(False)
    shape = (c.batch_size, 3, c.train_image_size, c.train_image_size)
    x = Tensor(np.random.default_rng(c.seed).standard_normal(shape).astype(np.float32))
    start = time.perf_counter()
    network.compile(x)
    compile_time_s = time.perf_counter() - start
    flops = forward_flops(c.class_num, c.train_image_size)
    return Work(lambda: network(x).asnumpy(), c.batch_size, flops, compile_time_s)


def step(config: Config, _: ExitStack) -> Work:
    """A training step of random images: normalise, mix, forward, backward, AdamW."""
    c, rng = config, np.random.default_rng(config.seed)
    network = build_network(c.class_num, c.train_image_size, c.amp_level)
    optimizer = AdamW(network.trainable_params(), c.beta1, c.beta2, c.weight_decay, c.no_weight_decay_names, c.gc_flag)
    loss = build_loss(c.loss_name, c.class_num, c.smoothing, c.ignore_label)
    train = TrainStep(network, loss, optimizer, c.loss_scale)
    train.set_train(True)
    lam, partner = mixup_draw(c.seed, 0, c.batch_size, c.mixup)
    inputs = (
        Tensor(rng.integers(0, 256, (c.batch_size, c.train_image_size, c.train_image_size, 3), np.uint8)),
        Tensor(rng.integers(0, c.class_num, c.batch_size).astype(np.int32)),
        Tensor(partner),
        Tensor(lam, ms.float32),
        Tensor(draw_drop_scales(network.drop_rates, c.seed, 0, c.batch_size)),
        Tensor(c.lr_max, ms.float32),
        Tensor(0.0, ms.float32),
    )
    start = time.perf_counter()
    train.compile(*inputs)
    compile_time_s = time.perf_counter() - start
    flops, average = step_flops(c.class_num, c.train_image_size), train.update.gradients.average
    found = {"averaged_bytes": average.bytes, "averages": len(average.buckets)}
    return Work(lambda: train(*inputs)[0].asnumpy(), c.batch_size, flops, compile_time_s, lambda: found)


def images(config: Config, closing: ExitStack) -> Work:
    """Batches of the training recipe: read, decoded, cropped, augmented by as many threads as are configured."""
    c = config
    index = read_or_drawn(c.dataset_path, c.class_num, closing)
    loader = TrainLoader(
        index,
        image_size=c.train_image_size,
        batch_size=c.batch_size,
        crop_min=c.crop_min,
        autoaugment=c.autoaugment,
        seed=c.seed,
        workers=c.train_num_workers,
        total_steps=sys.maxsize,
    )
    stream = loader.stream()
    closing.callback(stream.close)
    taken = 0
    start, cpu = time.perf_counter(), time.process_time()

    batches = -(-INPUT_IMAGES // c.batch_size)

    def take() -> None:
        nonlocal taken
        for _ in range(batches):
            next(stream)
        taken += batches * c.batch_size

    def beside() -> dict[str, Any]:
        busy, wall = time.process_time() - cpu, time.perf_counter() - start
        stream.close()
        alone = decoding(index, c.train_num_workers, DECODING_S)
        return {
            "images_per_s_per_core": taken / busy,
            "cores_busy": busy / wall,
            "decoded_per_s_per_core": alone.images_per_s_per_core,
            "share_of_decoding": taken / busy / alone.images_per_s_per_core,
            **described(index, c.dataset_path),
        }

    return Work(take, batches * c.batch_size, beside=beside)


def evaluation(config: Config, closing: ExitStack) -> Work:
    """An evaluation of some batches of files."""
    c = config
    index = whole = read_or_drawn(c.eval_path, c.class_num, closing)
    count = min(len(index.files), EVALUATED_BATCHES * c.batch_size)
    index = dataclasses.replace(index, files=index.files[:count], labels=index.labels[:count])
    network = build_network(c.class_num, c.eval_image_size, c.amp_level)
    ranks = RankStep(network)
    loader = EvalLoader(index, image_size=c.eval_image_size, batch_size=c.batch_size, workers=c.eval_num_workers)
    flops = forward_flops(c.class_num, c.eval_image_size)
    return Work(lambda: evaluate(ranks, loader), count, flops, beside=lambda: described(whole, c.eval_path))


WHAT: dict[str, Callable[[Config, ExitStack], Work]] = {
    "forward": forward,
    "step": step,
    "input": images,
    "evaluate": evaluation,
}


def product_rate(config: Config) -> float:
    """Floating-point operations a second of MindSpore's own product of matrices, the best of seven.

    Compiled whatever the mode: an operator that PyNative mode runs by itself has one thread of a CPU.
    """
    kind = ms.float32 if config.amp_level == "O0" else ms.float16
    matrix = Tensor(np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT)), kind)

    @ms.jit
    def product(one: Tensor, other: Tensor) -> Tensor:
        return ops.matmul(one, other)

    def once() -> float:
        start = time.perf_counter()
        product(matrix, matrix)[0, 0].asnumpy()
        return time.perf_counter() - start

    return 2 * PRODUCT**3 / min(once() for _ in range(7))


def measure(work: Work, steps: int, warm_up: int = WARM_UP) -> list[float]:
    """Seconds of each of ``steps`` repetitions, after some that are not counted."""
    times = []
    for _ in range(warm_up + steps):
        start = time.perf_counter()
        work.repeat()
        times.append(time.perf_counter() - start)
    return times[warm_up:]


def paced(work: Work) -> list[float]:
    """As :func:`measure`, a repetition for each line that comes in."""
    times = []
    for _ in range(WARM_UP):
        work.repeat()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        work.repeat()
        times.append(time.perf_counter() - start)
        print(times[-1], flush=True)
    return times


def summary(times: Sequence[float], work: Work, product: float) -> dict[str, Any]:
    """What is written of the times; without arithmetic to count, as for input, its rates are None."""
    quartiles = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else [times[0]] * 3
    median = statistics.median(times)
    flops = work.flops_per_image * work.images / median or None
    return {
        "median_s": median,
        "quartiles_s": [quartiles[0], quartiles[2]],
        "images_per_s": work.images / median,
        "flops_per_s": flops,
        "product_flops_per_s": product,
        "share_of_product": flops and flops / product,
        "compile_time_s": work.compile_time_s,
        "times_s": list(times),
    }


@contextmanager
def _devices_off_stdout() -> Iterator[None]:
    """What libraries print goes to standard error, for standard output speaks to :mod:`repro.bench.turns`."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def bench(own: argparse.Namespace, config: Config) -> None:
    """Measure, print a line, write the file."""
    with ExitStack() as closing:
        with _devices_off_stdout():
            on = device.start(config)
            work = WHAT[own.what](config, closing)
        if own.profile:
            for _ in range(WARM_UP):
                work.repeat()
            with profiled(Path(own.profile), config.device_target):
                times = measure(work, own.steps, warm_up=0)
            print(costliest(Path(own.profile), own.steps))
        else:
            times = paced(work) if own.paced else measure(work, own.steps)
        if not times:
            return
        beside = work.beside()  # first: it looks at what this process has used, which the product below adds to
        found = {
            "what": own.what,
            "batch_size": config.batch_size,
            "steps": len(times),
            **summary(times, work, product_rate(config)),
            **beside,
        }
        found["peak_memory_bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found["environment"] = environment_facts(on.facts(), config=dataclasses.asdict(config))
    share = f", {found['flops_per_s'] / 1e9:.1f} GFLOP/s" if found["flops_per_s"] else ""
    print(
        f"{own.what}: {found['median_s']:.4f} s (quartiles {found['quartiles_s'][0]:.4f} to "
        f"{found['quartiles_s'][1]:.4f}, n = {len(times)}), {found['images_per_s']:.1f} images/s{share}",
        file=sys.stderr if own.paced else sys.stdout,
    )
    if own.json:
        write_result(own.json, json.dumps(found, indent=1) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m hlg.bench",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--steps", type=_count, default=10, help="repetitions (10), after two that do not count")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--paced", action="store_true", help="a repetition for each line on standard input")
    parser.add_argument("--profile", help="folder for the profile")
    own, keys = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    names = {key.partition("=")[0] for key in keys}
    if not names & {"--config_path", "--device_target"}:
        keys = [*keys, "--device_target", "CPU"]
    return cli.run_program(lambda config, _: bench(own, config), keys, need=())


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

"""Repeat a workload, time it, and write down what that says of this machine."""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from hlg.bench.workloads import WORKLOADS, Workload
from hlg.config import Config
from hlg.console import say
from hlg.files import write_result
from hlg.record.environment import environment_facts
from hlg.runtime import device
from hlg.runtime.collective import sum_over_ranks
from hlg.runtime.profiler import costliest, profiled

PRODUCT = 2048  # side of the square matrices whose product tells what the machine can do


def run_benchmark(options: argparse.Namespace, config: Config) -> None:
    """Measure, print a line, write the file; ``options`` are those of ``hlg.bench`` itself."""
    with ExitStack() as closing:
        with _devices_off_stdout():
            on = device.start(config)
            workload = WORKLOADS[options.what](config, closing, on.shard)
            time_repetitions(workload, options.warm_up)
            sum_over_ranks([0], on.count)  # the ranks begin together
        if options.profile:
            with profiled(Path(options.profile), config.device_target):
                times = time_repetitions(workload, options.steps)
            say(costliest(Path(options.profile), options.steps))
        else:
            times = time_on_demand(workload) if options.paced else time_repetitions(workload, options.steps)
        if not times:
            return
        # First: these look at what this process has used, which the product below adds to.
        facts = workload.facts() | peak_memory(config)
        found = {
            "what": options.what,
            "batch_size": config.batch_size,
            "steps": len(times),
            **summarize_times(times, workload, product_rate(config)),
            **facts,
            "rank_totals_s": totals_of_ranks(sum(times), on),
        }
    if on.rank:
        return
    found["environment"] = environment_facts(on.facts(), config=asdict(config))
    share = f", {found['flops_per_s'] / 1e9:.1f} GFLOP/s" if found["flops_per_s"] else ""
    say(
        f"{options.what}: {found['median_s']:.4f} s (quartiles {found['quartiles_s'][0]:.4f} to "
        f"{found['quartiles_s'][1]:.4f}, n = {len(times)}), {found['images_per_s']:.1f} images/s{share}",
        file=sys.stderr if options.paced else sys.stdout,
    )
    if options.json:
        write_result(options.json, json.dumps(found, indent=1) + "\n")


def time_repetitions(workload: Workload, steps: int) -> list[float]:
    """Seconds of each of ``steps`` repetitions."""
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        workload.repeat()
        times.append(time.perf_counter() - start)
    return times


def time_on_demand(workload: Workload) -> list[float]:
    """Seconds of a repetition for each line that comes in, each answered at once."""
    times = []
    say("ready")
    for _ in sys.stdin:
        times += time_repetitions(workload, 1)
        say(times[-1])
    return times


def peak_memory(config: Config) -> dict[str, int]:
    """The most memory that this process has held: resident, and on an accelerator what MindSpore's pool gave out."""
    found = {"peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    if config.device_target != "CPU":
        found["device_memory_bytes"] = int(ms.runtime.max_memory_allocated())
    return found


def totals_of_ranks(total_s: float, on: device.Device) -> list[float]:
    """The seconds that each rank took for all its repetitions. Every rank must call it."""
    own = [round(1e6 * total_s) * (rank == on.rank) for rank in range(on.count)]
    return [total / 1e6 for total in sum_over_ranks(own, on.count).tolist()]


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


def summarize_times(times: Sequence[float], workload: Workload, product: float) -> dict[str, Any]:
    """Median, quartiles and rates; where there is no arithmetic to count, as for input, its rates are None."""
    quartiles = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else [times[0]] * 3
    median = statistics.median(times)
    flops = workload.flops_per_image * workload.images / median or None
    return {
        "median_s": median,
        "quartiles_s": [quartiles[0], quartiles[2]],
        "images_per_s": workload.images / median,
        "flops_per_s": flops,
        "product_flops_per_s": product,
        "share_of_product": flops and flops / product,
        "compile_time_s": workload.compile_time_s,
        "times_s": list(times),
    }


@contextmanager
def _devices_off_stdout() -> Iterator[None]:
    """Send what libraries print to standard error; standard output is for :mod:`repro.bench.turns`."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)

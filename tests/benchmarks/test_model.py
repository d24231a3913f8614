"""Forward pass, training step, evaluation and input of the full network in batches of 8, with drawn images.

Beside each time stands what holds on other machines too: the share of the rate at which this process multiplies
matrices, and how many images come in while the step takes one (`input_per_step_image`; below 1 the input holds it up).
"""

import os
from contextlib import ExitStack

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hlg.bench import run
from hlg.bench.__main__ import WARM_UP
from hlg.bench.workloads import WORKLOADS
from hlg.config import Config
from hlg.runtime import device

CORES = len(os.sched_getaffinity(0))
DRAWN = {"dataset_path": "", "eval_path": "", "train_num_workers": CORES, "eval_num_workers": CORES}
CONFIG = Config(device_target="CPU", amp_level="O0", batch_size=8, **DRAWN)
ROUNDS = 7
BESIDE = {"input": ("input_per_step_image", "step"), "evaluate": ("share_of_forward", "forward")}


@pytest.fixture(scope="module")
def rates() -> dict[str, float]:
    """Operations a second of a product of matrices, and images a second of what was measured so far."""
    device.start(CONFIG)
    return {"product": run.product_rate(CONFIG)}


@pytest.mark.parametrize("what", WORKLOADS)
def test_rate_of(what: str, benchmark: BenchmarkFixture, rates: dict[str, float]) -> None:
    with ExitStack() as closing:
        workload = WORKLOADS[what](CONFIG, closing)
        benchmark.pedantic(workload.repeat, rounds=ROUNDS, warmup_rounds=WARM_UP)
        rates[what] = benchmark.extra_info["images_per_s"] = workload.images / float(benchmark.stats.stats.median)
        if workload.flops_per_image:
            benchmark.extra_info["share_of_product"] = rates[what] * workload.flops_per_image / rates["product"]
        benchmark.extra_info |= workload.facts()
    if what in BESIDE:
        name, other = BESIDE[what]
        benchmark.extra_info[name] = rates[what] / rates[other]

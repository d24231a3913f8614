"""Forward pass, training step, evaluation and input of the full network in batches of 8, with drawn images.

Beside each time stands what holds on other machines too: the share of the rate at which this process multiplies
matrices, and how many images come in while the step takes one (`input_per_step_image`; below 1 the input holds it up).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hlg.bench import run, workloads
from hlg.bench.workloads import Workload
from hlg.config import Config
from hlg.runtime import device

CORES = len(os.sched_getaffinity(0))
DRAWN = {"dataset_path": "", "eval_path": "", "train_num_workers": CORES, "eval_num_workers": CORES}
CONFIG = Config(device_target="CPU", amp_level="O0", batch_size=8, **DRAWN)
ROUNDS = 7


@pytest.fixture(scope="module")
def product() -> float:
    device.start(CONFIG)
    return run.product_rate(CONFIG)


@pytest.fixture(scope="module")
def rates() -> dict[str, float]:
    """Images a second of what was measured so far."""
    return {}


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def timed(benchmark: BenchmarkFixture, make: Callable[..., Workload], closing: ExitStack, product: float) -> float:
    """Repeat the workload and note its rates. Returns images a second."""
    workload = make(CONFIG, closing)
    benchmark.pedantic(workload.repeat, rounds=ROUNDS, warmup_rounds=run.WARM_UP)
    rate = workload.images / float(benchmark.stats.stats.median)
    benchmark.extra_info["images_per_s"] = rate
    if workload.flops_per_image:
        benchmark.extra_info["share_of_product"] = rate * workload.flops_per_image / product
    benchmark.extra_info |= workload.facts()
    return rate


def test_forward(benchmark: BenchmarkFixture, closing: ExitStack, product: float, rates: dict[str, float]) -> None:
    rates["forward"] = timed(benchmark, workloads.forward_workload, closing, product)


def test_step(benchmark: BenchmarkFixture, closing: ExitStack, product: float, rates: dict[str, float]) -> None:
    rates["step"] = timed(benchmark, workloads.step_workload, closing, product)


def test_evaluation(benchmark: BenchmarkFixture, closing: ExitStack, product: float, rates: dict[str, float]) -> None:
    rate = timed(benchmark, workloads.evaluation_workload, closing, product)
    benchmark.extra_info["share_of_forward"] = rate / rates["forward"]


def test_input(benchmark: BenchmarkFixture, closing: ExitStack, product: float, rates: dict[str, float]) -> None:
    rate = timed(benchmark, workloads.input_workload, closing, product)
    benchmark.extra_info["input_per_step_image"] = rate / rates["step"]

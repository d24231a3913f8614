"""How fast a training of 300 epochs that kept every step is read; full_size.py has the whole report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from repro.records.logs import read_log
from repro.records.metrics import read_events
from repro.records.seal import verify_seal
from tests.support.long_run import EPOCHS, STEPS, long_run

ROUNDS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_run(tmp_path_factory.mktemp("runs"))


def measure(benchmark: BenchmarkFixture, work: Callable[..., Any], *arguments: Any, files: list[Path]) -> Any:
    """What the work gives. Beside its times: how many lines and bytes of these files it takes a second at its best."""
    found = benchmark.pedantic(work, arguments, rounds=ROUNDS, warmup_rounds=1)
    if benchmark.stats:  # None where the benchmarks are disabled
        best = benchmark.stats.stats.min
        lines = sum(file.read_bytes().count(b"\n") for file in files)
        benchmark.extra_info["lines_per_s"] = round(lines / best)
        benchmark.extra_info["megabytes_per_s"] = round(sum(file.stat().st_size for file in files) / best / 1e6, 1)
    return found


def test_a_log_with_every_step(benchmark: BenchmarkFixture, folder: Path) -> None:
    log = folder / "train.log"
    assert measure(benchmark, read_log, log, files=[log]).step_lines == EPOCHS * STEPS


def test_metrics_with_every_step(benchmark: BenchmarkFixture, folder: Path) -> None:
    metrics = folder / "metrics.jsonl"
    assert len(measure(benchmark, read_events, metrics, files=[metrics]).steps.loss) == EPOCHS * STEPS


def test_the_seal(benchmark: BenchmarkFixture, folder: Path) -> None:
    assert measure(benchmark, verify_seal, folder, files=[folder / "train.log", folder / "metrics.jsonl"]) == 0

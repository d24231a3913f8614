"""How fast a training of 300 epochs that kept every step is read; full_size.py has the whole report."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from repro.records.logs import read_log
from repro.records.metrics import read_events
from repro.records.seal import verify_seal
from tests.support.long_run import long_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_run(tmp_path_factory.mktemp("runs"))


READERS = {"a log": (read_log, "train.log"), "metrics": (read_events, "metrics.jsonl"), "the seal": (verify_seal, "")}


@pytest.mark.parametrize(("read", "name"), READERS.values(), ids=READERS)
def test_reading(read: Callable[[Path], object], name: str, benchmark: BenchmarkFixture, folder: Path) -> None:
    """Beside its times: how many lines and bytes it takes a second at its best."""
    benchmark.pedantic(read, (folder / name,), rounds=5, warmup_rounds=1)
    files = [folder / name] if name else [folder / "train.log", folder / "metrics.jsonl"]
    content, best = b"".join(file.read_bytes() for file in files), benchmark.stats.stats.min
    benchmark.extra_info["lines_per_s"] = round(content.count(b"\n") / best)
    benchmark.extra_info["megabytes_per_s"] = round(len(content) / best / 1e6, 1)

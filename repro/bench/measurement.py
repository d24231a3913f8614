"""Read what hlg.bench has measured of a configuration, and what a chip can do at most."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from repro.bench.sweep import Configuration, Sweep
from repro.errors import ReproError
from repro.files import field, number_list, read_json

CHIPS = Path(__file__).with_name("chips.yml")
FLOAT16, FLOAT32 = "float16", "float32"


@dataclass(frozen=True)
class DeviceMeasurement:
    """One configuration as it was measured; numbers without a rank in their names are of all cards."""

    times_s: tuple[float, ...]  # of rank 0
    images_per_s: float
    flops_per_s: float
    product_flops_per_s: float  # of rank 0
    compile_s: float
    resident_bytes: int  # of rank 0
    device_bytes: int | None  # of rank 0; None where MindSpore does not tell
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class Chip:
    """What one accelerator can do, in FLOP/s by precision, and who says so."""

    peaks: Mapping[str, float]
    source: str


def is_measured(path: Path, sweep: Sweep, one: Configuration) -> bool:
    """Tell whether a file is the result of just this configuration."""
    try:
        found = read_json(path)
        argv = field(str(path), field(str(path), found, "environment", dict), "argv", list)
    except ReproError:
        return False
    words = sweep.measure_words(one)
    return argv[1 : 1 + len(words)] == words


def read_measurement(path: Path, cards: int) -> DeviceMeasurement:
    """Read a result of hlg.bench. Raises ReproError unless it is one of so many cards."""
    found, where = read_json(path), str(path)
    batch = field(where, found, "batch_size", int)
    lists = {}
    for name in ("times_s", "rank_totals_s"):
        lists[name] = number_list(f"{where}: {name}", found.get(name), "expected what hlg.bench writes")
        if min(lists[name]) <= 0:
            raise ReproError(f"{where}: {name}: found {min(lists[name])}, expected times above 0")
    if len(lists["rank_totals_s"]) != cards:
        raise ReproError(f"{where}: measured {len(lists['rank_totals_s'])} ranks, expected {cards}")
    times, numbers = lists["times_s"], {}
    for name in ("flops_per_s", "product_flops_per_s", "median_s", "compile_time_s"):
        numbers[name] = field(where, found, name, float)
    images_per_s = sum(batch * len(times) / total for total in lists["rank_totals_s"])
    flops_per_image = numbers["flops_per_s"] * numbers["median_s"] / batch
    return DeviceMeasurement(
        times_s=times,
        images_per_s=images_per_s,
        flops_per_s=images_per_s * flops_per_image,
        product_flops_per_s=numbers["product_flops_per_s"],
        compile_s=numbers["compile_time_s"],
        resident_bytes=field(where, found, "peak_memory_bytes", int),
        device_bytes=field(where, found, "device_memory_bytes", int, optional=True),
        environment=field(where, found, "environment", dict),
    )


def time_facts(times: Sequence[float]) -> dict[str, float]:
    """Return median, 95th and 99th percentile in ms, by nearest rank: each is a time that was measured."""
    ordered = sorted(times)
    shares = {"p95_ms": 0.95, "p99_ms": 0.99}
    ranks = {name: ordered[math.ceil(share * len(ordered) - 1e-9) - 1] for name, share in shares.items()}
    return {"median_ms": 1000 * statistics.median(ordered), **{name: 1000 * found for name, found in ranks.items()}}


def arithmetic(precision: str) -> str:
    """Return what matrices are multiplied in."""
    return FLOAT32 if precision == "O0" else FLOAT16


def find_chip(name: str, path: Path = CHIPS) -> Chip | None:
    """Find what is published of an accelerator, by the name that MindSpore has for it; None if nothing is."""
    try:
        chips = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["chips"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ReproError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    plain = "".join(name.split())
    for chip in chips:
        if re.search(chip["pattern"], plain, re.IGNORECASE):
            return Chip({kind: 1e12 * chip[kind] for kind in (FLOAT16, FLOAT32) if kind in chip}, chip["source"])
    return None

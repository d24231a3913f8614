"""Read what was measured of each commit: baselines, devices, and what `make bench` writes by pytest-benchmark."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.bench.record import CHANGED
from repro.check.baselines import Baseline, read_baseline
from repro.check.judge import BAND_FACTOR, ONLY_CALIBRATED_BY, SLOWER
from repro.check.workload import file_stem
from repro.errors import ReproError
from repro.files import field, read_json
from repro.statistics import share_difference

MACHINE = ("cpu", "cores", "image")  # of a baseline's environment; what else is in it may well move a number

MEMORY_NOISE = 0.05  # as a share: of the same program, four processes lay 0.001 apart
CALIBRATED_BY = (*ONLY_CALIBRATED_BY[::-1], "numpy")  # a step in other calibrations is another measure


@dataclass(frozen=True)
class Reading:
    """Repeated values of one measure of one commit on one machine.

    `noise`: how far the same code lies apart by the hour, as a share; 0 where it must repeat. `band`: how far rounding
    and chance put the value apart where `software` is another; where it is the same the value must be, too.
    """

    machine: str
    measure: str
    commit: str
    values: tuple[float, ...]
    noise: float = 0.0
    band: float = 0.0
    software: str = ""


def read_readings(folder: Path) -> tuple[list[Reading], list[str]]:
    """Read every file below a folder, in no order; also say which are left out, and why.

    Raises:
        ReproError: the folder or a file is missing, malformed or impossible; file and key are named.
    """
    if not folder.is_dir():
        raise ReproError(
            f"--trend: found {folder}, which is no folder; name one with files of make baseline, bench or bench-cpu"
        )
    readings, left_out = list[Reading](), list[str]()
    for path in sorted(folder.rglob("*.json")):
        found = read_json(path)
        if "workload" in found and "speeds" in found:
            readings += _of_baseline(read_baseline(path))
        elif "benchmarks" in found and "commit_info" in found:
            commit = field(str(path), found, "commit_info", dict)
            if commit.get("dirty"):
                left_out.append(f"{path}: was measured with uncommitted changes")
            else:
                readings += _of_benchmarks(str(path), found, field(f"{path}: commit_info", commit, "id", str))
        elif "target" in found and "rows" in found:
            commits = field(str(path), found, "commits", list)
            if len(commits) != 1 or str(commits[0]).endswith(CHANGED):
                named = " and ".join(map(str, commits)) or "none"
                left_out.append(f"{path}: was measured of {named}, which is not one commit")
            else:
                readings += _of_device(str(path), found, str(commits[0]))
        elif "environment" not in found or "times_s" not in found:  # of one configuration: its folder has the whole
            left_out.append(f"{path}: is of none of make baseline, make bench, make bench-cpu, -gpu and -ascend")
    return readings, left_out


def _of_baseline(kept: Baseline) -> Iterator[Reading]:
    machine = ", ".join(str(kept.environment[key]) for key in MACHINE if kept.environment.get(key) is not None)
    what = file_stem([kept.recipe], kept.workload)  # another recipe or data set is another line
    software = str({key: value for key, value in kept.environment.items() if key not in MACHINE})
    ratios = tuple(speed.ratio for speed in kept.speeds)
    known = {key: kept.environment.get(key, "not recorded") for key in CALIBRATED_BY}
    by = [f"{key} {value}" for key, value in known.items() if value is not None]
    yield Reading(machine, f"{what}: step, in {'; '.join(by)}", kept.commit, ratios, noise=SLOWER)
    band, images = kept.band, kept.images
    loss = BAND_FACTOR * band.losses[-1] if band else 0.0
    chance = share_difference(kept.top1_pct, images, kept.top1_pct, images) + (band.top1_points if band else 0.0)
    yield Reading(machine, f"{what}: loss of the last step", kept.commit, (kept.losses[-1],), 0.0, loss, software)
    yield Reading(machine, f"{what}: top-1, %", kept.commit, (kept.top1_pct,), 0.0, chance, software)


def _of_device(where: str, found: Mapping[str, Any], commit: str) -> Iterator[Reading]:
    """Yield time and memory of each configuration of `make bench-cpu` and its like."""
    cores = field(f"{where}: cpu", field(where, found, "cpu", dict), "cores", int)
    machine = f"{field(where, found, 'device', str)}{f', {cores}' if found['target'] == 'CPU' else ''}"
    keys = "".join(f" {key}" for key in field(where, found, "keys", list))
    for number, row in enumerate(field(where, found, "rows", list)):
        at = f"{where}: rows: {number}"
        if not isinstance(row, dict):
            raise ReproError(f"{at}: found {row!r}, expected an object; measure again")
        if "failed" in row:
            continue
        work = ", ".join(field(at, row, name, str) for name in ("work", "images", "precision"))
        what = f"{work}, {field(at, row, 'batch', int)} x {field(at, row, 'cards', int)}{keys}"
        values = {"batch, ms": (field(at, row, "median_ms", float), SLOWER)}
        for name, key in (("memory", "resident_bytes"), ("device memory", "device_bytes")):
            if (found_bytes := field(at, row, key, int, optional=True)) is not None:
                values[f"{name}, MB"] = (found_bytes / 1e6, MEMORY_NOISE)
        for measure, (value, noise) in values.items():
            if not 0 < value < float("inf"):
                raise ReproError(f"{at}: {measure}: found {value}, expected a number above 0; measure again")
            yield Reading(machine, f"{what}: {measure}", commit, (value,), noise)


def _of_benchmarks(where: str, found: Mapping[str, Any], commit: str) -> Iterator[Reading]:
    cpu = field(f"{where}: machine_info", field(where, found, "machine_info", dict), "cpu", dict)
    machine = f"{field(f'{where}: machine_info: cpu', cpu, 'brand_raw', str)}, {cpu.get('count')}"
    for number, benchmark in enumerate(field(where, found, "benchmarks", list)):
        at = f"{where}: benchmarks: {number}"
        if not isinstance(benchmark, dict):
            raise ReproError(f"{at}: found {benchmark!r}, expected an object; make it again: make bench")
        stats = field(at, benchmark, "stats", dict)
        values = tuple(field(f"{at}: stats", stats, key, float) for key in ("q1", "median", "q3"))
        if not 0 < min(values) <= max(values) < float("inf"):
            raise ReproError(f"{at}: stats: found {values}, expected times above 0; make it again: make bench")
        yield Reading(machine, f"{field(at, benchmark, 'name', str)}, s", commit, values, noise=SLOWER)


def commit_order() -> dict[str, int]:
    """Number the commits of this checkout from the first to HEAD. Raises ReproError if git does not tell."""
    command = ["git", "rev-list", "--topo-order", "--reverse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReproError(f"git can't be started: {error}") from None
    if done.returncode:
        raise ReproError(f"git does not tell the order of the commits: {done.stderr.strip()}; type it in the checkout")
    return {commit: number for number, commit in enumerate(done.stdout.split())}

"""Cores and memory that this process may use, by its control groups and the machine's load."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """Memory in bytes: this process's limit, and how much of it is free now, caches counted as free."""

    total: int
    free: int


def usable_cores() -> int:
    """Return the number of cores that this process may use, by its affinity and its CPU quota."""
    cores = float(len(os.sched_getaffinity(0)))
    for group in _groups("cpu"):
        quota, period = (
            _read(group / "cpu.max").split()
            or [_read(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        )[:2]
        if quota.isdigit() and period.isdigit():  # else max or -1: no quota
            cores = min(cores, int(quota) / int(period))
    return max(1, int(cores))


def usable_threads(wanted: int) -> int:
    """Return how many threads to start: no more than a quota grants, under which they would only be throttled."""
    cores = usable_cores()
    return min(wanted, cores) if cores < len(os.sched_getaffinity(0)) else wanted


def usable_memory() -> Memory | None:
    """Return the memory of the machine, or of this process's control group where that has less; None if unknown."""
    pairs = (line.partition(":") for line in _read(PROC / "meminfo").splitlines())
    machine = {name: int(size.split()[0]) * 1024 for name, _, size in pairs}
    if not {"MemTotal", "MemAvailable"} <= machine.keys():
        return None
    total, free = machine["MemTotal"], machine["MemAvailable"]
    for group in _groups("memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes")
        if limit.strip().isdigit() and used.strip().isdigit():
            counts = dict(line.split()[:2] for line in _read(group / "memory.stat").splitlines())
            cached = int(counts.get("total_inactive_file") or counts.get("inactive_file") or 0)
            total, free = min(total, int(limit)), min(free, int(limit) - int(used) + cached)
    return Memory(total, free)


def out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed here for want of memory."""
    counters = [PROC / "vmstat"]
    for group in _groups("memory"):
        counters += [group / "memory.events", group / "memory.oom_control"]
    lines = (line.split() for counter in counters for line in _read(counter).splitlines())
    return sum(int(words[1]) for words in lines if words[0] == "oom_kill")


def _groups(controller: str) -> Iterator[Path]:
    """The control groups of this process that may bound it, from its own up, in version 1 and 2."""
    for line in _read(PROC / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            root = GROUPS / controller if controllers else GROUPS
            own = root / path.lstrip("/")
            # In a container the path may be the host's, which is not there: the root is the container's own.
            yield from (group for group in (own, *own.parents) if group.is_relative_to(root) and group.is_dir())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

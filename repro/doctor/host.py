"""Check the machine itself: cores, memory, shared memory, process limits, clock."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import struct
import time
from collections.abc import Iterable
from pathlib import Path

from repro.doctor.machine import GB, Diagnosis, Machine, failure, ok, size, warning
from repro.footprint import RANK_MEMORY

WORKERS = 14  # threads that prepare images, of each rank: train_num_workers of the published recipe
# A rank that trains the tiny recipe on a CPU with 14 workers has 36 threads and 7 open files.
_LEAST_MEMORY = 2 * GB  # of each rank
_THREADS, _LEAST_THREADS = 64, 36  # of each rank; MindSpore adds a pool or two as large as the number of cores
_SHARED_MEMORY = 1 << 30  # NCCL's documentation asks containers for 1 GiB; 8 devices overflow docker's 64 MB
_OPEN_FILES, _LEAST_OPEN_FILES = 1024, 64
_GROUP = "/sys/fs/cgroup"  # a container sees its own there
UNLIMITED = resource.RLIM_INFINITY
_CLOCK_SLACK_S = 300.0  # of another machine's clock, which may have dated the newest file
_SYNCHRONIZED_US = 16_000_000  # the kernel's own estimate of its error grows to this where nothing sets the clock


def check_cores(machine: Machine, device: str, ranks: int) -> Diagnosis:
    """Compare the cores that this process may use with the threads that prepare images."""
    cores = float(len(os.sched_getaffinity(0)))
    quota, period = machine.read(f"{_GROUP}/cpu.max").split() or [
        machine.read(f"{_GROUP}/cpu/cpu.cfs_{name}_us").strip() for name in ("quota", "period")
    ]
    if quota.isdigit() and period.isdigit():
        cores = min(cores, int(quota) / int(period))
    needed = ranks * WORKERS
    if device == "cpu":
        return ok("cores", f"{cores:g}")
    if cores >= needed:
        return ok("cores", f"{cores:g} for {needed} workers ({WORKERS} a device)")
    fix = "expect devices to wait for images (data_wait_ms in metrics.jsonl tells), or take a machine with more cores"
    return warning("cores", f"{cores:g} for {needed} workers ({WORKERS} a device)", fix)


def check_memory(machine: Machine, ranks: int) -> Diagnosis:
    """Check free memory, of the machine or of this process's control group."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", machine.read("/proc/meminfo"), re.MULTILINE)
    if not found:
        return warning(
            "memory", "not known: /proc/meminfo does not tell", f"see that {size(ranks * RANK_MEMORY)} are free"
        )
    free = int(found[1]) * 1024
    limit = _control(machine, "memory.max", "memory/memory.limit_in_bytes")
    used = _control(machine, "memory.current", "memory/memory.usage_in_bytes")
    if limit is not None and used is not None:
        texts = (machine.read(f"{_GROUP}/{name}") for name in ("memory.stat", "memory/memory.stat"))
        cached = re.search(r"^(?:total_)?inactive_file (\d+)", next(filter(None, texts), ""), re.MULTILINE)
        free = min(free, limit - used + (int(cached[1]) if cached else 0))
    text = f"{size(free)} free for {ranks} rank{'s' if ranks > 1 else ''}"
    if free < ranks * _LEAST_MEMORY:
        return failure(
            "memory", text, f"free at least {size(ranks * _LEAST_MEMORY)}, better {size(ranks * RANK_MEMORY)}"
        )
    if free < ranks * RANK_MEMORY:
        return warning("memory", text, f"free {size(ranks * RANK_MEMORY)} (6 GB a rank), or use fewer devices")
    return ok("memory", text)


def check_shared_memory(machine: Machine, ranks: int) -> Diagnosis:
    """Check /dev/shm, through which the devices of a machine may exchange gradients; the loader does not use it."""
    folder = machine.path("/dev/shm")
    if ranks == 1:
        return ok("shared memory", "one device needs none")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        fix = "mount it: sudo mount -t tmpfs -o size=8g tmpfs /dev/shm"
        return failure("shared memory", "/dev/shm is missing or can't be written, and several devices need it", fix)
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    text = f"{size(free)} free in /dev/shm"
    if free >= _SHARED_MEMORY:
        return ok("shared memory", text)
    fix = "give the container --shm-size=1g or more, or mount a larger one: sudo mount -o remount,size=8g /dev/shm"
    return warning("shared memory", f"{text}, and collectives of {ranks} devices may need 1 GiB", fix)


def check_limits(machine: Machine, device: str, ranks: int) -> Iterable[Diagnosis]:
    """Check ulimit -n, -u and -l, and how many threads the control group allows."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    text = f"{_limit(files)} a process (ulimit -n)"
    if files != UNLIMITED and files < _OPEN_FILES:
        fix = f"run: ulimit -n {_OPEN_FILES}, or raise nofile in /etc/security/limits.conf"
        severe = files < _LEAST_OPEN_FILES
        note = f"{text}; collectives may open some hundred"
        yield failure("open files", note, fix) if severe else warning("open files", note, fix)
    else:
        yield ok("open files", text)

    needed = ranks * (_THREADS + 2 * (os.cpu_count() or 1))
    # The superuser's threads are not limited.
    limits = [("ulimit -u", resource.getrlimit(resource.RLIMIT_NPROC)[0] if os.geteuid() else UNLIMITED)]
    group = _control(machine, "pids.max", "pids/pids.max")
    if group is not None:
        limits.append(("pids.max of the control group or container", group))
    name, threads = min(limits, key=lambda limit: float("inf") if limit[1] == UNLIMITED else limit[1])
    text = f"{_limit(threads)} ({name}) for about {needed} threads"
    if threads == UNLIMITED or threads >= needed:
        yield ok("threads", text)
    else:
        fix = f"run: ulimit -u {needed}, or give the container --pids-limit={needed}"
        severe = threads < ranks * _LEAST_THREADS
        yield failure("threads", text, fix) if severe else warning("threads", text, fix)

    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if device != "cpu" and ranks > 1:
        text = f"{size(locked) if locked != UNLIMITED else 'unlimited'} (ulimit -l)"
        if locked == UNLIMITED:
            yield ok("locked memory", text)
        else:
            fix = "run: ulimit -l unlimited, or give the container --ulimit memlock=-1"
            yield warning("locked memory", f"{text}; collectives over RDMA pin more", fix)


def _control(machine: Machine, *names: str) -> int | None:
    """Read a limit of this process's control group, by its name in version 2 or 1; None if there is none."""
    texts = (machine.read(f"{_GROUP}/{name}").strip() for name in names)
    return next((int(text) for text in texts if text.isdigit()), None)


def _limit(count: int) -> str:
    return "unlimited" if count == UNLIMITED else str(count)


def clock_error_us() -> int | None:
    """Ask the kernel how far off its clock may be, in microseconds; None if it does not say."""
    timex = ctypes.create_string_buffer(512)  # struct timex, all zero: ask, change nothing
    try:
        if ctypes.CDLL(None).adjtimex(timex) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return int(struct.unpack_from("@i4xqqq", timex.raw)[3])


def check_clock(now: float, newest: float, error_us: int | None) -> Diagnosis:
    """Check the clock against the newest file of the project, and whether anything keeps it right.

    Args:
        now: Seconds since 1970.
        newest: When the newest file was written, in seconds since 1970.
        error_us: What `clock_error_us` says.
    """
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < newest - _CLOCK_SLACK_S:
        behind = f"{text} is before the newest file of this project ({time.strftime('%Y-%m-%d', time.gmtime(newest))})"
        return failure("clock", behind, "set it: sudo timedatectl set-ntp true; logs and run folders are named by it")
    if error_us is None:
        return ok("clock", f"{text}; whether anything keeps it right is not known")
    if error_us < _SYNCHRONIZED_US:
        return ok("clock", f"{text}, synchronised")
    fix = (
        "run: sudo timedatectl set-ntp true (durations are right without it; the logs of several machines would differ)"
    )
    return warning("clock", f"{text}, and the kernel knows of nothing that keeps it right", fix)


def newest_file() -> float:
    """Return when the newest file of this folder was written, in seconds since 1970."""
    return max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))

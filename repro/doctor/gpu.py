"""Check NVIDIA GPUs: driver, kernels, devices, other processes on them, CUDA's libraries."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from repro.doctor.machine import Answer, Diagnosis, Machine, failure, number_ranges, ok, one_line, warning
from repro.doctor.software import packages
from repro.stacks.releases import read_releases

# CUDA 11.8's release notes: the oldest driver that runs it, and the one that it came with.
_OLDEST_DRIVER, _FULL_DRIVER = (450, 80, 2), (520, 61, 5)
# docker/stacks.json has what each release is compiled for. Code runs on any device of the same major number and the
# same or a higher minor one; the rest is compiled on the device. NCCL has code for 6.0 alone.
_COMPILED_THERE, _UNKNOWN_TO_CUDA_11 = (9, 0), (10, 0)
_LIBRARIES = [  # that its GPU plugin names, all of CUDA 11
    *("libcudart.so.11.0", "libcublas.so.11", "libcudnn.so.8", "libcufft.so.10"),
    *("libcurand.so.10", "libcusolver.so.11", "libcusparse.so.11", "libnvrtc.so.11.2"),
]
BUSY = 0.2  # of a device's memory: beyond it a run lacks what it needs, or is timed beside another one
DRIVER_FIX = "install NVIDIA's driver >= 450.80.02 (better 520.61.05 or newer), or run on a machine that has a GPU"
_QUERY = "index,name,driver_version,memory.total,memory.used"


class _Gpu(NamedTuple):
    """One line of nvidia-smi; memory in MiB, capability such as (8, 0) or None if the driver does not tell."""

    device: int
    name: str
    driver: str
    total: int
    used: int
    capability: tuple[int, int] | None


def check_gpus(machine: Machine, wanted: Sequence[int], mindspore: str) -> tuple[list[Diagnosis], int]:
    """Check driver and devices for this release of MindSpore; return the findings, and how many devices the run gets.

    No ``wanted`` means all.
    """
    gpus, problem = _read_gpus(machine)
    if problem:
        return [problem], len(wanted) or 1
    # In a container the devices that were passed on count anew from 0.
    missing = [] if machine.inside else [index for index in wanted if index not in {gpu.device for gpu in gpus}]
    if missing or (machine.inside and len(gpus) < len(wanted)):
        found = f"devices {number_ranges([gpu.device for gpu in gpus])}"
        text = f"asked for {number_ranges(list(wanted))}, found {found} ({gpus[0].name})"
        return [_driver(gpus), failure("devices", text, "name those in DEVICES, as nvidia-smi numbers them")], len(
            wanted
        )
    used = [gpu for gpu in gpus if gpu.device in wanted] if wanted and not machine.inside else gpus
    names = sorted({gpu.name for gpu in used})
    return [
        _driver(used),
        *_kernels(used, mindspore),
        ok("devices", f"{len(used)} x {', '.join(names)} ({number_ranges([gpu.device for gpu in used])})"),
        *_nodes(machine),
        *_free(machine, used),
    ], len(used)


def _read_gpus(machine: Machine) -> tuple[list[_Gpu], Diagnosis | None]:
    """List the GPUs that nvidia-smi knows, or say why there are none."""
    answer = _query(machine, f"{_QUERY},compute_cap")
    if "compute_cap" in answer.problem + answer.output:  # drivers before 510 do not know that field
        answer = _query(machine, _QUERY)
    if answer.missing:
        return [], failure("driver", "no NVIDIA driver: nvidia-smi was not found", DRIVER_FIX)
    words = answer.problem + answer.output
    if "No devices were found" in words:
        return [], failure(
            "devices", "the NVIDIA driver is here, but it finds no GPU", "look at dmesg and the hardware"
        )
    if "Driver/library version mismatch" in words:
        return [], failure("driver", "the NVIDIA driver was updated under a running kernel", "restart the machine")
    if answer.problem:
        return [], failure("driver", f"the NVIDIA driver does not work: {answer.problem}", DRIVER_FIX)
    gpus = [gpu for gpu in map(_gpu, answer.output.splitlines()) if gpu]
    if not gpus:
        text = f"nvidia-smi lists no GPU that can be read: {one_line(answer.output)!r}"
        return [], failure("driver", text, DRIVER_FIX)
    return gpus, None


def _query(machine: Machine, fields: str) -> Answer:
    return machine.run("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits")


def _gpu(line: str) -> _Gpu | None:
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) not in (5, 6) or not cells[0].isdigit() or not re.match(r"\d+\.\d+", cells[2]):
        return None
    total, used = (int(cell) if cell.isdigit() else 0 for cell in cells[3:5])  # [N/A] on some
    capability = re.fullmatch(r"(\d+)\.(\d+)", cells[5]) if len(cells) == 6 else None
    parts = (int(capability[1]), int(capability[2])) if capability else None
    return _Gpu(int(cells[0]), cells[1], cells[2], total, used, parts)


def _driver(gpus: Sequence[_Gpu]) -> Diagnosis:
    driver = gpus[0].driver
    number = tuple(int(part) for part in re.findall(r"\d+", driver))
    if number < _OLDEST_DRIVER:
        return failure("driver", f"NVIDIA {driver} is too old for CUDA 11.8", DRIVER_FIX)
    if number >= _FULL_DRIVER:
        return ok("driver", f"NVIDIA {driver}, made for CUDA 11.8 or newer")
    compiled = len(gpus) > 1 or any(gpu.capability and gpu.capability >= _COMPILED_THERE for gpu in gpus)
    text = f"NVIDIA {driver} runs CUDA 11.8 as a minor version of CUDA 11"
    if not compiled:
        return ok("driver", text)
    fix = "install 520.61.05 or newer: such a driver may refuse to compile code on the device, as NCCL's needs to be"
    return warning("driver", text, fix)


def _kernels(gpus: Sequence[_Gpu], mindspore: str) -> Iterable[Diagnosis]:
    """Check whether MindSpore's compiled code fits each kind of device, and name the releases whose code does."""
    for capability in sorted({gpu.capability for gpu in gpus if gpu.capability}):
        name = "{}.{}".format(*capability)
        if mindspore not in read_releases():
            text = f"compute capability {name}: for which GPUs MindSpore {mindspore} was compiled is not known here"
            yield warning("kernels", text, "run `make fingerprint DEVICE=gpu` before a long run")
            continue
        fitting = [version for version, release in read_releases().items() if release.runs_on(capability)]
        others = [version for version in fitting if version != mindspore]
        if mindspore not in fitting:
            text = f"compute capability {name}; MindSpore {mindspore} has no code for it"
            yield failure(
                "kernels", text, f"use MINDSPORE={others[0]}" if others else "take a GPU of 6.0 (Pascal) or newer"
            )
        elif capability >= _UNKNOWN_TO_CUDA_11:
            text = (
                f"compute capability {name} is newer than CUDA 11: cuBLAS and cuDNN have no code for it (not verified)"
            )
            yield warning("kernels", text, "run `make fingerprint` on it before a long run, or take an older GPU")
        elif capability >= _COMPILED_THERE:
            yield ok("kernels", f"compute capability {name}: compiled on the device, so the first start takes longer")
        else:
            text = f"compute capability {name}: MindSpore {mindspore} has code for it, as have {', '.join(others)}"
            yield ok("kernels", text)


def _nodes(machine: Machine) -> Iterable[Diagnosis]:
    """Check /dev/nvidia-uvm: nvidia-smi works without this node, CUDA does not."""
    node = machine.path("/dev/nvidia-uvm")
    if machine.path("/dev/dxg").exists():  # Windows' subsystem for Linux has one node for all
        return
    if not node.exists():
        yield warning("nodes", "/dev/nvidia-uvm is missing, and CUDA needs it", "run: sudo nvidia-modprobe -u -c 0")
    elif not os.access(node, os.R_OK | os.W_OK):
        yield failure(
            "nodes", "/dev/nvidia-uvm can't be opened by this user", "ask for access: sudo chmod 666 /dev/nvidia*"
        )


def _free(machine: Machine, gpus: Sequence[_Gpu]) -> Iterable[Diagnosis]:
    """Check whether others compute on the devices. Processes of other containers are not listed, their memory is."""
    busy = {gpu.device: gpu.used / gpu.total for gpu in gpus if gpu.total and gpu.used > BUSY * gpu.total}
    fields = "--query-compute-apps=pid,process_name,used_memory"
    chosen = ",".join(str(gpu.device) for gpu in gpus)
    answer = machine.run("nvidia-smi", "-i", chosen, fields, "--format=csv,noheader,nounits")
    processes = [line for line in answer.output.splitlines() if re.match(r"\s*\d+\s*,", line)]
    who = f"; processes: {', '.join(one_line(line, 60) for line in processes[:3])}" if processes else ""
    if busy:
        shares = ", ".join(f"{share:.0%} of device {index}" for index, share in busy.items())
        fix = "end what runs there, or name other devices in DEVICES: a run needs a device's memory and time for itself"
        yield failure("free", f"in use: the memory of {shares}{who}", fix)
    elif processes:
        yield warning(
            "free", f"others compute here too{who}", "step times will suffer: end them, or name other DEVICES"
        )
    elif answer.problem:
        yield warning("free", f"memory is free, but processes can't be listed: {answer.problem}", "look at nvidia-smi")
    else:
        yield ok("free", "no other process, memory free")


def check_cuda(machine: Machine, venv: str) -> Iterable[Diagnosis]:
    """Check whether the libraries that MindSpore's GPU plugin names are where the loader looks."""
    folders = [machine.path(place) for place in machine.environment.get("LD_LIBRARY_PATH", "").split(":") if place]
    folders += [machine.path(place) for place in ("/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64")]
    folders += [library for place in packages(venv) for library in place.glob("nvidia/*/lib")]
    missing = [name for name in _LIBRARIES if not any((folder / name).exists() for folder in folders)]
    fix = "install them by make setup DEVICE=gpu CONTAINER=0, or run in the GPU image (CONTAINER=1)"
    home = machine.environment.get("CUDA_HOME")
    if not packages(venv) and (missing or not home):
        yield ok("CUDA", f"make setup will install the libraries of CUDA 11 and cuDNN 8 in {venv}")
    elif missing:
        yield failure("CUDA", f"not found: {', '.join(missing)}", fix)
    elif not home:
        yield failure("CUDA", "CUDA_HOME is not set, and without it MindSpore does not try its GPU plugin", fix)
    else:
        yield ok("CUDA", "the libraries of CUDA 11 and cuDNN 8 that MindSpore names are here")

"""Check whether this machine is fit for a long run, one line a requirement: `make doctor`.

    python3 -m repro.doctor --device ascend --devices 0,1,2,3,4,5,6,7 --imagenet /path --container any

It runs on the machine before anything is installed, and again inside the container if the run uses one: each sees what
the other does not. Exit codes: 0 ready, 1 do not start, 2 a wrong option.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from repro.doctor.ascend import check_ascends, check_cann
from repro.doctor.gpu import check_cuda, check_gpus
from repro.doctor.host import (
    check_clock,
    check_cores,
    check_limits,
    check_memory,
    check_shared_memory,
    clock_error_us,
    newest_file,
)
from repro.doctor.machine import FAILURE, OK, WARNING, Diagnosis, Machine, warning
from repro.doctor.software import check_container, check_engine, check_python, mindspore_version
from repro.doctor.storage import check_data, check_disks, run_demands, software_demands
from repro.errors import CommandParser, put, run_tool, shown

_COLORS = {OK: "32", WARNING: "33", FAILURE: "31"}


def _examine(options: argparse.Namespace, machine: Machine) -> Iterable[Diagnosis]:
    """Yield the findings, each as soon as it is made."""
    o, inside = options, machine.inside
    planned = o.container and not inside  # the run will be in a container, and this is not it
    venv = sys.prefix if inside else o.venv
    if planned:
        yield from _careful("engine", lambda: check_engine(machine, o.container, o.device))
    elif inside:
        yield check_container(machine)
    if not planned:
        yield from _careful("Python", lambda: check_python(machine, venv, inside, o.mindspore))

    ranks = len(o.devices) or 1
    if o.device != "cpu":
        release = mindspore_version(venv, o.mindspore)[0]
        check = partial(check_gpus, mindspore=release) if o.device == "gpu" else check_ascends
        try:
            findings, ranks = check(machine, o.devices)
        except Exception as error:
            findings = [_stumbled("devices", error)]
        yield from findings
        if not planned:
            libraries = partial(check_cann, wanted=o.mindspore) if o.device == "ascend" else check_cuda
            yield from _careful("libraries", lambda: libraries(machine, venv))

    yield from _careful("cores", lambda: [check_cores(machine, o.device, ranks), check_memory(machine, ranks)])
    if not planned:
        yield from _careful("shared memory", lambda: [check_shared_memory(machine, ranks)])
        yield from _careful("limits", lambda: check_limits(machine, o.device, ranks))
    wanted = run_demands(Path(o.runs), o.epochs, ranks)
    if not planned:
        wanted += software_demands(None if mindspore_version(venv)[1] else Path(venv))
    yield from _careful("disk", lambda: check_disks(wanted, machine.timeout_s))
    yield from _careful("data", lambda: check_data(o.imagenet, o.device))
    yield from _careful("clock", lambda: [check_clock(time.time(), newest_file(), clock_error_us())])


def _careful(name: str, check: Callable[[], Iterable[Diagnosis]]) -> Iterable[Diagnosis]:
    """Yield a check's findings; a check that breaks on a strange machine does not keep the others from running."""
    try:
        yield from check()
    except Exception as error:
        yield _stumbled(name, error)


def _stumbled(name: str, error: Exception) -> Diagnosis:
    """Report that a check broke."""
    return warning(name, f"could not be checked ({type(error).__name__}: {error})", "look at it yourself")


def _shown(finding: Diagnosis, color: bool) -> str:
    """Format a finding as a line, with what to do about it below."""
    level = f"{finding.level:<8}"
    if color:
        level = f"\033[{_COLORS[finding.level]}m{level}\033[0m"
    line = f"{level} {finding.name:<14} {shown(finding.text)}"  # of files, devices and other people's processes
    return line + (f"\n{'':23} fix: {shown(finding.fix)}" if finding.fix else "")


def _summary(findings: Sequence[Diagnosis]) -> str:
    """Count the findings by level: the last line."""
    counts = {level: sum(finding.level == level for finding in findings) for level in (FAILURE, WARNING, OK)}
    parts = [_count(counts[FAILURE], "failure"), _count(counts[WARNING], "warning"), f"{counts[OK]} ok"]
    return ("do not start: " if counts[FAILURE] else "ready: ") + ", ".join(filter(None, parts))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}" if number else ""


def _epochs(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"found {text[:40]!r}; allowed: a whole number >= 1, <= 100000")
    return int(text)


def _read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; `--help` and what argparse refuses end the process."""
    parser = CommandParser("python3 -m repro.doctor", description="Is this machine fit for a long run?")
    add = parser.add_argument
    add("--device", choices=["cpu", "gpu", "ascend"], default="cpu", help="what to train on (default %(default)s)")
    add("--devices", type=_devices, default=[], metavar="0,1,2", help="which of them (default: all there are)")
    add("--imagenet", default="", metavar="DIR", help="folder with ImageNet's train/ and val/")
    add("--runs", default="results/runs", metavar="DIR", help="where runs are written (default %(default)s)")
    engines = ["", "any", "docker", "podman", "apptainer", "singularity"]
    add("--container", choices=engines, default="", help="the run will be in a container")
    add("--venv", default=".venv", metavar="DIR", help="the environment of make setup (default %(default)s)")
    add("--mindspore", default="", metavar="RELEASE", help="the release that make setup would install")
    add("--epochs", type=_epochs, default=300, metavar="N", help="length of the run (default %(default)s)")
    add("--json", action="store_true", help="print the findings as JSON")
    return parser.parse_args(argv)


def _devices(text: str) -> list[int]:
    devices = [int(word) for word in text.replace(",", " ").split()]  # argparse words the ValueError
    if len(set(devices)) < len(devices) or any(device < 0 for device in devices):
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: different whole numbers, such as 0,1,2")
    return devices


def main(argv: Sequence[str] | None = None, machine: Machine | None = None) -> int:
    """Run the program and return its exit code."""
    options = _read_options(argv)
    findings = []
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for finding in _examine(options, machine or Machine()):
        findings.append(finding)
        if not options.json:
            put(_shown(finding, color))
    put(json.dumps([finding._asdict() for finding in findings], indent=1) if options.json else _summary(findings))
    return int(any(finding.level == FAILURE for finding in findings))


if __name__ == "__main__":
    run_tool(main)

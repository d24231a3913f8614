"""Check Ascends: driver, chips, devices, other processes on them, and whether CANN fits MindSpore.

The tables of npu-smi are read as public logs show them for Ascend 910 (npu-smi 1.8 to 23.0), 910B (24.1 to 25.5) and
A3, where one card has two chips and a column Phy-ID. None of this was tried on an Ascend.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from repro.doctor.machine import Diagnosis, Machine, failure, number_ranges, ok, one_line, warning
from repro.doctor.software import accepted_cann, compiled_with_cann, mindspore_version
from repro.stacks.releases import read_releases, release_for

_DRIVER = "/usr/local/Ascend/driver/version.info"
DRIVER_FIX = "install Ascend's driver and firmware (HDK), or run on a machine that has Ascends"
_TOOLKITS = ("/usr/local/Ascend/ascend-toolkit/latest", "/usr/local/Ascend/cann", "/usr/local/Ascend/latest")
_SHARED_NODES = ("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")
BUSY = 0.2  # of a device's memory; an idle 910B with 32 GB is logged with 9 % in use


class _Npu(NamedTuple):
    """One chip of npu-smi's table; memory in MB."""

    device: int  # as in /dev/davinci<device>
    name: str
    health: str
    used: int
    total: int
    card: tuple[int, int]  # NPU and chip, as the table of processes names them


def check_ascends(machine: Machine, wanted: Sequence[int]) -> tuple[list[Diagnosis], int]:
    """Check driver and devices; return the findings, and how many devices the run gets. No ``wanted`` means all."""
    nodes = sorted(int(path.name[7:]) for path in machine.path("/dev").glob("davinci[0-9]*") if path.name[7:].isdigit())
    answer = machine.run("npu-smi", "info")
    npus, processes = _parse_npu_smi(answer.output)
    driver = driver_version(machine)
    if not nodes and not npus:
        said = answer.problem or f"npu-smi lists no device: {one_line(answer.output)!r}"
        what = "the Ascend driver is installed, but finds no device" if driver else "no Ascend driver"
        return [failure("driver", f"{what}: no /dev/davinci0, and {said}", DRIVER_FIX)], len(wanted) or 1
    findings = [
        ok("driver", f"Ascend {driver}")
        if driver
        else warning("driver", f"version not known: no version in {_DRIVER}", "see that the driver's folder is there")
    ]
    seen = nodes or [npu.device for npu in npus]
    # In a container the devices that were passed on may count anew from 0.
    missing = [] if machine.inside else [index for index in wanted if index not in seen]
    if missing or (machine.inside and len(seen) < len(wanted)):
        text = f"asked for {number_ranges(list(wanted))}, found devices {number_ranges(seen)}"
        return [*findings, failure("devices", text, "name those in DEVICES, as in /dev/davinci<N>")], len(wanted)
    used = list(wanted) if wanted and not machine.inside else seen
    mine = [npu for npu in npus if npu.device in used]
    name = ", ".join(sorted({npu.name for npu in mine})) or "Ascend"
    findings += [ok("devices", f"{len(used)} x {name} ({number_ranges(used)})"), *_chips(mine), *_nodes(machine, used)]
    if "-8020" in answer.problem + answer.output:
        fix = "stop the other container, or name other DEVICES"
        findings.append(failure("free", "npu-smi says that another container holds the devices (-8020)", fix))
    elif len(mine) < len(used):
        said = answer.problem or f"its table does not list all of {number_ranges(used)}: {one_line(answer.output)!r}"
        findings.append(warning("free", f"not known: {said}", "look at npu-smi info before you start"))
    else:
        findings += [*_health(mine), *_free(mine, processes)]
    return findings, len(used)


def driver_version(machine: Machine) -> str:
    """Read the driver's version, such as 25.5.0; empty if its folder does not tell."""
    return _value(machine.read(_DRIVER), "package_version", "Version")


def _value(text: str, *names: str) -> str:
    """Return the value of the first of these keys that a version.info has."""
    found = (re.search(rf"^{name}=\s*([\w.\-]+)", text, re.MULTILINE) for name in names)
    return next((match[1] for match in found if match), "")


def _parse_npu_smi(text: str) -> tuple[list[_Npu], list[tuple[tuple[int, int], str]]]:
    """Parse the table of `npu-smi info`: its chips, and its processes as (NPU, chip), "pid name".

    A chip has two rows: number, name and health of its card, then its own number and memory. Lines of any other shape
    are skipped.
    """
    npus: list[_Npu] = []
    processes: list[tuple[tuple[int, int], str]] = []
    card: tuple[int, str, str] | None = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        first = cells[0].split()
        if not first or not first[0].isdigit():
            continue
        if len(cells) == 4 and cells[1].isdigit():
            chip = int(first[1]) if len(first) > 1 and first[1].isdigit() else 0
            processes.append(((int(first[0]), chip), f"{cells[1]} {cells[2]}".strip()))
        elif len(cells) == 3 and len(first) == 2 and re.search("[A-Za-z]", first[1]):
            card = (int(first[0]), first[1], cells[1])
        elif len(cells) == 3 and card and all(word.isdigit() for word in first):
            pairs = re.findall(r"(\d+)\s*/\s*(\d+)", cells[2])
            used, total = map(int, pairs[-1]) if pairs else (0, 0)
            device = int(first[1]) if len(first) > 1 else card[0]
            npus.append(_Npu(device, card[1], card[2], used, total, (card[0], int(first[0]))))
    return npus, processes


def _generation(name: str) -> str:
    """Classify a chip: 910 (the published run's), 910b (Atlas A2), a3, or empty for any other."""
    if name.startswith("310"):
        return ""
    if re.match(r"910B\d", name):
        return "910b"
    if re.match(r"910(A|B|ProA|ProB|PremiumA)$", name):
        return "910"
    return "a3" if re.match(r"Ascend910|910_93", name) else ""


def _chips(npus: Sequence[_Npu]) -> Iterable[Diagnosis]:
    compiled_for = set.intersection(*(set(release.chips) for release in read_releases().values()))
    its_own = f"every known MindSpore has operators of its own compiled for {', '.join(sorted(compiled_for))}"
    for name in sorted({npu.name for npu in npus}):
        kind = _generation(name)
        if {"910b": "910b", "a3": "910_93"}.get(kind) in compiled_for:
            text = f"{name} (Atlas {'A2' if kind == '910b' else 'A3'}), which MindSpore compiles its operators for"
            yield ok("chip", text)
        elif kind == "910":
            text = f"{name}, as in the published run; {its_own}, not for it"
            fix = "take the image for it (make image-ascend CHIP=910), and run `make fingerprint` before a long run"
            yield warning("chip", text, fix)
        elif name.startswith("310"):
            yield failure("chip", f"{name} is made for inference", "train on an Ascend 910, 910B or A3")
        else:
            yield warning("chip", f"{name}: {its_own}", "run `make fingerprint` on it before a long run")


def _nodes(machine: Machine, used: Sequence[int]) -> Iterable[Diagnosis]:
    paths = [f"/dev/davinci{index}" for index in used] + list(_SHARED_NODES)
    missing = [path for path in paths if not machine.path(path).exists()]
    closed = [path for path in paths if path not in missing and not os.access(machine.path(path), os.R_OK | os.W_OK)]
    if missing:
        yield failure("nodes", f"missing: {', '.join(missing)}", "load the driver, or pass them on to the container")
    if closed:
        fix = (
            "join the group that owns them, HwHiAiUser by default (sudo usermod -aG HwHiAiUser $USER), and log in again"
        )
        yield failure("nodes", f"can't be opened by this user: {', '.join(closed)}", fix)
    if not missing and not closed:
        yield ok("nodes", f"/dev/davinci{number_ranges(list(used))} and the three that all share can be opened")


def _health(npus: Sequence[_Npu]) -> Iterable[Diagnosis]:
    bad = [npu for npu in npus if npu.health != "OK"]
    if not bad:
        return
    text = ", ".join(f"device {npu.device}: {npu.health}" for npu in bad)
    fix = "see npu-smi info -t health -i <N>, or leave them out of DEVICES"
    severe = any(npu.health != "Warning" for npu in bad)
    yield failure("health", text, fix) if severe else warning("health", text, fix)


def _free(npus: Sequence[_Npu], processes: Sequence[tuple[tuple[int, int], str]]) -> Iterable[Diagnosis]:
    cards = {npu.card: npu.device for npu in npus}
    theirs = [f"{who} on device {cards[card]}" for card, who in processes if card in cards]
    busy = [f"{npu.used / npu.total:.0%} of device {npu.device}" for npu in npus if npu.used > BUSY * npu.total > 0]
    if theirs or busy:
        text = "; ".join(filter(None, [", ".join(theirs[:4]), f"memory of {', '.join(busy)}" if busy else ""]))
        fix = "end what runs there, or name other DEVICES: a run takes nearly all of a device's memory"
        yield failure("free", f"in use: {text}", fix)
    else:
        yield ok("free", "no other process, memory free")


def check_cann(machine: Machine, venv: str, wanted: str = "") -> Iterable[Diagnosis]:
    """Check CANN's version, and whether it fits MindSpore and the driver."""
    get = machine.environment.get
    named = get("ASCEND_HOME_PATH") or get("ASCEND_TOOLKIT_HOME")
    home = next((place for place in [named, *_TOOLKITS] if place and machine.path(place).is_dir()), None)
    if not home:
        fix = "install it and run `source /usr/local/Ascend/ascend-toolkit/set_env.sh`, or use the image (CONTAINER=1)"
        yield failure("CANN", f"not found: {named or _TOOLKITS[0]} is no folder", fix)
        return
    if not named:
        yield failure("CANN", f"is in {home}, but this shell is not set up for it", f"run: source {home}/set_env.sh")
    texts = (machine.read(f"{home}/{part}version.info") for part in ("compiler/", "runtime/", ""))
    cann = next(filter(None, (_value(text, "Version", "version") for text in texts)), "")
    if not cann:
        text = f"{home}/compiler/version.info tells no version"
        yield warning("CANN", text, "see that the toolkit is whole: MindSpore reads its version there")
        return
    version = mindspore_version(venv, wanted)[0]
    yield _match(version, cann, driver_version(machine), accepted_cann(venv, version), compiled_with_cann(venv))


def _match(mindspore: str, cann: str, driver: str, accepted: Sequence[str], compiled: str) -> Diagnosis:
    """Check whether MindSpore accepts this CANN (``accepted`` has major.minor), and if a document names the three."""
    three = f"MindSpore {mindspore}, CANN {cann}, driver {driver or 'unknown'}"
    better = release_for(cann, driver)
    if ".".join(cann.split(".")[:2]) not in accepted:
        newest, its_driver = next(release.documented for release in read_releases().values() if release.documented)
        fix = f"install CANN {newest} with driver {its_driver}, or build the image: make image-ascend CANN={newest}"
        if better:
            fix = f"use MindSpore {better.version}, which accepts this CANN: {_ascend_command(better.version)}"
        return failure("match", f"{three}: this MindSpore accepts CANN {', '.join(accepted)}", fix)
    known = read_releases().get(mindspore)
    if known and known.is_documented_with(cann, driver):
        return ok("match", f"{three}: a documented set")
    notes = ["this CANN is accepted, but no document that we know names the three together"]
    fix = "run `make fingerprint DEVICE=ascend` on it before a long run"
    if better and better.documented[:1] == [cann.upper()]:
        notes.append(f"documented with it: MindSpore {better.version}, driver {better.documented[1]}")
        if better.version != mindspore:
            fix += f", or use that release: {_ascend_command(better.version)}"
    if compiled and not cann.startswith(compiled):
        notes.append(f"MindSpore's own operators were compiled with CANN {compiled}")
    return warning("match", f"{three}: {'; '.join(notes)}", fix)


def _ascend_command(release: str) -> str:
    return f"make fingerprint DEVICE=ascend MINDSPORE={release}, and MINDSPORE={release} behind every other target"

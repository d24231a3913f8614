"""Machines for the tests of `make doctor`: folders that stand for /, and tools that say what a real one would."""

import re
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from repro.bootstrap import STAMP
from repro.doctor import __main__ as doctor
from repro.doctor.machine import Machine

NVIDIA_SMI = """case "$*" in
*compute-apps*) {apps} ;;
*compute_cap*) {capable} ;;
*) {plain} ;;
esac"""
CUDA = ("cudart.so.11.0", "cublas.so.11", "cudnn.so.8", "cufft.so.10", "curand.so.10")
CUDA += ("cusolver.so.11", "cusparse.so.11", "nvrtc.so.11.2")
RULE = "+======+======+======+"
HEADER = """| npu-smi 25.5.0                   Version: 25.5.0 |
| NPU   Name    | Health | Power(W)    Temp(C)           Hugepages-Usage(page) |
| Chip          | Bus-Id | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB) |"""
PROCESSES = "| NPU     Chip | Process id    | Process name | Process memory(MB) |"


def say(text: str, code: int = 0) -> str:
    """The part of a script that prints this."""
    lines = " ".join(f"'{line}'" for line in text.splitlines())
    return f"printf '%s\\n' {lines}; exit {code}"


class FakeMachine:
    """A machine that a test builds up; ``machine`` is what the checks get."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin, self.venv = folder / "root", folder / "bin", folder / "venv"
        for path in (self.root / "dev/shm", self.root / "proc", self.bin):
            path.mkdir(parents=True)
        self.write("/proc/meminfo", "MemTotal: 999 kB\nMemAvailable:   800000000 kB\n")
        self.environment = {"PATH": str(self.bin)}
        self.timeout_s = 5.0
        self.device = "cpu"
        self.install("2.10.0")

    @property
    def machine(self) -> Machine:
        return Machine(self.root, self.environment, self.timeout_s)

    def diagnose(self, *options: object) -> "Diagnosis":
        """What doctor says of it, asked for the device that it has unless the options say otherwise."""
        argv = ["--device", self.device, "--runs", f"{self.root}/runs", "--venv", str(self.venv), *map(str, options)]
        with redirect_stdout(StringIO()) as said:
            code = doctor.main(argv, self.machine)
        return Diagnosis(said.getvalue(), code)

    def write(self, path: str, text: str = "") -> None:
        """A file of the system."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def tool(self, name: str, script: str | bytes) -> None:
        """A command on the machine's PATH: a script, or a program."""
        file = self.bin / name
        file.write_bytes(script if isinstance(script, bytes) else f"#!/bin/sh\n{script}\n".encode())
        file.chmod(0o755)

    def install(self, mindspore: str) -> None:
        """An environment that make setup has finished."""
        packages = self.venv / "lib/python3.11/site-packages"
        (packages / f"mindspore-{mindspore}.dist-info").mkdir(parents=True)
        (self.venv / STAMP).write_text("")

    def gpus(
        self,
        count: int = 1,
        driver: str = "550.54.15",
        used: dict[int, int] | None = None,
        apps: str = "",
        capability: str = "8.0",
    ) -> "FakeMachine":
        """GPUs with 81,920 MiB; ``used`` has MiB in use by device."""
        name = "NVIDIA A100-SXM4-80GB"
        plain = [f"{i}, {name}, {driver}, 81920, {(used or {}).get(i, 4)}" for i in range(count)]
        capable = [f"{line}, {capability}" for line in plain]
        answers = {"apps": [apps], "capable": capable, "plain": plain}
        self.tool("nvidia-smi", NVIDIA_SMI.format(**{key: say("\n".join(lines)) for key, lines in answers.items()}))
        for path in ("/dev/nvidia-uvm", *(f"/usr/local/cuda/lib64/lib{library}" for library in CUDA)):
            self.write(path)
        self.environment["CUDA_HOME"] = "/usr/local/cuda"
        self.device = "gpu"
        return self

    def ascends(
        self, count: int = 1, name: str = "910B3", cann: str = "9.0.0", driver: str = "26.0.RC1", table: str = ""
    ) -> "FakeMachine":
        """Ascends with driver and CANN; ``table`` instead of what npu-smi would say of that many idle chips."""
        self.tool("npu-smi", say(table or npu_table([(i, name, "OK", 3401) for i in range(count)])))
        for node in ["davinci_manager", "devmm_svm", "hisi_hdc", *(f"davinci{i}" for i in range(count))]:
            self.write(f"/dev/{node}")
        versions = f"Version={driver}\nascendhal_version=7.35.23\npackage_version={driver}\n"
        self.write("/usr/local/Ascend/driver/version.info", versions)
        self.write("/usr/local/Ascend/cann/compiler/version.info", f"Version={cann}\nversion_dir=cann\n")
        self.environment["ASCEND_HOME_PATH"] = "/usr/local/Ascend/cann"
        self.device = "ascend"
        return self


def npu_table(chips: Iterable[tuple[int, str, str, int]], processes: Iterable[tuple[int, int]] = ()) -> str:
    """`npu-smi info` in the shape of Ascend 910 and 910B: (device, name, health, MB in use), (device, process id)."""
    lines = [HEADER, RULE]
    chips, busy = list(chips), list(processes)
    for device, name, health, used in chips:
        lines.append(f"| {device}     {name}     | {health}      | 91.0        36             0    / 0        |")
        memory = f"0           0    / 0          {used} / 65536"
        lines += [f"| 0                     | 0000:{device:02X}:00.0  | {memory} |", RULE]
    lines += [PROCESSES, RULE]
    for device, *_ in chips:
        mine = [pid for on, pid in busy if on == device]
        lines += [f"| {device}       0       | {pid}       | python3.11      | 37709         |" for pid in mine]
        lines += [RULE] if mine else [f"| No running processes found in NPU {device}           |", RULE]
    return "\n".join(lines)


def two_chip_table(used: dict[int, int], process: tuple[int, int]) -> str:
    """`npu-smi info` in the shape of A3, two chips a card with a physical number; ``process`` is (card, chip)."""
    lines = ["| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |", RULE]
    for device in range(8):
        lines.append(f"| {device // 2}     Ascend910  | OK    | 176.9       46                0    / 0     |")
        memory = f"0           0    / 0          {used.get(device, 3343)}  / 65536"
        lines.append(f"| {device % 2}     {device}      | 0000:9C:00.0  | {memory}  |")
    lines += [RULE, PROCESSES, RULE, f"| {process[0]}       {process[1]}       | 777 | python | 36000 |"]
    return "\n".join(lines)


def imagenet(folder: Path, classes: int = 1000, train: int = 2, val: int = 1) -> Path:
    """Class folders with that many empty files in each."""
    for part, images in (("train", train), ("val", val)):
        for number in range(classes):
            place = folder / part / f"n{number:08}"
            place.mkdir(parents=True)
            for image in range(images):
                (place / f"{image}.JPEG").touch()
    return folder


class Diagnosis:
    """What the program said, by the name of the check, and its exit code."""

    def __init__(self, text: str, code: int) -> None:
        self.text, self.code = text, code
        self.lines = text.splitlines()
        found = (re.fullmatch(r"(ok|warning|failure) +(.{14}) (.*)", line) for line in self.lines)
        self.levels = {match[2].strip(): match[1] for match in found if match}
        assert "Traceback" not in text
        assert "could not be checked" not in text
        assert all(line.isprintable() for line in self.lines)

    def of(self, level: str) -> set[str]:
        return {name for name, found in self.levels.items() if found == level}

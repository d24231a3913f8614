"""What ImageNet's number of files and a whole training's log take: to list, to list again, to report.

Of a tree of 1,281,167 empty files and the run folder of 300 epochs that kept every step. Some minutes; the tree takes
as many inodes.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hlg.data.listing import SETTLED_S
from hlg.record.environment import environment_facts
from tests.support.long_run import EPOCHS, STEPS, long_run

FILES, CLASSES = 1_281_167, 1000
SCAN = """
import sys, time
from hlg.data.index import scan
start = time.perf_counter()
files = len(scan(sys.argv[1], 1000).files)
print(time.perf_counter() - start, files)
"""
# The report's program from its start to its end, which says at last how much memory it had at most, in kB.
REPORT = """
import re, sys
from pathlib import Path
from repro.report.__main__ import main
code = main(sys.argv[1:])
print(re.search("VmHWM:.*?([0-9]+)", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""


def tree(root: Path) -> None:
    """Empty files in class folders, named as ImageNet's are."""
    for label in range(CLASSES):
        folder = root / f"n{label:08}"
        folder.mkdir(parents=True)
        for image in range(label, FILES, CLASSES):
            (folder / f"{folder.name}_{image}.JPEG").touch()
    time.sleep(SETTLED_S + 1)  # a folder that has just changed is not remembered


def scanned(root: Path, cache: Path) -> float:
    """Seconds of a process to list the tree.

    Raises:
        ValueError: it saw another number of files.
    """
    command, environment = [sys.executable, "-c", SCAN, str(root)], os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    seconds, files = done.stdout.split()
    if int(files) != FILES:
        raise ValueError(f"{root}: found {files} files, expected {FILES}")
    return float(seconds)


def listings(work: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds to list the tree without a kept list, and with it."""
    found: dict[str, list[float]] = {"first_s": [], "again_s": []}
    tree(work / "train")
    for turn in range(rounds):
        for times in found.values():
            times.append(scanned(work / "train", work / f"cache_{turn}"))
    return found


def reports(work: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds from the start to the end of the program, and its memory at most, in MB, without those that draw."""
    folder = long_run(work / "runs")
    command = [sys.executable, "-c", REPORT, "--runs", str(folder.parent), "--out", str(work / "report.md")]
    found: dict[str, list[float]] = {"report_s": [], "report_peak_mb": []}
    for _ in range(rounds + 1):
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found["report_s"].append(time.perf_counter() - start)
        found["report_peak_mb"].append(int(done.stdout.splitlines()[-1]) / 1000)
    return {name: values[1:] for name, values in found.items()}  # the first one finds no compiled modules


def full_size(rounds: int) -> dict[str, Any]:
    """Each of these so often, in a process of its own, and their medians."""
    with tempfile.TemporaryDirectory() as folder:
        found = {**listings(Path(folder), rounds), **reports(Path(folder), rounds)}
    medians = {name: statistics.median(values) for name, values in found.items()}
    environment = environment_facts({"target": "CPU", "names": [], "count": 0})
    return {"files": FILES, "steps": EPOCHS * STEPS, "median": medians, **found, "environment": environment}

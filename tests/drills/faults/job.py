"""A training job in processes of its own, to be broken."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support import ROOT

STEPS = 9  # of an epoch
KEYS = {
    "class_num": 3,
    "train_image_size": 112,
    "eval_image_size": 112,
    "batch_size": 4,
    "eval_batch_size": 4,
    "max_epoch": 3,
    "warmup_epochs": 0,
    "log_interval": 1,
    "train_num_workers": 2,
    "eval_num_workers": 2,
    "stall_timeout": 300,
}


class Job:
    """A job on ``data`` that keeps its runs in ``folder``; further keys as in the configuration."""

    def __init__(
        self, data: Path, folder: Path, ranks: int = 1, program: str = "tests.support.narrow.train", **keys: Any
    ) -> None:
        self.folder, self.ranks, self.program = folder, ranks, program
        self.runs = folder / "runs"
        # Drills start many jobs of the same graphs, which one rank alone can keep.
        paths = {"dataset_path": data / "train", "eval_path": data / "val", "save_checkpoint_path": self.runs}
        paths |= {"graph_cache": data.parent / "graphs"} if ranks == 1 else {}
        self.keys = {**KEYS, "batch_size": KEYS["batch_size"] // ranks, **paths, **keys}
        self.starts = 0

    def start(self, **keys: Any) -> "Job":
        """Start it; ``keys`` go before those of the job."""
        self.starts += 1
        self.output = self.folder / f"output-{self.starts}.txt"
        options = [f"--{key}={value}" for key, value in {**self.keys, **keys}.items()]
        launch = ["hlg.launch", f"--ranks={self.ranks}", f"--logs={self.folder}/ranks", self.program]
        command = [sys.executable, "-m", *(launch if self.ranks > 1 else [self.program]), *options]
        with self.output.open("w") as file:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        return self

    def wait_for(self, text: str, timeout: float = 240) -> None:
        """Wait until ``text`` stands in the output."""
        deadline = time.monotonic() + timeout
        while text not in (said := self.output.read_text()):
            assert time.monotonic() < deadline, f"no {text!r} within {timeout} s in:\n{said}"
            assert self.process.poll() is None, f"ended with {self.process.returncode} before {text!r}:\n{said}"
            time.sleep(0.01)

    def wait_for_step(self, step: int) -> None:
        """Wait until this step, counted from the start of the run, is logged."""
        self.wait_for(f"step_num[{step}]")

    def ended(self, timeout: float = 240) -> int:
        """Wait for the end; returns the exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still running after {timeout} s:\n{self.said}") from None

    @property
    def said(self) -> str:
        """The output of the last start."""
        return self.output.read_text()

    @property
    def run(self) -> Path:
        """Its run folder."""
        (found,) = (path for path in self.runs.glob("2*") if path.is_dir())
        return found

    def finished(self) -> Path:
        """Start, expect a good end, return the run folder."""
        assert self.start().ended() == 0, self.said
        return self.run

    def resumed(self, **keys: Any) -> int:
        """Resume, expect a good end; returns how many steps were run again."""
        assert self.start(resume=self.run, **keys).ended() == 0, self.said
        return [event["repeated_steps"] for event in events(self.run, "resume")][-1]


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    """The events of one kind in a run's metrics."""
    found = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [event for event in found if event["event"] == kind]


def assert_same_run(run: Path, other: Path) -> None:
    """Both went through the same losses, rates and scores to the same weights, bit for bit, and are sealed."""
    for kind, keys in (("step", ("epoch", "step", "loss", "lr", "overflow")), ("epoch", ("epoch", "loss", "top1_pct"))):
        pair = [[tuple(event[key] for key in keys) for event in events(folder, kind)] for folder in (run, other)]
        assert pair[0] == pair[1]
        assert pair[0]
    last = [(folder / "checkpoints/last.ckpt").read_bytes() for folder in (run, other)]
    assert last[0] == last[1]  # network, moments and update count
    assert (run / "SHA256SUMS").exists()


def ranks_of(launcher: int) -> dict[int, int]:
    """Rank -> pid of the processes under a launcher."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            variables = dict(v.split("=", 1) for v in (path / "environ").read_text().split("\0") if "=" in v)
        except (OSError, ValueError):
            continue
        if parent == launcher and variables.get("MS_ROLE") == "MS_WORKER":
            found[int(variables["RANK_ID"])] = int(path.name)
    return found


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal."""
    os.kill(pid, number)

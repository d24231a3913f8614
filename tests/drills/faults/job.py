"""A training job in processes of its own, to be broken."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from hlg.data.streams import epoch_order
from hlg.files import follow_links
from tests.support import ROOT
from tests.support.small_runs import SMALL, events, small_options

STEPS = 9  # of an epoch
PROGRAM = "tests.drills.faults.planted none"


class Job:
    """A job on ``data`` that keeps its runs in ``folder``; further keys as in the configuration."""

    def __init__(self, data: Path, folder: Path, ranks: int = 1, program: str = PROGRAM, **keys: Any) -> None:
        self.data, self.folder, self.ranks, self.program = data, folder, ranks, program
        # Drills start many jobs of the same graphs, which one rank alone can keep; those of several have none.
        mode = {"context_mode": 1} if ranks > 1 else {"graph_cache": data.parent / "graphs"}
        self.keys = {"batch_size": SMALL["batch_size"] // ranks, "max_epoch": 2, "stall_timeout": 300, **mode, **keys}
        self.runs = self.keys.pop("save_checkpoint_path", folder / "runs")
        self.starts = 0

    def start(self, console: int | None = None, **keys: Any) -> "Job":
        """Start it, on a terminal or pipe of the test's own if one is given; ``keys`` override those of the job."""
        self.starts += 1
        self.output = self.folder / f"output-{self.starts}.txt"
        launch = ("hlg.launch", f"--ranks={self.ranks}", f"--logs={self.folder}/ranks") if self.ranks > 1 else ()
        options = small_options(self.data, self.runs, **{**self.keys, **keys})
        command = [sys.executable, "-m", *launch, *self.program.split(), *options]
        with self.output.open("w") as file:
            out: Any = file if console is None else console
            on = partial(os.login_tty, console) if console and os.isatty(console) else None
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, preexec_fn=on)
        return self

    def until(self, said: str | int) -> "Job":
        """Wait until this text stands in its output, or this step, counted from the start of the run, is logged."""
        text = f"step_num[{said}]" if isinstance(said, int) else said
        deadline = time.monotonic() + 240
        while text not in (output := self.output.read_text()):
            assert time.monotonic() < deadline, f"no {text!r} within 240 s in:\n{output}"
            assert self.process.poll() is None, f"ended with {self.process.returncode} before {text!r}:\n{output}"
            time.sleep(0.01)
        return self

    def ends_with(self, code: int, timeout: float = 240) -> str:
        """Wait for the end and hold that this is the exit code; returns all that it said."""
        try:
            self.process.wait(timeout)
        finally:
            self.process.kill()
        said = self.output.read_text().strip()
        assert self.process.returncode == code, said
        return said

    def stopped(self, number: int = signal.SIGTERM, code: int = 75, timeout: float = 240) -> str:
        """Send it a signal, which ends it with this exit code; returns all that it said."""
        self.process.send_signal(number)
        return self.ends_with(code, timeout)

    @property
    def run(self) -> Path:
        """Its run folder."""
        (found,) = (path for path in self.runs.glob("2*") if path.is_dir())
        return found

    def resumed(self, checkpoint: Path | None = None, **keys: Any) -> int:
        """Resume to a good end, from the run's last checkpoint or another; returns how many steps were repeated."""
        self.start(resume=checkpoint or self.run, **keys).ends_with(0)
        return int(events(self.run, "resume")[-1]["repeated_steps"])

    def image_of(self, step: int) -> Path:
        """The first image of a step of the first epoch."""
        files = sorted(self.data.glob("train/*/*"))
        return files[epoch_order(1, 0, len(files))[step * SMALL["batch_size"]]]

    def rank_pids(self) -> dict[int, int]:
        """Rank -> pid of the processes under the launcher."""
        told = {child.pid: child.environ() for child in psutil.Process(self.process.pid).children()}
        return {int(its["RANK_ID"]): pid for pid, its in told.items() if its.get("MS_ROLE") == "MS_WORKER"}


NewJob = Callable[..., Job]  # takes what Job takes behind its folders
Recovers = Callable[..., None]


def assert_same_run(run: Path, other: Path) -> None:
    """Both went through the same losses, rates and scores to the same weights, bit for bit, and are sealed."""
    for kind, keys in (("step", ("epoch", "step", "loss", "lr", "overflow")), ("epoch", ("epoch", "loss", "top1_pct"))):
        pair = [[tuple(event[key] for key in keys) for event in events(folder, kind)] for folder in (run, other)]
        assert pair[0] == pair[1]
        assert pair[0]
    last = [follow_links(folder / "checkpoints/last.ckpt").read_bytes() for folder in (run, other)]
    assert last[0] == last[1]  # network, moments and update count
    assert (run / "SHA256SUMS").exists()

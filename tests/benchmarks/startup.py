"""How long a training takes from its start to the end of its first step, without and with kept graphs."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

POLL_S = 0.02


def first_step(runs: Path, graph_cache: Path) -> tuple[float, bool, dict[str, Any]]:
    """Start a training, and stop it after its first step.

    Returns:
        the seconds to there, whether its graphs were kept ones, its environment.

    Raises:
        RuntimeError: it ended without a step.
    """
    command = [sys.executable, "-m", "hlg.train", "--config_path", "configs/tiny.yml"]
    command += ["--save_checkpoint_path", str(runs), "--graph_cache", str(graph_cache)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while True:
            ended = process.poll() is not None
            lines = [line for file in runs.glob("2*/metrics.jsonl") for line in file.read_text().splitlines(True)]
            events = [json.loads(line) for line in lines if line.endswith("\n")]
            if any(event["event"] == "step" for event in events):
                break
            if ended:
                raise RuntimeError(process.communicate()[1])
            time.sleep(POLL_S)
        seconds = time.perf_counter() - began
        process.kill()
    kept = next(event["from_cache"] for event in events if event["event"] == "compile")
    return seconds, kept, json.loads(next(runs.glob("2*/env.json")).read_text())


def startup(rounds: int) -> dict[str, Any]:
    """Seconds by turns of a cold start, with an empty folder of graphs, and a warm one; wants data/tiny."""
    found: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, times in found.items():
                seconds, kept, environment = first_step(Path(folder) / name, Path(folder) / "graphs")
                if kept != (name == "warm"):
                    raise RuntimeError(f"a {name} start, and its graphs were {'' if kept else 'not '}kept ones")
                times.append(seconds)
    medians = {name: statistics.median(times) for name, times in found.items()}
    return {"median_s": medians, "times_s": found, "environment": environment}

"""How long a training takes from the start of its process to the end of its first step, without and with kept graphs.

    python -m tests.benchmarks.startup --rounds 3 --out results/benchmarks/xeon [--key value of hlg.train ...]

Wants data/tiny (make tiny-data), and writes startup.json to ``--out``. By turns: a cold start,
with an empty folder of graphs, then a warm one.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import write

POLL_S = 0.02


def first_step(keys: list[str], runs: Path, graph_cache: Path) -> tuple[float, float, bool, dict[str, Any]]:
    """Start a training, and stop it after its first step.

    Returns:
        the seconds to there, those of the processor (all cores), whether its graphs were kept ones, its environment.

    Raises:
        RuntimeError: it ended without a step.
    """
    command = [sys.executable, "-m", "hlg.train", "--config_path", "configs/tiny.yml", *keys]
    command += ["--save_checkpoint_path", str(runs), "--graph_cache", str(graph_cache)]
    began, used = time.perf_counter(), _processor_s()
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
    return seconds, _processor_s() - used, kept, json.loads(next(runs.glob("2*/env.json")).read_text())


def _processor_s() -> float:
    """Seconds of the processor that this process's ended children took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="pairs of a cold and a warm start")
    parser.add_argument("--out", required=True, type=Path, help="folder of this machine")
    own, keys = parser.parse_known_args()
    found: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(own.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, times in found.items():
                seconds, processor, kept, environment = first_step(keys, Path(folder) / name, Path(folder) / "graphs")
                if kept != (name == "warm"):
                    raise RuntimeError(f"a {name} start, and its graphs were {'' if kept else 'not '}kept ones")
                times.append(seconds)
                load = os.getloadavg()[0]
                print(f"{name} {seconds:.1f} s, {processor:.1f} s of the processor, load {load:.1f}", flush=True)
    medians = {name: statistics.median(times) for name, times in found.items()}
    write(own.out, "startup", {"median_s": medians, "times_s": found, "environment": environment})
    print(*(f"{name}: median {median:.1f} s of {own.rounds}" for name, median in medians.items()), sep="\n")


if __name__ == "__main__":
    main()

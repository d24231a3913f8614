"""Kill runs and their resumptions at random points, and hold that they end bit-identical and verified.

python -m tests.drills.faults.random_kills --kills 50 --seed 1
"""

import argparse
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from hlg.data.tiny.make import TinyRequest, make_tiny
from repro.records import verify
from tests.drills.faults.job import Job, assert_same_run
from tests.support.small_runs import events


def main(kills: int, rng: random.Random, folder: Path) -> None:
    """Start and resume a run until it ends by itself, however often it is killed; then another one."""
    make_tiny(folder / "data/tiny", TinyRequest(classes=3, train=12, val=5))
    whole = Job(folder / "data/tiny", folder)
    whole.start().ends_with(0)
    lasts_s = events(whole.run, "end")[0]["training_time_s"]
    done = 0
    while done < kills:
        job = Job(folder / "data/tiny", folder, save_checkpoint_steps=2, save_checkpoint_path=folder / "killed")
        while not list(job.runs.glob("2*/SHA256SUMS")):
            saved = list(job.runs.glob("2*/checkpoints/last.ckpt"))
            if not saved:  # the user starts it again
                shutil.rmtree(job.runs, ignore_errors=True)
            job.start(**({"resume": job.run} if saved else {})).until("compile")
            try:
                job.ends_with(0, timeout=rng.uniform(0, lasts_s))
            except subprocess.TimeoutExpired:
                job.process.wait()
                done += 1
                print(f"kill {done} after {len(events(job.run, 'step'))} steps", flush=True)
        assert_same_run(job.run, whole.run)
        assert verify.main([str(job.run)]) == 0
        lasts_s = min(lasts_s, events(job.run, "end")[0]["training_time_s"])  # less than the first where that was slow
        shutil.rmtree(job.runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        main(options.kills, random.Random(options.seed), Path(made))
    print(f"{options.kills} kills, seed {options.seed}: every run ended bit-identical and verified")

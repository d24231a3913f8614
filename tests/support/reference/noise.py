"""Measure how far each precision strays from float64 by rounding alone, on several inputs: the fingerprint's bounds.

    for salt in hlg: a: b: c:; do
      /tmp/peer/bin/python -m tests.support.reference.network --salt $salt --out build/reference/$salt.npz
    done
    .venv/bin/python -m tests.support.reference.noise build/reference/*.npz

writes ``hlg/fingerprint/reference/bounds.json``: for each precision and row the largest error over all these weights
and inputs, in graph mode with the usual vector instructions and in PyNative mode with SSE 4.1 alone, which sum in
another order. The bound of a row is that times FACTOR: four, for four inputs say little of the largest error of all,
and another machine rounds differently.
"""

import argparse
import json
import multiprocessing
import os
import platform
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import mindspore as ms

from hlg.config import Config
from hlg.fingerprint.backward import TrainingCheck
from hlg.fingerprint.bounds import ReferenceTensors, read_sketches
from hlg.fingerprint.forward import ForwardCheck, check_losses
from hlg.fingerprint.inputs import check_batch
from hlg.fingerprint.optimizer import OptimizerCheck, check_schedule
from hlg.fingerprint.rows import MEASURED, FingerprintRow
from hlg.record.environment import PACKAGES, environment_facts
from hlg.runtime import device
from tests.support.reference import FOLDER

FACTOR = 4
PRECISIONS = ("O0", "O2", "O3")
MODES = ("graph", "PyNative")
VARIANTS = ((0, "AVX2"), (1, "SSE41"))  # context mode, instruction set of oneDNN


def measure(paths: list[Path], amp_level: str, mode: int) -> dict[str, float]:
    """The largest error of each row over the references."""
    device.start(Config(context_mode=mode))
    forward, training, optimizer = ForwardCheck(amp_level), TrainingCheck(amp_level), OptimizerCheck()

    def rows(reference: ReferenceTensors) -> Iterator[FingerprintRow]:
        yield from check_batch(reference)
        yield from forward.rows(reference)
        yield from check_losses(reference)
        yield from training.rows(reference)
        yield from check_schedule(reference)
        yield from optimizer.rows(reference)

    noise: dict[str, float] = {}
    for path in paths:
        tensors, salt = read_sketches(path)
        for row in rows(ReferenceTensors(tensors, {}, FACTOR, salt)):
            if row.source == MEASURED and row.error is not None:
                noise[row.label] = max(row.error, noise.get(row.label, 0.0))
    return noise


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.reference.noise")
    parser.add_argument("references", nargs="+", type=Path)
    paths = parser.parse_args().references
    noise: dict[str, dict[str, float]] = {amp_level: {} for amp_level in PRECISIONS}
    for amp_level, known in noise.items():
        for mode, isa in VARIANTS:
            os.environ["ONEDNN_MAX_CPU_ISA"] = isa  # read when the next process loads MindSpore
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                found = process.submit(measure, paths, amp_level, mode).result()
            known |= {row: max(error, known.get(row, 0.0)) for row, error in found.items()}
            print(amp_level, MODES[mode], isa, f"largest {max(known.values()):.1e}", flush=True)
    here = environment_facts({})
    kept = {
        "factor": FACTOR,
        "measured": {
            "command": "python -m tests.support.reference.noise",
            "inputs": [read_sketches(path)[1] for path in paths],
            "variants": [f"{MODES[mode]} mode, oneDNN with {isa}" for mode, isa in VARIANTS],
            "device": "CPU",
            "cpu": here["cpu"],
            "packages": {name: here["packages"][name] for name in PACKAGES[:2]},
            "python": platform.python_version(),
            "mindspore": ms.__version__,
        },
        "noise": {amp: {row: float(f"{error:.3e}") for row, error in rows.items()} for amp, rows in noise.items()},
    }
    (FOLDER / "bounds.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

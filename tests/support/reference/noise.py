"""Measures how far each precision strays from float64 by rounding alone, on several inputs: the fingerprint's bounds.

    for salt in hlg: a: b: c:; do
      /tmp/peer/bin/python -m tests.support.reference.network --salt $salt --out build/reference/$salt.npz
    done
    .venv/bin/python -m tests.support.reference.noise build/reference/*.npz

writes ``hlg/fingerprint/reference/bounds.json``: for each precision and row the largest error over all these weights
and inputs, in graph mode with the usual vector instructions and in PyNative mode with SSE 4.1 alone, which sum in
another order. The bound of a row is that times FACTOR: four, for four inputs say little of the largest error of all,
and another machine rounds otherwise.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
import numpy as np

from hlg.config import Config
from hlg.fingerprint import backward, forward, inputs, optimizer
from hlg.fingerprint.bounds import MEASURED, REFERENCE, Judge, Row, read_reference
from hlg.record.environment import PACKAGES, environment_facts
from hlg.runtime import device

FACTOR = 4
PRECISIONS = ("O0", "O2", "O3")
MODES = ("graph", "PyNative")
VARIANTS = ((0, "AVX2"), (1, "SSE41"))  # context mode, instruction set of oneDNN


def measure(paths: list[Path], amp_level: str, mode: int) -> dict[str, float]:
    """The largest error of each row over the references."""
    device.start(Config(context_mode=mode))
    judges = []
    for path in paths:
        reference, salt = read_reference(path)
        judges.append(Judge(reference, {}, FACTOR, salt))
    network, train, adam = forward.Forward(amp_level), backward.Training(amp_level), optimizer.Optimiser()

    def rows(judge: Judge) -> Iterator[Row]:
        yield from inputs.batches(judge)
        yield from network.rows(judge)
        yield from forward.losses(judge)
        yield from train.rows(judge)
        yield from optimizer.schedule(judge)
        yield from adam.rows(judge)

    noise: dict[str, float] = {}
    for judge in judges:
        for row in rows(judge):
            if row.source == MEASURED and row.error is not None:
                noise[row.label] = max(row.error, noise.get(row.label, 0.0))
    return noise


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.reference.noise")
    parser.add_argument("references", nargs="+", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("AMP", "MODE"), help="measure this alone, and print it")
    options = parser.parse_args()
    if options.one:
        found = measure(options.references, options.one[0], int(options.one[1]))
        print("NOISE " + json.dumps(found))
        return 0
    noise: dict[str, dict[str, float]] = {}
    for amp_level in PRECISIONS:
        for mode, isa in VARIANTS:
            command = [sys.executable, "-m", "tests.support.reference.noise", *map(str, options.references)]
            done = subprocess.run(
                [*command, "--one", amp_level, str(mode)],
                env={**os.environ, "ONEDNN_MAX_CPU_ISA": isa},
                capture_output=True,
                text=True,
                check=False,
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith("NOISE ")]
            if done.returncode or not lines:
                print(done.stdout + done.stderr, file=sys.stderr)
                return 1
            for row, error in json.loads(lines[0].removeprefix("NOISE ")).items():
                known = noise.setdefault(amp_level, {})
                known[row] = max(error, known.get(row, 0.0))
            print(
                amp_level,
                "graph" if mode == 0 else "PyNative",
                isa,
                f"largest {max(noise[amp_level].values()):.1e}",
                flush=True,
            )
    here = environment_facts({})
    kept = {
        "factor": FACTOR,
        "measured": {
            "command": "python -m tests.support.reference.noise",
            "inputs": [str(np.load(path)["salt"]) for path in options.references],
            "variants": [f"{MODES[mode]} mode, oneDNN with {isa}" for mode, isa in VARIANTS],
            "device": "CPU",
            "cpu": here["cpu"],
            "packages": {name: here["packages"][name] for name in PACKAGES[:2]},
            "python": platform.python_version(),
            "mindspore": ms.__version__,
        },
        "noise": {amp: {row: float(f"{error:.3e}") for row, error in rows.items()} for amp, rows in noise.items()},
    }
    (REFERENCE / "bounds.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

r"""Our speeds and those of the peers, by turns, and where the time of our step goes.

    python -m tests.benchmarks.measure --torch /venv/bin/python --published models/research/cv/hlg \
        --photos FOLDER --out results/benchmarks/xeon
    python -m tests.benchmarks.measure startup --out results/benchmarks/xeon

``--torch`` is a Python with PyTorch, ``--published`` the folder of the published code, whose modules want easydict
(PYTHONPATH), ``--photos`` a folder of class folders with photographs. ``--out`` is the folder of this machine;
half an hour on two cores that have nothing else to do. One of the files alone by its name. Wants data/tiny as well
(make tiny-data).
"""

import argparse
import csv
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from repro.bench.pacing import pace_programs, summarize_turns
from tests.benchmarks.full_size import full_size
from tests.benchmarks.startup import startup

PEERS = Path("tests/benchmarks/peers")
BATCH = 8
CORES = len(os.sched_getaffinity(0))
TURNS, ROUNDS = 8, 3  # of what is measured by turns, and of all else
PROFILED_STEPS = 10
COPIED = 2**29  # bytes of all arrays that are copied: more than any cache


def by_turns(what: str, torch: str, published: Path) -> dict[str, Any]:
    """Forward or step: ours, with fused kernels too, PyTorch's and the published one's; what ours says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "own.json"
        batch = str(BATCH)
        bench = [sys.executable, "-m", "hlg.bench", what, "--paced", "--batch_size", batch]
        peer = [sys.executable, str(PEERS / "published_hlg.py")]
        commands = {
            "ours": [*bench, "--json", str(own)],
            "fused": [*bench, "--graph_kernel", "1"],
            "PyTorch": [torch, str(PEERS / "torch_hlg.py"), what, "--batch", batch],
            "published": [*peer, what, "--code", str(published), "--batch", batch],
        }
        times = pace_programs({name: shlex.join(command) for name, command in commands.items()}, TURNS)
        return {"programs": summarize_turns(times), "ours": json.loads(own.read_text()), "PyTorch": _pytorch(torch)}


def _pytorch(torch: str) -> dict[str, Any]:
    """Its version, and the threads that it takes by itself."""
    asked = "import json, torch; print(json.dumps({'version': torch.__version__, 'threads': torch.get_num_threads()}))"
    done = subprocess.run([torch, "-c", asked], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def measured_input(photos: Path) -> dict[str, Any]:
    """Images a second of the whole training input, ours and as published, one process after the other, by turns."""
    ours, published = [], []
    for _ in range(TURNS):
        ours.append(_bench("input", 4, f"--dataset_path={photos}", f"--train_num_workers={CORES}"))
        published.append(_published_input(photos))
    rates = [found["images"] / found["seconds"] for found in published]
    ratios = [own["images_per_s"] / rate for own, rate in zip(ours, rates, strict=True)]
    own_rates = ("images_per_s", "images_per_s_per_core", "decoded_per_s_per_core")
    medians = {
        **{name: statistics.median(own[name] for own in ours) for name in own_rates},
        "published_images_per_s": statistics.median(rates),
        "ratio": statistics.median(ratios),
    }
    return {"workers": CORES, **medians, "ratios": ratios, "ours": ours, "published": published}


def _published_input(photos: Path) -> dict[str, Any]:
    """Of one run; MixUpBatch ends one batch in some 500 with an error at alpha 0.2, so there are more tries."""
    command = [sys.executable, "-m", "tests.benchmarks.published_input", str(photos), "--workers", str(CORES)]
    for _ in range(5):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1])
        if "addition of variable(x1 and x2) of Gamma" not in done.stderr:
            break
    raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr}")


def evaluation() -> dict[str, Any]:
    """Images a second of an evaluation from files, beside those of the forward pass alone, by turns."""
    pairs = [(_bench("evaluate", 5), _bench("forward", 20)) for _ in range(ROUNDS)]
    medians = {
        "images_per_s": statistics.median(found["images_per_s"] for found, _ in pairs),
        "forward_images_per_s": statistics.median(alone["images_per_s"] for _, alone in pairs),
        "ratio": statistics.median(found["images_per_s"] / alone["images_per_s"] for found, alone in pairs),
    }
    return {**medians, "pairs": pairs}


def _bench(what: str, steps: int, *keys: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, "-m", "hlg.bench", what, "--steps", str(steps), "--json", str(file)]
        subprocess.run([*command, f"--batch_size={BATCH}", f"--eval_num_workers={CORES}", *keys], check=True)
        return json.loads(file.read_text())


def profiles() -> dict[str, Any]:
    """Milliseconds of each operator of a step, plain and with fused kernels by turns, and the rate of copies."""
    kinds = {"ours": (), "fused": ("--graph_kernel=1",)}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    copied, uncapped = [], []
    for _ in range(ROUNDS):
        copied.append(copy_rate())
        uncapped.append(uncapped_product_rate())
        for name, keys in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                step = _bench("step", PROFILED_STEPS, "--profile", folder, *keys)
                with (Path(folder) / "operators.csv").open(encoding="utf-8", newline="") as lines:
                    took = {row["operator"]: float(row["total_ms"]) / PROFILED_STEPS for row in csv.DictReader(lines)}
            found[name].append({"step": step, "operators_ms": took})
    return {"copied_bytes_per_s": max(copied), "uncapped_product_flops_per_s": max(uncapped), **found}


def uncapped_product_rate() -> float:
    """The rate of products in a process whose oneDNN may use every instruction of this machine."""
    measuring = "from hlg.bench import run; print(run.product_rate(run.Config(amp_level='O0')))"
    command = [sys.executable, "-c", measuring]
    told = os.environ | {"ONEDNN_MAX_CPU_ISA": "DEFAULT"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=told).stdout.split()[-1])


def copy_rate() -> float:
    """Bytes a second that all cores read and write as each copies an array of its own by NumPy, the best of seven."""
    arrays = [np.ones(COPIED // CORES, np.uint8) for _ in range(CORES)]
    copies = [np.zeros_like(array) for array in arrays]
    times = []
    with ThreadPoolExecutor(CORES) as threads:
        for _ in range(7):
            start = time.perf_counter()
            list(threads.map(np.copyto, copies, arrays))
            times.append(time.perf_counter() - start)
    return 2 * sum(array.nbytes for array in arrays) / min(times)


def main() -> None:
    measurements: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "forward": lambda given: by_turns("forward", given.torch, given.published),
        "step": lambda given: by_turns("step", given.torch, given.published),
        "evaluate": lambda _: evaluation(),
        "input": lambda given: measured_input(given.photos),
        "profile": lambda _: profiles(),
        "startup": lambda _: startup(ROUNDS),
        "full_size": lambda _: full_size(ROUNDS),
    }
    alone = {"evaluate", "profile", "startup", "full_size"} & set(sys.argv)  # without a peer
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=measurements, help="one of the files")
    parser.add_argument("--torch", required=not alone)
    parser.add_argument("--published", required=not alone, type=Path)
    parser.add_argument("--photos", required=not alone, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for what in [given.what] if given.what else measurements:
        found = measurements[what](given)
        (given.out / f"{what}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

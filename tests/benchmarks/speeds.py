"""The tables of how fast it is and why, from the measurements kept in results/benchmarks."""

import json
import statistics
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from repro.bench.device_page import markdown_tables
from repro.files import read_json
from repro.markdown import grid, md
from repro.records.run_folder import cpu_name
from tests.support import ROOT

KEPT = ROOT / "results/benchmarks"
MACHINES = ("epyc_26", "xeon_6_207")  # folders of KEPT
NONE = "–"
# Kinds of operators, by their names in MindSpore's profile. Fused kernels hold none but the rest.
KINDS = {
    "Products of matrices": ("MatMul", "BatchMatMul"),
    "Convolutions and their gradients": ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"),
    "Batch norm, softmax": ("BatchNorm", "BatchNormGrad", "Softmax"),
    "Optimizer": ("AdamWeightDecay",),
}
REST = "The rest: layer norm, element by element, sums, order"
BETWEEN = "Between operators, and the profile itself"
ALL = "All"


def speeds(folder: Path) -> str:
    """Forward, step, evaluation, input and start-up: published, PyTorch, ours, limit, and the commits of ours.

    The limit of arithmetic is the network's operations at the rate at which the same process multiplies two matrices;
    of an evaluation the forward pass alone; of input the decoding alone on as many cores. Forward and step stand only
    where they were measured beside these peers.
    """
    evaluate, images, startup = (_read(folder / f"{name}.json") for name in ("evaluate", "input", "startup"))
    rate = f"{images['images_per_s']:.0f} images/s, {images['images_per_s_per_core']:.0f} a core"
    decoding = images["decoded_per_s_per_core"] * images["workers"]
    start = "{warm:.1f} s, {cold:.1f} s without kept graphs".format(**startup["median_s"])
    rows = []
    for name, words in (("step", "Training step"), ("forward", "Forward pass")):
        if (file := folder / f"{name}.json").exists():
            found = _read(file)
            rows += [(words, *_seconds(found, "ours")), (f"{words}, fused kernels", *_seconds(found, "fused"))]
    rows += [
        (
            *("Evaluation from files", NONE, NONE, f"{evaluate['images_per_s']:.1f} images/s"),
            f"{evaluate['forward_images_per_s']:.1f} images/s",
        ),
        (
            *("Input, full recipe", f"{images['published_images_per_s']:.0f} images/s", NONE),
            *(f"{rate}, {images['ratio']:.2f} x published", f"{decoding:.0f} images/s"),
        ),
        ("First step of `make tiny`, from its start", NONE, NONE, start, NONE),
    ]
    measured = environments([_read(file) for file in sorted(folder.glob("*.json"))])
    commits = " and ".join(sorted({environment["commit"][:9] for environment in measured}))
    where = f"On {_machine(startup)}, float32, batch {evaluate['pairs'][0][0]['batch_size']}, commit {commits}"
    return _table((where, "Published code", "PyTorch", "Here", "Limit"), rows)


def environments(found: Any) -> list[dict[str, Any]]:
    """The environments of all that was measured of ours, wherever they stand."""
    if isinstance(found, list):
        return [environment for one in found for environment in environments(one)]
    if not isinstance(found, dict):
        return []
    own = [found["environment"]] if "environment" in found else []
    return own + environments(list(found.values()))


def waiting(file: Path) -> str:
    """Images a second by workers that wait instead of decoding, of one process."""
    found = _read(file)
    rates = {int(workers): rate for workers, rate in found["images_per_s"].items()}
    rows = [("Images a second", *(f"{rate:,.0f}" for rate in rates.values()))]
    rows.append(("Of as many times one worker's", *(f"{100 * r / n / rates[1]:.0f} %" for n, r in rates.items())))
    where = f"Workers, on {_machine(found)}, each image {1000 * found['waited_s']:.2f} ms"
    return _table((where, *map(str, rates)), rows)


def device(file: Path) -> str:
    """Training and inference in every configuration, from the `bench.json` of `make bench-cpu`."""
    return markdown_tables(read_json(file)) if file.exists() else "Not measured yet.\n"


def stacks(file: Path) -> str:
    """Step and forward pass of each program on each stack, by turns; a ratio is to the first one."""
    found = _read(file)
    kinds = {"Training step": found["step"], "Forward pass": found["forward"]}
    rows = []
    for programs in zip(*kinds.values(), strict=True):
        cells = [(f"{one['median_s']:.3f} s", f"{one['ratio']:.2f}") for one in programs]
        rows.append((md(programs[0]["name"]), *(cell for pair in cells for cell in pair)))
    where = f"On {_machine(found)}, float32, batch {found['batch']}"
    return _table((where, *(cell for kind in kinds for cell in (kind, "Ratio"))), rows)


def full_size(folder: Path) -> str:
    """What ImageNet's number of files and the log of a whole training take."""
    found = _read(folder / "full_size.json")
    median, report = found["median"], f"Report on a training that kept all its {found['steps']:,} steps"
    rows = [
        (f"List {found['files']:,} files in their folders, for the first time", f"{median['first_s']:.1f} s", NONE),
        ("List them again", f"{median['again_s']:.1f} s", NONE),
        (report, f"{median['report_s']:.1f} s", f"{median['report_peak_mb']:.0f} MB"),
    ]
    return _table((f"On {_machine(found)}", "Time", "Memory"), rows)


def graphs(folder: Path) -> str:
    """The compiled training step: operators, transposes, operations and bytes, published and ours."""
    found = _read(folder / "operators.json")
    columns = [found["graphs"][name] for name in ("published", "cpu", "accelerator")]
    where = f"Training step, float32, batch {found['batch']}"
    rows = [
        ("Operators", *(f"{graph['operators']:,}" for graph in columns)),
        ("Transposes among them", *(f"{graph['transposes']:,}" for graph in columns)),
        ("Arithmetic", *(f"{graph['flops'] / 1e9:.1f} GFLOP" for graph in columns)),
        ("Read and written", *(f"{graph['bytes'] / 1e9:.1f} GB" for graph in columns)),
    ]
    return _table((where, "Published code", "Here, CPU", "Here, GPU and Ascend"), rows)


def step_time(folder: Path) -> str:
    """Where a training step's time goes: by kind of operator, beside the time that arithmetic and memory would take.

    The first at the rate at which the same processes multiply two matrices, the second at the rate of copies.
    """
    found, graph = _read(folder / "profile.json"), _read(folder.parent / "operators.json")
    step = found["ours"][0]["step"]
    product = max(turn["step"]["product_flops_per_s"] for name in ("ours", "fused") for turn in found[name])
    copied, uncapped = found["copied_bytes_per_s"], found["uncapped_product_flops_per_s"]
    work = {row: Counter[str]() for row in (*KINDS, REST, BETWEEN, ALL)}
    for name, counts in graph["graphs"]["cpu"]["by_name"].items():
        work[_kind(name)].update(counts)
        work[ALL].update(counts)
    took = [[_took_ms(turn) for turn in found[name]] for name in ("ours", "fused")]
    rows = [
        (
            *(row, _at_rate(work[row]["flops"], product, "GFLOP"), _at_rate(work[row]["bytes"], copied, "GB")),
            *(f"{statistics.median(turn[row] for turn in turns):.0f} ms" for turns in took),
        )
        for row in work
    ]
    without_cap = f"All, if oneDNN were not kept at AVX2: products at {uncapped / 1e9:.0f} GFLOP/s"
    rows.append((without_cap, _at_rate(work[ALL]["flops"], uncapped, "GFLOP"), NONE, NONE, NONE))
    where = f"Training step on {_machine(step)}, float32, batch {step['batch_size']}"
    rates = (f"Arithmetic, at {product / 1e9:.0f} GFLOP/s", f"Read and written, at {copied / 1e9:.0f} GB/s")
    return _table((where, *rates, "Here", "Fused kernels"), rows)


def _kind(operator: str) -> str:
    return next((kind for kind, names in KINDS.items() if operator in names), REST)


def _took_ms(turn: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of a profiled step, by row of the table of its time."""
    took = dict.fromkeys((*KINDS, REST), 0.0)
    for name, ms in turn["operators_ms"].items():
        took[_kind(name)] += ms
    whole = 1000 * turn["step"]["median_s"]
    return {**took, BETWEEN: whole - sum(took.values()), ALL: whole}


def _at_rate(amount: float, rate: float, unit: str) -> str:
    """How much there is to do, and how long that takes at this rate."""
    return f"{amount / 1e9:.1f} {unit}, {1000 * amount / rate:.0f} ms" if amount else NONE


def _seconds(found: dict[str, Any], name: str) -> tuple[str, ...]:
    """One of our programs beside those that took turns with it; a ratio is of the same round, in the median."""
    programs, own = {program["name"]: program for program in found["programs"]}, found["ours"]
    ours, limit = programs[name], own["median_s"] * own["share_of_product"]
    row = []
    for other in (programs["published"], programs["PyTorch"]):
        ratio = statistics.median(one / our for one, our in zip(other["times_s"], ours["times_s"], strict=True))
        row.append(f"{other['median_s']:.3f} s, {ratio:.2f} x ours")
    return (*row, f"{ours['median_s']:.3f} s, {100 * limit / ours['median_s']:.0f} % of the rate", f"{limit:.3f} s")


def _machine(measurement: dict[str, Any]) -> str:
    cpu = measurement["environment"]["cpu"]
    return f"{md(cpu_name('cpu', cpu))}, {cpu['cores']} cores"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(grid(header, rows)) + "\n"


TABLES: dict[str, Callable[[], str]] = {  # by the name between a page's markers
    **{f"speeds_{machine}": partial(speeds, KEPT / machine) for machine in MACHINES},
    "step_time": partial(step_time, KEPT / MACHINES[0]),
    "full_size": partial(full_size, KEPT / MACHINES[0]),
    "waiting": partial(waiting, KEPT / "waiting_input.json"),
    "graphs": partial(graphs, KEPT),
    "device": partial(device, KEPT / "device.json"),
    "speeds_stacks": partial(stacks, KEPT / "stacks.json"),
}

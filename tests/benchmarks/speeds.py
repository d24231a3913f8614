"""The README's tables of how fast it is and why, from the measurements kept in results/benchmarks.

python -m tests.benchmarks.speeds --update README.md
"""

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.markdown import grid, md, read_table, write_table
from repro.records.run_folder import cpu_name

KEPT = Path("results/benchmarks")
MACHINES = ("epyc_26", "xeon", "epyc")  # folders of KEPT; a table is "speeds_" and this
GRAPHS = "graphs"  # the name of that table
HEADER = ("On {cpu}, {cores} cores, float32, batch {batch}", "Published code", "PyTorch", "Here", "Limit")
NONE = "–"
TIME = "step_time"  # where a step's time goes: as the next one, of the first of MACHINES alone
FULL_SIZE = "full_size"
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
UNCAPPED = "All, if oneDNN were not kept at AVX2: products at {rate:.0f} GFLOP/s"


def table(folder: Path) -> str:
    """Forward, step, evaluation, input and start-up: published, PyTorch, ours, limit.

    The limit of arithmetic is the network's operations at the rate at which the same process multiplies two matrices;
    of an evaluation the forward pass alone; of input the decoding alone on as many cores.

    Raises:
        ReproError: a file that is missing or holds something else.
    """
    names = ("forward", "step", "evaluate", "input", "startup")
    forward, step, evaluate, images, startup = (_read(folder / f"{name}.json") for name in names)
    try:
        cpu, batch = step["ours"]["environment"]["cpu"], step["ours"]["batch_size"]
        named = md(cpu_name(str(folder / "step.json"), cpu))
        header = (HEADER[0].format(cpu=named, cores=cpu["cores"], batch=batch), *HEADER[1:])
        decoding = images["decoded_per_s_per_core"] * images["workers"]
        published = images["published_images_per_s"]
        rows = [
            _seconds("Training step", step, "ours"),
            _seconds("Training step, fused kernels", step, "fused"),
            _seconds("Forward pass", forward, "ours"),
            _seconds("Forward pass, fused kernels", forward, "fused"),
            (
                "Evaluation from files",
                NONE,
                NONE,
                f"{evaluate['images_per_s']:.1f} images/s",
                f"{evaluate['forward_images_per_s']:.1f} images/s",
            ),
            (
                "Input, full recipe",
                f"{published:.0f} images/s",
                NONE,
                f"{images['images_per_s']:.0f} images/s, {images['images_per_s_per_core']:.0f} a core, "
                f"{images['ratio']:.2f} x published",
                f"{decoding:.0f} images/s",
            ),
            (
                "First step of `make tiny`, from its start",
                NONE,
                NONE,
                f"{startup['median_s']['warm']:.1f} s, {startup['median_s']['cold']:.1f} s without kept graphs",
                NONE,
            ),
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ReproError(f"{folder}: a file of measurements lacks {error}; make them again") from None
    return "\n".join(grid(header, rows)) + "\n"


def full_size(folder: Path) -> str:
    """What ImageNet's number of files and the log of a whole training take.

    Raises:
        ReproError: as `table`.
    """
    path = folder / "full_size.json"
    found = _read(path)
    try:
        cpu, median, files, steps = found["environment"]["cpu"], found["median"], found["files"], found["steps"]
        header = (f"On {md(cpu_name(str(path), cpu))}, {cpu['cores']} cores", "Time", "Memory")
        rows = [
            (f"List {files:,} files in their folders, for the first time", f"{median['first_s']:.1f} s", NONE),
            ("List them again", f"{median['again_s']:.1f} s", NONE),
            (
                f"Report on a training that kept all its {steps:,} steps",
                f"{median['report_s']:.1f} s",
                f"{median['report_peak_mb']:.0f} MB",
            ),
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ReproError(f"{path}: lacks {error}; make it again: python -m tests.benchmarks.full_size") from None
    return "\n".join(grid(header, rows)) + "\n"


def graphs(folder: Path) -> str:
    """The compiled training step: operators, transposes, operations and bytes, published and ours.

    Raises:
        ReproError: as `table`.
    """
    path = folder / "operators.json"
    found = _read(path)
    try:
        columns = [found["graphs"][name] for name in ("published", "cpu", "accelerator")]
        header = (
            f"Training step, float32, batch {found['batch']}",
            "Published code",
            "Here, CPU",
            "Here, GPU and Ascend",
        )
        rows = [
            ("Operators", *(f"{graph['operators']:,}" for graph in columns)),
            ("Transposes among them", *(f"{graph['transposes']:,}" for graph in columns)),
            ("Arithmetic", *(f"{graph['flops'] / 1e9:.1f} GFLOP" for graph in columns)),
            ("Read and written", *(f"{graph['bytes'] / 1e9:.1f} GB" for graph in columns)),
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ReproError(f"{path}: lacks {error}; make it again: python -m tests.benchmarks.operators") from None
    return "\n".join(grid(header, rows)) + "\n"


def spent(folder: Path) -> str:
    """Where a training step's time goes: by kind of operator, beside the time that arithmetic and memory would take.

    The first at the rate at which the same processes multiply two matrices, the second at the rate of copies.

    Raises:
        ReproError: as `table`.
    """
    path, counted = folder / "profile.json", folder.parent / "operators.json"
    found, graph = _read(path), _read(counted)
    try:
        cpu, batch = found["ours"][0]["step"]["environment"]["cpu"], found["ours"][0]["step"]["batch_size"]
        product = max(turn["step"]["product_flops_per_s"] for name in ("ours", "fused") for turn in found[name])
        copied = found["copied_bytes_per_s"]
        if graph["batch"] != batch:
            raise ReproError(f"{path}: has a batch of {batch}, {counted} one of {graph['batch']}; make them again")
        header = (
            f"Training step on {md(cpu_name(str(path), cpu))}, {cpu['cores']} cores, float32, batch {batch}",
            f"Arithmetic, at {product / 1e9:.0f} GFLOP/s",
            f"Read and written, at {copied / 1e9:.0f} GB/s",
            "Here",
            "Fused kernels",
        )

        work = _work(graph["graphs"]["cpu"]["by_name"])
        took = [[_took_ms(turn) for turn in found[name]] for name in ("ours", "fused")]
        rows = [
            (
                row,
                _at_rate(work[row]["flops"], product, "GFLOP"),
                _at_rate(work[row]["bytes"], copied, "GB"),
                *(f"{statistics.median(turn[row] for turn in turns):.0f} ms" for turns in took),
            )
            for row in (*KINDS, REST, BETWEEN, ALL)
        ]
        uncapped = found["uncapped_product_flops_per_s"]
        at_that = _at_rate(work[ALL]["flops"], uncapped, "GFLOP")
        rows.append((UNCAPPED.format(rate=uncapped / 1e9), at_that, NONE, NONE, NONE))
    except (KeyError, TypeError, ValueError) as error:
        raise ReproError(f"{path} or {counted}: lacks {error}; make them again") from None
    return "\n".join(grid(header, rows)) + "\n"


def _kind(operator: str) -> str:
    return next((kind for kind, names in KINDS.items() if operator in names), REST)


def _work(by_name: dict[str, dict[str, int]]) -> dict[str, Counter[str]]:
    """Operations and bytes of a compiled step, by row of the table of its time."""
    work = {row: Counter[str]() for row in (*KINDS, REST, BETWEEN, ALL)}
    for name, counts in by_name.items():
        work[_kind(name)].update(counts)
        work[ALL].update(counts)
    return work


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


def _seconds(title: str, found: dict[str, Any], name: str) -> tuple[str, ...]:
    """The row of one of our programs that were measured by turns; a ratio is of the same round, in the median."""
    programs, own = {program["name"]: program for program in found["programs"]}, found["ours"]
    ours, limit = programs[name], own["median_s"] * own["share_of_product"]
    row = [title]
    for other in (programs["published"], programs["PyTorch"]):
        ratio = statistics.median(one / our for one, our in zip(other["times_s"], ours["times_s"], strict=True))
        row.append(f"{other['median_s']:.3f} s, {ratio:.2f} x ours")
    return (*row, f"{ours['median_s']:.3f} s, {100 * limit / ours['median_s']:.0f} % of the rate", f"{limit:.3f} s")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReproError(f"{path}: can't be read as JSON ({error})") from None
    if not isinstance(found, dict):
        raise ReproError(f"{path}: holds no measurement")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speeds", description=__doc__.splitlines()[0])
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument(
        "--update", metavar="FILE", type=Path, help="write the tables between their markers in this file"
    )
    options = parser.parse_args(argv)
    try:
        tables = {f"speeds_{machine}": table(options.kept / machine) for machine in MACHINES}
        first = options.kept / MACHINES[0]
        tables |= {TIME: spent(first), FULL_SIZE: full_size(first), GRAPHS: graphs(options.kept)}
        for name, found in tables.items():
            if options.update and read_table(options.update, name) != found:
                write_table(options.update, name, found)
    except ReproError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(*tables.values(), sep="\n", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

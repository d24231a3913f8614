"""What a training step is made of once MindSpore has compiled it: operators, operations, bytes.

    python -m tests.benchmarks.operators --published models/research/cv/hlg

Counts in the graph that MindSpore's frontend hands to a device, for the published code, for this one on a CPU, and for
this one with the primitives of GPU and Ascend, of which the graph is compiled here and nothing else is known. Writes
results/benchmarks/operators.json. Of the views and of what orders a graph nothing is counted; the bytes are those that
every operator reads and writes, as if none were fused with another. Minutes.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

KEPT = Path("results/benchmarks/operators.json")
BATCH = 8
# What becomes no kernel: order, tuples, other shapes of the same bytes, calls of other graphs.
PLUMBING = {"Depend", "Load", "UpdateState", "MakeTuple", "TupleGetItem", "Return", "Reshape", "ExpandDims", "Squeeze"}
CONVOLUTIONS = {  # where its result, or that one's gradient, and its weight, or that one's gradient, stand
    "Conv2D": ("output", "input 1"),
    "Conv2DBackpropInput": ("input 0", "input 1"),
    "Conv2DBackpropFilter": ("input 0", "output"),
}
ANOTHER_DEVICE = (
    "import sys; from hlg.bench.__main__ import main; from hlg.model import operators; "
    "operators._on_cpu = lambda: False; sys.exit(main())"
)

_NODE = re.compile(r"^  %\d+\([^)]*\) = (?:\w+::)?(?:Prim(?:itive)?Func_)?(?P<name>\w+)\(")
_TENSOR = re.compile(r"<(?:Ref\[)?Tensor\[(?P<type>\w+)\]\]?, \((?P<shape>[\d, ]*)\)")
_TUPLE = re.compile(r"<Tuple\[Tensor\[(?P<type>\w+)\][^>]*TupleShape\((?P<shapes>[^>]*)\)>")


@dataclass(frozen=True)
class Operator:
    """A node of the graph: the sizes of its tensors, in elements, and all their bytes."""

    name: str
    inputs: list[tuple[int, ...]]
    outputs: list[tuple[int, ...]]
    bytes: int


def operators(ir: str) -> Iterator[Operator]:
    """Those that a graph in MindSpore's text form has, with what they read and write."""
    lines = ir.splitlines()
    for line, signature in pairwise(lines):
        node = _NODE.match(line)
        if not node or node["name"] in PLUMBING or not signature.startswith("      : ("):
            continue
        read, written = signature.split(") -> (")
        (inputs, came), (outputs, went) = _tensors(read), _tensors(written)
        if outputs:
            yield Operator(node["name"], inputs, outputs, came + went)


def _tensors(text: str) -> tuple[list[tuple[int, ...]], int]:
    """Shapes, and bytes of all."""
    found = [(match["type"], match["shape"]) for match in _TENSOR.finditer(text)]
    for several in _TUPLE.finditer(text):
        found += [(several["type"], shape) for shape in re.findall(r"\(([\d, ]*)\)", several["shapes"])]
    shapes = [tuple(int(size) for size in shape.split(",") if size.strip()) for _, shape in found]
    return shapes, sum(_bytes(kind) * math.prod(shape) for (kind, _), shape in zip(found, shapes, strict=True))


def _bytes(kind: str) -> int:
    """Of an element: Float32, BFloat16, Bool."""
    return int(re.sub(r"\D", "", kind) or 8) // 8


def flops(operator: Operator) -> int:
    """Of products and convolutions, a multiplication and an addition as two; of all else none."""
    sizes = [math.prod(shape) for shape in (*operator.inputs[:2], operator.outputs[0])]
    if operator.name in ("MatMul", "MatMulExt"):
        (one, other, out) = sizes  # M K, K N, M N
        return 2 * math.isqrt(one * other * out)
    if operator.name in ("BatchMatMul", "BatchMatMulExt"):
        batch = math.prod(operator.outputs[0][:-2])
        (one, other, out) = (size // batch for size in sizes)
        return 2 * batch * math.isqrt(one * other * out)
    if operator.name in CONVOLUTIONS:
        tensors = {"input 0": operator.inputs[0], "input 1": operator.inputs[1], "output": operator.outputs[0]}
        result, weight = (tensors[which] for which in CONVOLUTIONS[operator.name])
        return 2 * math.prod(result) * math.prod(weight[1:])  # (B, out, H, W) and (out, in, k, k)
    return 0


def count(ir: str) -> dict[str, Any]:
    """Totals of a graph, and of the operators of each name."""
    by_name: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for operator in operators(ir):
        by_name[operator.name].update(operators=1, flops=flops(operator), bytes=operator.bytes)
    totals = sum(by_name.values(), Counter(operators=0, flops=0, bytes=0))
    return {
        **{key: totals[key] for key in ("operators", "flops", "bytes")},
        "transposes": sum(found["operators"] for name, found in by_name.items() if name.startswith("Transpose")),
        "by_name": dict(sorted(by_name.items(), key=lambda item: -item[1]["operators"])),
    }


def compiled(*command: str) -> str:
    """The graph of the frontend that this program compiles last of all; of several, the largest."""
    with tempfile.TemporaryDirectory() as folder:
        told = {"MS_DEV_SAVE_GRAPHS": "1", "MS_DEV_SAVE_GRAPHS_PATH": folder, "MS_DEV_DUMP_IR_PASSES": "validate"}
        subprocess.run([sys.executable, *command], check=True, env=os.environ | told, stdin=subprocess.DEVNULL)
        graphs = sorted(Path(folder).rglob("*validate*.ir"), key=lambda path: path.stat().st_size)
        return graphs[-1].read_text(encoding="utf-8")


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", required=True, type=Path)
    options = parser.parse_args()
    step = ("step", "--steps", "1", f"--batch_size={BATCH}", "--json", os.devnull)
    peer = ("tests/benchmarks/peers/published_hlg.py", "step", "--code", str(options.published), "--batch", str(BATCH))
    found = {
        "published": count(compiled(*peer)),
        "cpu": count(compiled("-m", "hlg.bench", *step)),
        "accelerator": count(compiled("-c", ANOTHER_DEVICE, *step)),
    }
    KEPT.write_text(json.dumps({"batch": BATCH, "graphs": found}, indent=1) + "\n", encoding="utf-8")
    for name, totals in found.items():
        print(name, {what: number for what, number in totals.items() if what != "by_name"})


if __name__ == "__main__":
    main()

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


def _flops(name: str, inputs: list[tuple[int, ...]], output: tuple[int, ...]) -> int:
    """Of products and convolutions, a multiplication and an addition as two; of all else none."""
    if name.removesuffix("Ext") in ("MatMul", "BatchMatMul"):
        batch = math.prod(output[:-2])  # 1 of a MatMul
        (one, other, out) = (math.prod(shape) // batch for shape in (*inputs[:2], output))  # M K, K N, M N
        return 2 * batch * math.isqrt(one * other * out)
    if name in CONVOLUTIONS:
        tensors = {"input 0": inputs[0], "input 1": inputs[1], "output": output}
        result, weight = (tensors[which] for which in CONVOLUTIONS[name])
        return 2 * math.prod(result) * math.prod(weight[1:])  # (B, out, H, W) and (out, in, k, k)
    return 0


def count(ir: str) -> dict[str, Any]:
    """Totals of a graph in MindSpore's text form, and of the operators of each name."""
    by_name: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line, signature in pairwise(ir.splitlines()):
        node = _NODE.match(line)
        if not node or node["name"] in PLUMBING or not signature.startswith("      : ("):
            continue
        (inputs, read), (outputs, written) = map(_tensors, signature.split(") -> ("))
        if outputs:
            flops = _flops(node["name"], inputs, outputs[0])
            by_name[node["name"]].update(operators=1, flops=flops, bytes=read + written)
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

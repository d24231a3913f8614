"""Give an ONNX graph that MindSpore wrote a free batch size, and the names ``images`` and ``logits``.

MindSpore writes the batch size into the graph: into the shapes of its input and output, the targets of its reshapes and
the counts of its tiles. Two graphs of one network, written for two batch sizes, differ in these numbers alone, and each
of these becomes free.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import onnx
from mindspore import Tensor, nn
from onnx import helper, numpy_helper

BATCH_SIZES = (2, 3)  # for which a network is written
INPUT, OUTPUT, BATCH = "images", "logits", "batch"


def write_onnx(network: nn.Cell, image_size: int, path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Write the network for any number of images; returns the names and the opset that a user of the file needs."""
    graphs = []
    for size in BATCH_SIZES:
        written = path.with_name(f"{path.stem}-{size}.onnx")
        images = Tensor(np.zeros((size, 3, image_size, image_size), np.float32))
        ms.export(network, images, file_name=str(written), file_format="ONNX")
        graphs.append(onnx.load(written))
    model = free_batch(*graphs)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return {"names": {"input": INPUT, "output": OUTPUT}, "opset": model.opset_import[0].version}


def free_batch(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """Merge the graphs of one network for the two batch sizes into one for any batch size.

    Raises:
        ValueError: they differ in more than a batch size; the node or tensor is named.
    """
    model = onnx.ModelProto()
    model.CopyFrom(first)
    graph = model.graph
    if [_without_constants(node) for node in graph.node] != [_without_constants(node) for node in second.graph.node]:
        raise ValueError("its nodes depend on the batch size")
    readers = {(node.op_type, name) for node in graph.node for name in node.input[1:2]}
    counts: list[str] = []
    for (name, tensor), (_, other) in zip(_constants(graph), _constants(second.graph), strict=True):
        if np.array_equal(numpy_helper.to_array(tensor), numpy_helper.to_array(other)):
            continue
        if ("Tile", name) in readers and _is_count(tensor) and _is_count(other):
            counts.append(name)
        elif ("Reshape", name) in readers:
            tensor.CopyFrom(numpy_helper.from_array(_free_dimension(name, tensor, other), tensor.name))
        else:
            raise ValueError(f"{name} depends on the batch size")
    for values, name in ((graph.input, INPUT), (graph.output, OUTPUT)):
        (value,) = values
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
        _rename(graph, value.name, name)
    for name in counts:
        _count_images(graph, name)
    del graph.value_info[:]  # shapes in between, with the batch size in them
    onnx.checker.check_model(model, full_check=True)
    return model


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Each constant tensor of the graph, by the name under which nodes read it."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant":
            yield node.output[0], node.attribute[0].t


def _without_constants(node: onnx.NodeProto) -> tuple[object, ...]:
    attributes = [] if node.op_type == "Constant" else [a.SerializeToString() for a in node.attribute]
    return (node.op_type, *node.input, *node.output, *attributes)


def _free_dimension(name: str, first: onnx.TensorProto, second: onnx.TensorProto) -> np.ndarray:
    """The target of a reshape, -1 where it grows with the batch size."""
    a, b = numpy_helper.to_array(first).copy(), numpy_helper.to_array(second)
    small, large = BATCH_SIZES
    differing = np.flatnonzero(a != b)
    if len(differing) != 1 or (a < 0).any() or a[differing[0]] * large != b[differing[0]] * small:
        raise ValueError(f"{name} reshapes to {a.tolist()} and {b.tolist()} for batches of {small} and {large}")
    a[differing[0]] = -1
    return a


def _is_count(tensor: onnx.TensorProto) -> bool:
    """Whether a tile repeats along the first axis alone, once for each image."""
    count, *others = numpy_helper.to_array(tensor).tolist()
    return count in BATCH_SIZES and set(others) == {1}


def _count_images(graph: onnx.GraphProto, name: str) -> None:
    """Compute the constant (B, 1, ..., 1) from the number of images."""
    (constant,) = (node for node in graph.node if node.output[0] == name)
    ones = numpy_helper.to_array(constant.attribute[0].t)[1:]
    graph.node.remove(constant)
    new = [
        helper.make_node("Constant", [], [f"{name}:ones"], value=numpy_helper.from_array(ones)),
        helper.make_node("Constant", [], [f"{name}:first"], value=numpy_helper.from_array(np.zeros(1, np.int64))),
        helper.make_node("Shape", [INPUT], [f"{name}:shape"]),
        helper.make_node("Gather", [f"{name}:shape", f"{name}:first"], [f"{name}:batch"]),
        helper.make_node("Concat", [f"{name}:batch", f"{name}:ones"], [name], axis=0),
    ]
    for node in reversed(new):
        graph.node.insert(0, node)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new

"""The operations of the network against those in the compiled graph of the published code."""

import json

from hlg.model.flops import step_flops
from tests.benchmarks.operators import KEPT, count
from tests.support import ROOT


def test_a_step_takes_as_many_operations_as_the_compiled_step_of_the_published_code() -> None:
    """That lacks the gradient of the images, which nobody asks for: of the first convolution, 112 x 112."""
    kept = json.loads((ROOT / KEPT).read_text())
    images = 2 * 9 * 3 * 32 * 112 * 112
    assert kept["graphs"]["published"]["flops"] == kept["batch"] * (step_flops() - images)


def test_operators_operations_and_bytes_are_counted_in_a_graph() -> None:
    graph = """subgraph @back() {
  %1(CNode_1) = PrimFunc_MatMul(%a, %b, Bool(0), Bool(1)) {instance name: back}
      : (<Tensor[Float32], (6, 4)>, <Ref[Tensor[Float32]], (5, 4), ref_key=w>) -> (<Tensor[Float32], (6, 5)>)
  %2(CNode_2) = PrimFunc_Reshape(%1, (I64(30)))
      : (<Tensor[Float32], (6, 5)>, <Tuple[Int64], TupleShape(NoShape)>) -> (<Tensor[Float32], (30)>)
  %3(x) = Conv2D(%c, %d) {instance name: conv2d}
      : (<Tensor[Float16], (2, 3, 8, 8)>, <Tensor[Float16], (4, 3, 3, 3)>) -> (<Tensor[Float16], (2, 4, 8, 8)>)
  %4(y) = PrimFunc_Transpose(%3, (I64(0), I64(2), I64(3), I64(1)))
      : (<Tensor[Float16], (2, 4, 8, 8)>, <Tuple[Int64*4], TupleShape(NoShape)>) -> (<Tensor[Float16], (2, 8, 8, 4)>)
"""
    found = count(graph)
    assert found["by_name"]["MatMul"] == {"operators": 1, "flops": 2 * 6 * 5 * 4, "bytes": 4 * (24 + 20 + 30)}
    assert list(found["by_name"]) == ["MatMul", "Conv2D", "Transpose"]
    assert (found["operators"], found["transposes"]) == (3, 1)
    assert found["flops"] == 2 * 6 * 5 * 4 + 2 * (2 * 4 * 8 * 8) * (3 * 3 * 3)
    assert found["bytes"] == 4 * (24 + 20 + 30) + 2 * (384 + 108 + 512) + 2 * (512 + 512)

"""Operations counted by hand for small networks, and in compiled graphs."""

import json

from hlg.model.flops import forward_flops, step_flops
from hlg.model.network import LOCAL, StageConfig
from tests.benchmarks.operators import KEPT, count
from tests.support import ROOT

STEM = 2 * 9 * 56 * 56 * (3 * 32 + 32 * 32)  # two 3x3 convolutions on 56 x 56 of an image of 112 pixels


def test_a_stage_of_attention_over_all_tokens() -> None:
    stage = StageConfig(dim=8, heads=2, mlp_ratio=4, blocks=(None,))
    embed = 2 * 9 * 32 * 8 * 28 * 28
    tokens = 28 * 28
    projections = 4 * 2 * tokens * 8 * 8
    attention = 2 * 2 * tokens * tokens * 8
    mlp = 2 * 2 * tokens * 8 * 32
    head = 2 * 8 * 10
    assert forward_flops(10, 112, (stage,)) == STEM + embed + projections + attention + mlp + head


def test_windows_attend_within_themselves_and_all_tokens_to_the_means_of_windows() -> None:
    plain = StageConfig(dim=8, heads=2, mlp_ratio=4, blocks=())
    grouped = StageConfig(dim=8, heads=2, mlp_ratio=4, blocks=(LOCAL,))
    tokens, windows, K, C = 28 * 28, 16, 49, 8
    smooth = 2 * tokens * (8 * 2 + 9 * 2 * 2 + 2 * 8)
    local = 4 * 2 * tokens * C * C + windows * 2 * 2 * K * K * C
    overall = 2 * C * C * (2 * tokens + 2 * windows) + 2 * 2 * tokens * windows * C
    mlp = 2 * 2 * tokens * C * 4 * C
    assert forward_flops(10, 112, (grouped,)) - forward_flops(10, 112, (plain,)) == smooth + local + overall + mlp


def test_the_published_network_takes_two_billion_operations_an_image_and_three_times_as_many_to_train() -> None:
    assert 1.9e9 < forward_flops() < 2.1e9
    assert step_flops() == 3 * forward_flops()


def test_the_compiled_step_of_the_published_code_has_as_many() -> None:
    """But for the gradient of the images, which nobody asks for: that of the first convolution, 112 x 112."""
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

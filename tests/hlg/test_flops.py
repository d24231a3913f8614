"""Operations counted by hand for small networks."""

from hlg.flops import forward_flops, step_flops
from hlg.model import LOCAL, StageConfig

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

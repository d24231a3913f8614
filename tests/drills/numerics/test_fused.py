"""Fused kernels on the full-width network; ``make test`` has them on the narrow one."""

from pathlib import Path

from tests.hlg.runtime.test_fused_kernels import PROGRAM, assert_close, gradients


def test_loss_and_gradients_of_the_whole_network_are_those_of_mindspores_own_kernels(tmp_path: Path) -> None:
    fused = gradients(tmp_path / "fused.npz", "--graph_kernel=1", program=(PROGRAM,))
    assert_close(fused, gradients(tmp_path / "own.npz", program=(PROGRAM,)))

"""The whole network as ONNX; the tests of the export have a narrow one."""

from pathlib import Path

import numpy as np

from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.inference import onnx_graph
from hlg.model.network import HLG
from tests.support.onnx_files import assert_same_logits


def test_the_whole_network_is_written_as_onnx_and_gives_its_logits(graph_mode: None, tmp_path: Path) -> None:
    network = HLG(1001, 224)
    set_synthetic_weights(network)
    onnx_graph.write_onnx(network, 224, tmp_path / "hlg.onnx", {})
    images = np.random.default_rng(0).standard_normal((3, 3, 224, 224)).astype(np.float32)
    assert_same_logits(tmp_path / "hlg.onnx", network, images)

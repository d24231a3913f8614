"""The whole network as ONNX; the tests of the export have a narrow one."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from mindspore import Tensor

from hlg.fingerprint.synthetic_weights import set_synthetic_weights
from hlg.inference import onnx_graph
from hlg.model.network import HLG


def test_the_whole_network_is_written_as_onnx_and_gives_its_logits(graph_mode: None, tmp_path: Path) -> None:
    network, file = HLG(1001, 224), tmp_path / "hlg.onnx"
    set_synthetic_weights(network)
    onnx_graph.write_onnx(network, 224, file, {})
    onnx.checker.check_model(file, full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).standard_normal((3, 3, 224, 224)).astype(np.float32)
    expected = network(Tensor(images)).asnumpy()
    for count in (1, len(images)):
        (found,) = session.run(["logits"], {"images": images[:count]})
        np.testing.assert_allclose(found, expected[:count], rtol=1e-4, atol=1e-4)

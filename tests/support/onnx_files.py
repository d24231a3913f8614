"""ONNX files, as onnx and onnxruntime see them."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from mindspore import Tensor, nn


def assert_same_logits(path: Path, network: nn.Cell, images: np.ndarray) -> None:
    """The file is valid and gives the network's logits, of these images (B, 3, S, S) and of the first alone."""
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = network(Tensor(images)).asnumpy()
    for count in (1, len(images)):
        (found,) = session.run(["logits"], {"images": images[:count]})
        np.testing.assert_allclose(found, expected[:count], rtol=1e-4, atol=1e-4)

"""Run an exported file on images, in a process of its own: see hlg.export.

python -m hlg.run_exported FILE INPUTS.npy OUTPUTS.npy DEVICE_TARGET CLASS_NUM AMP_LEVEL
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hlg.signals import run_main

Run = Callable[[np.ndarray], np.ndarray]  # float32 (B, 3, S, S) -> logits (B, class_num)


def _mindir_runner(path: str, device_target: str) -> Run:
    import mindspore as ms  # here, because an ONNX file needs none
    from mindspore import nn

    ms.set_device(device_target)
    ms.set_context(mode=ms.GRAPH_MODE)
    network = nn.GraphCell(ms.load(path))
    return lambda images: network(ms.Tensor(images)).asnumpy()


def _onnx_runner(path: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def _safetensors_runner(path: str, device_target: str, class_num: int, image_size: int, amp_level: str) -> Run:
    import mindspore as ms

    from hlg.checkpoint.weights import load_weights
    from hlg.model.network import build_network

    ms.set_device(device_target)
    ms.set_context(mode=ms.GRAPH_MODE)
    network = build_network(class_num, image_size, amp_level)
    network.set_train(False)
    load_weights(path, network)
    return lambda images: network(ms.Tensor(images)).asnumpy()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    path, inputs, outputs, device_target, class_num, amp_level = sys.argv[1:] if argv is None else argv
    batches = np.load(inputs)  # (n, B, 3, S, S)
    suffix = Path(path).suffix
    if suffix == ".onnx":
        run = _onnx_runner(path)
    elif suffix == ".mindir":
        run = _mindir_runner(path, device_target)
    else:
        run = _safetensors_runner(path, device_target, int(class_num), batches.shape[-1], amp_level)
    np.save(outputs, np.stack([run(batch) for batch in batches]))
    return 0


if __name__ == "__main__":
    run_main(main)

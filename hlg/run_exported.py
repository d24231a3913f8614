"""Runs an exported file on images, in a process that knows nothing else of the network: see hlg.export.

python -m hlg.run_exported FILE INPUTS.npy OUTPUTS.npy DEVICE_TARGET CLASS_NUM AMP_LEVEL
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]  # float32 (B, 3, S, S) -> logits (B, class_num)


def of_mindir(path: str, device_target: str) -> Run:
    import mindspore as ms  # here, for a file of ONNX is run where there is none
    from mindspore import nn

    ms.set_device(device_target)
    ms.set_context(mode=ms.GRAPH_MODE)
    network = nn.GraphCell(ms.load(path))
    return lambda images: network(ms.Tensor(images)).asnumpy()


def of_onnx(path: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def of_safetensors(path: str, device_target: str, class_num: int, image_size: int, amp_level: str) -> Run:
    import mindspore as ms

    from hlg.checkpoint.weights import load_weights
    from hlg.model.network import build_network

    ms.set_device(device_target)
    ms.set_context(mode=ms.GRAPH_MODE)
    network = build_network(class_num, image_size, amp_level)
    network.set_train(False)
    load_weights(path, network)
    return lambda images: network(ms.Tensor(images)).asnumpy()


def main(argv: list[str]) -> int:
    path, inputs, outputs, device_target, class_num, amp_level = argv
    batches = np.load(inputs)  # (n, B, 3, S, S)
    suffix = Path(path).suffix
    if suffix == ".onnx":
        run = of_onnx(path)
    elif suffix == ".mindir":
        run = of_mindir(path, device_target)
    else:
        run = of_safetensors(path, device_target, int(class_num), batches.shape[-1], amp_level)
    np.save(outputs, np.stack([run(batch) for batch in batches]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

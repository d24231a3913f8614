"""Predict the classes of single images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from hlg.checkpoint.weights import load_weights
from hlg.config import Config
from hlg.data.class_names import class_names, read_class_names
from hlg.data.index import ImageIndex, scan
from hlg.data.loader import NEEDED
from hlg.errors import UserError
from hlg.model.network import HLG, build_network
from hlg.model.normalize import Normalize
from hlg.runtime import device
from hlg.training.build import build_eval_loader
from hlg.training.confusion import class_title

TOP = 5


class Probabilities(nn.Cell):
    """Compute class probabilities: uint8 (B, S, S, 3) -> float32 (B, class_num), each row adding up to 1."""

    def __init__(self, network: HLG) -> None:
        super().__init__(auto_prefix=False)
        self.normalize = Normalize()
        self.network = network
        self.softmax = nn.Softmax()

    def construct(self, images: Tensor) -> Tensor:
        return self.softmax(self.network(self.normalize(images)).astype(ms.float32))


def predict(config: Config, images: Sequence[str], path: Path) -> None:
    """Print each image's name and, below it, its top-5 classes with their probabilities in percent.

    Raises:
        UserError: an image that can't be read, or a checkpoint at ``path`` that does not fit.
    """
    classes, names = read_label_names(config)
    device.start(config)
    network = build_network(config.class_num, config.eval_image_size, config.amp_level)
    print(load_weights(path, network))
    step = Probabilities(network)
    step.set_train(False)
    files = [str(Path(image).absolute()) for image in images]
    config = replace(config, eval_batch_size=min(len(files), config.eval_batch_size), on_unreadable=NEEDED)
    loader = build_eval_loader(config, ImageIndex(Path("/"), (), tuple(files), np.zeros(len(files), np.int32), ()))
    left = iter(images)
    for batch in loader:
        for probabilities in step(Tensor(batch.images)).asnumpy()[batch.indices >= 0]:
            print(next(left))
            for label in np.argsort(-probabilities, kind="stable")[:TOP]:
                folder = class_title(classes, int(label))
                print(f"  {100 * probabilities[label]:6.2f} %  {folder}  {names.get(folder, '')}".rstrip())


def read_label_names(config: Config) -> tuple[tuple[str, ...], dict[str, str]]:
    """Find the class folders in label order, and the names of those that have one.

    Raises:
        UserError: there are more names than the network has outputs.
    """
    if Path(config.eval_path or " ").is_dir():
        index = scan(config.eval_path, config.class_num)
        return index.classes, class_names(config.class_names, index.root)
    names = read_class_names(Path(config.class_names)) if config.class_names else {}
    if len(names) > config.class_num:
        raise UserError(
            f"class_names: {config.class_names} names {len(names):,} classes, and the network has {config.class_num:,} "
            "outputs: give eval_path too, whose folders say which are meant"
        )
    return tuple(sorted(names)), names

"""The five likeliest classes of images.

python -m hlg.predict cat.jpg dog.jpg --pretrained hlg_mobile.ckpt --config_path configs/hlg_mobile.yml

The images come first, then keys. What the classes are called is read beside ``eval_path``, or from ``class_names``.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from hlg import cli
from hlg.checkpoint import store
from hlg.checkpoint.weights import load_weights
from hlg.config import Config
from hlg.data.class_names import class_names, read_names
from hlg.data.index import ImageIndex, scan
from hlg.data.loader import EvalLoader
from hlg.errors import UserError
from hlg.model.network import HLG, build_network
from hlg.model.normalize import Normalize
from hlg.runtime import device
from hlg.training.confusion import title

LIKELIEST = 5


class Probabilities(nn.Cell):
    """uint8 (B, S, S, 3) -> float32 (B, class_num), of which each row adds up to 1."""

    def __init__(self, network: HLG) -> None:
        super().__init__(auto_prefix=False)
        self.normalize = Normalize()
        self.network = network
        self.softmax = nn.Softmax()

    def construct(self, images: Tensor) -> Tensor:
        return self.softmax(self.network(self.normalize(images)).astype(ms.float32))


def predict(config: Config, images: Sequence[str]) -> None:
    """Print a line an image and, below it, its likeliest classes with their probabilities in percent.

    Raises:
        UserError: no image, or one that can't be read; no checkpoint, or one that does not fit.
    """
    if not images:
        raise UserError("found no image; files come before keys: python -m hlg.predict cat.jpg --pretrained ...")
    path = store.find_checkpoint(config.pretrained)
    classes, names = _classes(config)
    device.start(config)
    network = build_network(config.class_num, config.eval_image_size, config.amp_level)
    print(load_weights(path, network))
    step = Probabilities(network)
    step.set_train(False)
    files = [str(Path(image).absolute()) for image in images]
    loader = EvalLoader(
        ImageIndex(Path("/"), (), tuple(files), np.zeros(len(files), np.int32), ()),
        image_size=config.eval_image_size,
        batch_size=min(len(files), config.eval_batch_size),
        workers=config.eval_num_workers,
    )
    left = iter(images)
    for batch in loader:
        for probabilities in step(Tensor(batch.images)).asnumpy()[batch.indices >= 0]:
            print(next(left))
            for label in np.argsort(-probabilities, kind="stable")[:LIKELIEST]:
                folder = title(classes, int(label))
                print(f"  {100 * probabilities[label]:6.2f} %  {folder}  {names.get(folder, '')}".rstrip())


def _classes(config: Config) -> tuple[tuple[str, ...], dict[str, str]]:
    """The class folders in the order of the labels, and the names of those that have one."""
    if Path(config.eval_path or " ").is_dir():
        index = scan(config.eval_path, config.class_num)
        return index.classes, class_names(config.class_names, index.root)
    names = read_names(Path(config.class_names)) if config.class_names else {}
    if len(names) > config.class_num:
        raise UserError(
            f"class_names: {config.class_names} names {len(names):,} classes, and the network has {config.class_num:,} "
            "outputs: give eval_path too, whose folders say which are meant"
        )
    return tuple(sorted(names)), names


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    images = list(takewhile(lambda word: not word.startswith("-"), words))
    return cli.run_program(lambda config, _: predict(config, images), words[len(images) :], need=())


if __name__ == "__main__":
    sys.exit(main())

"""Predict the classes of single images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from hlg.checkpoint.weights import load_weights
from hlg.config import Config
from hlg.console import printable, say
from hlg.data.class_names import ClassList, find_class_list
from hlg.data.classes import IMAGENET_OUTPUTS, OutputClasses, agree
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
        UserError: an image that can't be read, or a checkpoint at ``path`` that does not fit, or not the class names.
    """
    device.start(config)
    network = build_network(config.class_num, config.eval_image_size, config.amp_level)
    loaded = load_weights(path, network)
    say(loaded)
    classes, names, note = name_outputs(config, loaded.classes)
    if note:
        say(note)
    step = Probabilities(network)
    step.set_train(False)
    files = [str(Path(image).absolute()) for image in images]
    config = replace(config, eval_batch_size=min(len(files), config.eval_batch_size), on_unreadable=NEEDED)
    loader = build_eval_loader(config, ImageIndex(Path("/"), (), tuple(files), np.zeros(len(files), np.int32), ()))
    left = iter(images)
    for batch in loader:
        for probabilities in step(Tensor(batch.images)).asnumpy()[batch.indices >= 0]:
            say(printable(next(left)))
            for label in np.argsort(-probabilities, kind="stable")[:TOP]:
                folder = class_title(classes, int(label))
                said = printable(f"{folder}  {names.get(folder, '')}".rstrip())
                say(f"  {100 * probabilities[label]:6.2f} %  {said}")


def name_outputs(config: Config, outputs: OutputClasses) -> tuple[tuple[str, ...], dict[str, str], str]:
    """Find the class folder of each output, the names of those that have one, and what to tell the user about them.

    The checkpoint knows the folders; ``eval_path``, or else the list ``class_names``, says them where it does not.

    Raises:
        UserError: the folders of ``eval_path`` or the list are not those of the checkpoint.
    """
    index = scan(config.eval_path, config.class_num) if Path(config.eval_path or " ").is_dir() else None
    listed = find_class_list(config.class_names, index.root if index else None)
    outputs = outputs.listed(listed.folders or ())
    if index:
        classes, _, note = agree(index.classes, index.root, outputs, config.class_map)
    elif outputs.folders is not None:
        classes, note = outputs.folders, ""
    elif not listed.names:
        classes, note = (), f"warning: {outputs.source} names no classes; give them with eval_path or class_names"
    else:
        classes = _in_label_order(config, listed)
        if listed.folders is None and len(classes) == IMAGENET_OUTPUTS[0]:
            outputs = replace(outputs, told=None)  # names without folders can't be compared
        classes, _, note = agree(classes, config.class_names, outputs, config.class_map)
    return classes, listed.names_of(classes), note


def _in_label_order(config: Config, listed: ClassList) -> tuple[str, ...]:
    """Return the class folders of a list that alone says what the outputs mean."""
    if len(listed.names) > config.class_num:
        raise UserError(
            f"class_names: {config.class_names} names {len(listed.names):,} classes, and the network has "
            f"{config.class_num:,} outputs: give eval_path too, whose folders say which are meant"
        )
    if listed.folders is None:
        return tuple(f"output {label}" for label in range(len(listed.names)))
    if list(listed.folders) != sorted(listed.folders):
        raise UserError(
            f"class_names: {config.class_names} does not have its classes in the order of labels, that of their "
            "folders' names: give eval_path too"
        )
    return listed.folders

"""Predict the classes of images: ``python -m hlg.predict cat.jpg dog.jpg --pretrained hlg_mobile.ckpt``.

The images come first, then keys. The checkpoint knows its class folders; what they are called is read beside
``eval_path``, or from ``class_names``.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile

from hlg import cli
from hlg.checkpoint.locate import find_checkpoint
from hlg.config import Config
from hlg.errors import UserError
from hlg.runtime.engine import check_start
from hlg.signals import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    images = list(takewhile(lambda word: not word.startswith("-"), words))

    def work(config: Config, *_: object) -> None:
        if not images:
            raise UserError("found no image; files come before keys: python -m hlg.predict cat.jpg --pretrained ...")
        path = find_checkpoint(config.pretrained)
        check_start(config)
        from hlg.inference.predict import predict  # here, because MindSpore takes seconds to import

        predict(config, images, path)

    return cli.run_program(work, words[len(images) :], unread=("dataset_path", "eval_path"))


if __name__ == "__main__":
    run_main(main)

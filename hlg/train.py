"""Train HLG-Mobile: ``python -m hlg.train --config_path configs/tiny.yml --seed 2``.

Several ranks: ``python -m hlg.launch --ranks 8 hlg.train ...``; every one of them runs this program.
"""

from collections.abc import Sequence

from hlg import cli
from hlg.checkpoint.locate import find_checkpoint
from hlg.config import Config
from hlg.errors import UserError
from hlg.runtime.engine import check_start
from hlg.runtime.memory import check_training_memory
from hlg.signals import StopRequest, before_first_step, run_main


def _work(config: Config, stem: str, stop: StopRequest) -> None:
    if config.eval_image_size != config.train_image_size:
        raise UserError(
            f"eval_image_size: found {config.eval_image_size}, but the network is built for train_image_size "
            f"{config.train_image_size} (its position embeddings have that size): set both alike"
        )
    if not config.resume and config.pretrained:
        find_checkpoint(config.pretrained)
    check_start(config)
    check_training_memory(config)
    stop.ending = before_first_step
    from hlg.training.run import run_training  # here, because MindSpore takes seconds to import

    run_training(config, stem, stop)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    return cli.run_program(_work, argv, need=("dataset_path", "eval_path"))


if __name__ == "__main__":
    run_main(main)

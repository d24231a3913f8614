"""Evaluate a checkpoint: ``python -m hlg.eval --config_path configs/tiny.yml --pretrained results/runs/latest_tiny``.

Several ranks: ``python -m hlg.launch --ranks 8 hlg.eval ...``; the counts are summed exactly.
"""

from collections.abc import Sequence

from hlg import cli
from hlg.checkpoint.locate import find_checkpoint
from hlg.config import Config
from hlg.runtime.engine import check_start
from hlg.signals import run_main


def _work(config: Config, stem: str, *_: object) -> None:
    path = find_checkpoint(config.pretrained)
    check_start(config)
    from hlg.inference.evaluate_checkpoint import evaluate_checkpoint  # here, because MindSpore takes seconds to import

    evaluate_checkpoint(config, stem, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    return cli.run_program(_work, argv, need=("eval_path",), unread=("dataset_path",))


if __name__ == "__main__":
    run_main(main)

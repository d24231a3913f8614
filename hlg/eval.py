"""Evaluate a checkpoint.

python -m hlg.eval --config_path configs/tiny.yml --pretrained results/runs/latest_tiny
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict

from hlg import checkpoint, cli, device
from hlg.config import Config, dump
from hlg.data.index import facts, scan
from hlg.data.loader import EvalLoader
from hlg.evaluate import compile_ranks, evaluate
from hlg.layers import parameter_count
from hlg.record import RunFolder, environment, eval_line
from hlg.step import RankStep, build_network


def evaluate_checkpoint(config: Config, stem: str) -> None:
    """Score ``config.pretrained`` on ``config.eval_path`` and keep a run folder."""
    path = checkpoint.find(config.pretrained)
    on = device.start(config)
    index = scan(config.eval_path, config.class_num)
    network = build_network(config.class_num, config.eval_image_size, config.amp_level)
    loaded = checkpoint.load_weights(path, network)
    print(*index.warnings, loaded, sep="\n")

    ranks = RankStep(network)
    loader = EvalLoader(
        index,
        image_size=config.eval_image_size,
        batch_size=config.eval_batch_size,
        workers=config.eval_num_workers,
        on_unreadable=config.on_unreadable,
    )
    with RunFolder.create(config.save_checkpoint_path, "eval", stem, on.target, on.count) as run:
        run.write("config.yml", dump(config))
        run.write(
            "env.json",
            environment(
                on.facts(),
                kind=run.kind,
                seed=config.seed,
                parameters=parameter_count(network),
                dataset={"eval": facts(index)},
                checkpoint=asdict(loaded),
            ),
        )
        run.event("compile", compile_time_s=compile_ranks(ranks, config.eval_image_size, config.eval_batch_size))
        result = evaluate(ranks, loader)
        scores = {
            "top1_pct": result.top1_pct,
            "top5_pct": result.top5_pct,
            "images": result.images,
            "skipped_images": len(loader.skipped),
        }
        run.event("eval", **scores, **result.times())
        run.write("eval.json", {**scores, "correct_top1": result.correct_top1, "correct_top5": result.correct_top5})
        print(run.log(eval_line(result.accuracy, result.total_time_s / result.steps, result.total_time_s), False))
    for name in loader.skipped:
        print(f"skipped, unreadable: {name}")
    print(f"{result.correct_top1} of {result.images} images right, top-5 {result.top5_pct:.2f} %: {run.path}")


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    return cli.run(evaluate_checkpoint, argv, need=("eval_path",))


if __name__ == "__main__":
    sys.exit(main())

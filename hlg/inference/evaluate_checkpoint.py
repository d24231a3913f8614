"""Evaluate a checkpoint on a data set and keep the scores, those of each class too, in a run folder."""

from pathlib import Path

from hlg.checkpoint.weights import load_weights
from hlg.config import Config, dump
from hlg.console import printable, say
from hlg.data.class_names import find_class_list
from hlg.data.classes import label_images
from hlg.data.hashes import split_facts
from hlg.data.index import scan
from hlg.model.layers import parameter_count
from hlg.model.network import build_network
from hlg.record.environment import environment_facts
from hlg.record.run_folder import NoFolder, RunFolder, eval_line
from hlg.runtime import collective, device, graph_cache
from hlg.runtime.watchdog import Watchdog
from hlg.training.build import build_eval_loader
from hlg.training.confusion import Confusion
from hlg.training.evaluate import compile_eval_step, evaluate
from hlg.training.step import EvalStep

SHOWN = 5  # of the most confused pairs


def evaluate_checkpoint(config: Config, stem: str, path: Path) -> None:
    """Score the checkpoint at ``path`` on ``config.eval_path`` and keep a run folder; ``stem`` names the recipe."""
    on = device.start(config)
    who = f"rank {on.rank}" if on.count > 1 else "the evaluation"
    with Watchdog(config.stall_timeout, who) as watchdog, collective.detect_lost_ranks(on.rank, on.count):
        watchdog.expect(f"the list of images, {config.eval_path}")
        index = scan(config.eval_path, config.class_num)
        dataset = {"eval": split_facts(index)}
        listed = find_class_list(config.class_names, index.root)
        network = build_network(config.class_num, config.eval_image_size, config.amp_level)
        loaded = load_weights(path, network)
        index, agreed = label_images(index, loaded.classes.listed(listed.folders or ()), config.class_map)
        names = listed.names_of(index.classes)
        step = EvalStep(network)
        loader = build_eval_loader(config, index, on.shard)

        create = RunFolder.create if on.rank == 0 else NoFolder.instead
        with create(config.save_checkpoint_path, "eval", stem, on.target, on.count) as run:
            run.write("config.yml", dump(config))
            kept = environment_facts(
                on.facts(),
                kind=run.kind,
                recipe=stem,
                seed=config.seed,
                parameters=parameter_count(network),
                dataset=dataset,
                classes=list(index.classes),
                checkpoint=loaded.facts(),
            )
            run.write("env.json", run.with_patch(kept))
            watchdog.expect("the compilation of the graph")
            with graph_cache.cached_compilation(config, on, network.get_parameters()) as use:
                compile_time_s = compile_eval_step(step, config.eval_image_size, config.eval_batch_size)
            run.event("compile", compile_time_s=compile_time_s, from_cache=use.from_cache)
            confusion = Confusion(index.classes, config.class_num)
            result = evaluate(step, loader, lambda: watchdog.expect("a step, or another rank"), on.count, confusion)
            each = confusion.facts(names)
            skipped = collective.union(loader.skipped, index.files, on.count)
            scores = {
                "top1_pct": result.top1_pct,
                "top5_pct": result.top5_pct,
                "images": result.images,
                "skipped_images": len(skipped),
            }
            run.event("eval", **scores, **result.times())
            counts = {"correct_top1": result.correct_top1, "correct_top5": result.correct_top5}
            run.write("eval.json", {**scores, **counts, "classes_compared": agreed.how, **each})
            line = run.log(eval_line(result.accuracy, result.total_time_s / result.steps, result.total_time_s), False)
    if on.rank == 0:
        say(*map(printable, index.warnings), *filter(None, [agreed.note]), loaded, line)
        for name in skipped:
            say(f"skipped, unreadable: {printable(name)}")
        for pair in each["confused"][:SHOWN]:
            shown = (f"{folder} {names.get(folder, '')}".rstrip() for folder in (pair["class"], pair["taken_for"]))
            say(f"{' mistaken for '.join(map(printable, shown))}: {pair['images']} images")
        say(f"{result.correct_top1} of {result.images} images right, top-5 {result.top5_pct:.2f} %: {run.path}")

"""Train HLG-Mobile: ``python -m hlg.train --config_path configs/tiny.yml --seed 2``."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from contextlib import closing

import mindspore as ms
import numpy as np
from mindspore import Tensor
from tqdm import tqdm

from hlg import checkpoint, cli, device
from hlg.config import Config, dump
from hlg.data.index import ImageIndex, facts, scan
from hlg.data.loader import Batch, EvalLoader, TrainLoader, mixup_draw
from hlg.errors import UserError
from hlg.evaluate import compile_ranks, evaluate
from hlg.journal import Journal
from hlg.layers import parameter_count
from hlg.loss import build_loss
from hlg.optimizer import AdamW
from hlg.record import RunFolder, environment, link_latest
from hlg.schedule import learning_rates
from hlg.step import RankStep, TrainStep, build_network, draw_drop_scales


class Job:
    """What a training run works with: network, graphs, data and schedule."""

    def __init__(self, config: Config, train_index: ImageIndex, eval_index: ImageIndex) -> None:
        self.config = c = config
        self.network = build_network(c.class_num, c.train_image_size, c.amp_level)
        self.loaded = checkpoint.load_weights(checkpoint.find(c.pretrained), self.network) if c.pretrained else None
        weights = self.network.trainable_params()
        self.optimizer = AdamW(weights, c.beta1, c.beta2, c.weight_decay, c.no_weight_decay_names, c.gc_flag)
        loss = build_loss(c.loss_name, c.class_num, c.smoothing, c.ignore_label)
        self.step = TrainStep(self.network, loss, self.optimizer, c.loss_scale)
        self.ranks = RankStep(self.network)
        self.batches = TrainLoader(
            train_index,
            image_size=c.train_image_size,
            batch_size=c.batch_size,
            crop_min=c.crop_min,
            autoaugment=c.autoaugment,
            seed=c.seed,
            workers=c.train_num_workers,
            total_steps=c.max_epoch * (len(train_index.files) // c.batch_size),
            on_unreadable=c.on_unreadable,
        )
        self.eval_batches = EvalLoader(
            eval_index,
            image_size=c.eval_image_size,
            batch_size=c.eval_batch_size,
            workers=c.eval_num_workers,
            on_unreadable=c.on_unreadable,
        )
        self.lrs = learning_rates(
            mode=c.lr_decay_mode,
            lr_init=c.lr_init,
            lr_min=c.lr_min,
            lr_max=c.lr_max,
            warmup_epochs=c.warmup_epochs,
            max_epoch=c.max_epoch,
            steps_per_epoch=self.batches.steps_per_epoch,
            poly_power=c.poly_power,
        )

    def inputs(self, step: int, batch: Batch) -> tuple[Tensor, ...]:
        """The inputs of :class:`TrainStep` for one step; every random number comes from (seed, step)."""
        c = self.config
        lam, partner = mixup_draw(c.seed, step, c.batch_size, c.mixup)
        scales = draw_drop_scales(self.network.drop_rates, c.seed, step, c.batch_size)
        return (
            Tensor(batch.images),
            Tensor(batch.labels),
            Tensor(partner),
            Tensor(lam, ms.float32),
            Tensor(scales),
            Tensor(self.lrs[step], ms.float32),
        )

    def compile(self) -> float:
        """Compile both graphs ahead of the first step, in seconds; in PyNative mode there is nothing to compile."""
        c = self.config
        if c.context_mode != ms.GRAPH_MODE:
            return 0.0
        start = time.perf_counter()
        shape = (c.batch_size, c.train_image_size, c.train_image_size, 3)
        blank = Batch(np.zeros(shape, np.uint8), np.zeros(c.batch_size, np.int32), np.zeros(c.batch_size, np.int64))
        self.step.set_train(True)
        self.step.compile(*self.inputs(0, blank))
        compile_ranks(self.ranks, c.eval_image_size, c.eval_batch_size)
        return time.perf_counter() - start


def fit(job: Job, journal: Journal) -> None:
    """The training loop: next batch, step, record; after each epoch evaluate, record, save."""
    c, steps = job.config, job.batches.steps_per_epoch
    bar = tqdm(total=len(job.batches), unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True)
    with bar, closing(job.batches.stream()) as batches:
        for epoch in range(c.max_epoch):
            job.step.set_train(True)
            for step in range(epoch * steps, (epoch + 1) * steps):
                device.take_back_signals()
                asked = time.perf_counter()
                batch = next(batches)
                given = time.perf_counter()
                loss, overflow = (out.asnumpy().item() for out in job.step(*job.inputs(step, batch)))
                done = time.perf_counter()
                journal.step(step, loss, job.lrs[step].item(), overflow, given - asked, done - given)
                bar.update()
            if c.evaluates(epoch):
                score = evaluate(job.ranks, job.eval_batches)
                journal.epoch(epoch, score.top1_pct, score.top5_pct, score.total_time_s)
            else:
                journal.epoch(epoch, None, None, 0.0)
            if c.save_checkpoint and ((epoch + 1) % c.save_checkpoint_epochs == 0 or epoch + 1 == c.max_epoch):
                folder = journal.run.path / "checkpoints"
                checkpoint.save(folder / f"{c.backbone}-{epoch + 1:04d}.ckpt", job.network.get_parameters())
                checkpoint.prune(folder, c.keep_checkpoint_max)


def train(config: Config, stem: str) -> None:
    """Train as ``config`` says and keep a run folder; ``stem`` names the recipe."""
    if config.eval_image_size != config.train_image_size:
        raise UserError(
            f"eval_image_size: found {config.eval_image_size}, but the network is built for train_image_size "
            f"{config.train_image_size} (its position embeddings have that size): set both alike"
        )
    on = device.start(config)
    train_index, eval_index = (
        scan(config.dataset_path, config.class_num),
        scan(config.eval_path, config.class_num),
    )
    if train_index.classes[: len(eval_index.classes)] != eval_index.classes:
        raise UserError(
            f"{config.eval_path}: its class folders are not those of {config.dataset_path}, so that the same label "
            "would mean two things"
        )
    dataset = {"train": facts(train_index), "eval": facts(eval_index)}
    if config.shuffle_labels:
        shuffled = np.random.default_rng(config.seed).permutation(train_index.labels)
        train_index = dataclasses.replace(train_index, labels=shuffled)
    job = Job(config, train_index, eval_index)
    with RunFolder.create(config.save_checkpoint_path, "train", stem, on.target, on.count) as run:
        journal = Journal(run, job.batches.steps_per_epoch, config.batch_size, config.log_interval, tqdm.write)
        run.write("config.yml", dump(config))
        parameters = parameter_count(job.network)
        run.write(
            "env.json",
            environment(on.facts(), kind=run.kind, seed=config.seed, parameters=parameters, dataset=dataset),
        )
        for message in (*train_index.warnings, *eval_index.warnings, str(job.loaded or "weights: random")):
            journal.line(message)
        journal.line("Args:")
        for key, value in dataclasses.asdict(config).items():
            journal.line(f"--> {key}: {value}")
        journal.line("")
        run.event(
            "start",
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            steps_per_epoch=job.batches.steps_per_epoch,
            epochs=config.max_epoch,
            global_batch=config.batch_size,
            train_images=len(train_index.files),
            eval_images=len(eval_index.files),
        )
        compile_time_s = job.compile()
        journal.line(f"compile time used={compile_time_s:.2f}s")
        run.event("compile", compile_time_s=compile_time_s)
        journal.begin()
        fit(job, journal)
        skipped = sorted({*job.batches.skipped, *job.eval_batches.skipped})
        for name in skipped:
            journal.line(f"skipped, unreadable: {name}")
        journal.end(len(skipped))
    link_latest(run.path, stem)
    print(f"run folder: {run.path}")


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    return cli.run(train, argv, need=("dataset_path", "eval_path"))


if __name__ == "__main__":
    sys.exit(main())

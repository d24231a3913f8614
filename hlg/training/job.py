"""A training run: what it works with, its loop, and what it leaves behind."""

import gc
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import mindspore as ms
import numpy as np
from mindspore import Tensor
from tqdm import tqdm

from hlg.checkpoint import store
from hlg.checkpoint.weights import load_weights
from hlg.config import Config
from hlg.data.index import ImageIndex
from hlg.data.loader import Batch, EvalLoader, TrainLoader
from hlg.data.streams import draw_drop_scales, mixup_draw
from hlg.errors import RESUME_ME, StoppedError, UserError
from hlg.model.loss import build_loss
from hlg.model.network import build_network
from hlg.model.optimizer import AdamW
from hlg.model.schedule import learning_rates
from hlg.record.journal import Journal
from hlg.runtime import collective, graph_cache
from hlg.runtime.calibration import calibration_timer
from hlg.runtime.device import Device
from hlg.runtime.signals import StopRequest
from hlg.runtime.watchdog import Watchdog
from hlg.training.evaluate import Evaluation, blank_batch, evaluate
from hlg.training.step import RankStep, TrainStep


class Job:
    """What a training run works with: network, graphs, data and schedule, from step ``start`` on."""

    def __init__(
        self, config: Config, on: Device, train_index: ImageIndex, eval_index: ImageIndex, start: int = 0
    ) -> None:
        self.config = c = config
        self.on, self.start = on, start
        self.network = build_network(c.class_num, c.train_image_size, c.amp_level)
        # A run that goes on has its weights in its checkpoint; the file it once started from may be gone.
        pretrained = c.pretrained if not start else ""
        self.loaded = load_weights(store.find_checkpoint(pretrained), self.network) if pretrained else None
        weights = self.network.trainable_params()
        self.optimizer = AdamW(weights, c.beta1, c.beta2, c.weight_decay, c.no_weight_decay_names, c.gc_flag)
        loss = build_loss(c.loss_name, c.class_num, c.smoothing, c.ignore_label)
        self.step = TrainStep(self.network, loss, self.optimizer, c.loss_scale, on.count)
        self.ranks = RankStep(self.network)
        self.global_batch = c.batch_size * on.count
        self.batches = TrainLoader(
            train_index,
            image_size=c.train_image_size,
            batch_size=c.batch_size,
            crop_min=c.crop_min,
            autoaugment=c.autoaugment,
            seed=c.seed,
            workers=c.train_num_workers,
            start_step=start,
            total_steps=c.max_epoch * (len(train_index.files) // self.global_batch),
            on_unreadable=c.on_unreadable,
            shard=on.shard,
        )
        self.eval_batches = EvalLoader(
            eval_index,
            image_size=c.eval_image_size,
            batch_size=c.eval_batch_size,
            workers=c.eval_num_workers,
            on_unreadable=c.on_unreadable,
            shard=on.shard,
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

    def parameters(self) -> list[ms.Parameter]:
        """All that training changes: the network's parameters and the optimiser's state."""
        optimizer = self.optimizer
        return [*self.network.get_parameters(), *optimizer.moments1, *optimizer.moments2, optimizer.updates]

    def inputs(self, step: int, batch: Batch, stop: bool = False) -> tuple[Tensor, ...]:
        """The inputs of :class:`TrainStep` for one step; every random number comes from (seed, step).

        The factors of stochastic depth are drawn for the images of all ranks, so they depend on an image's place in
        the global batch alone; mixup, as published, mixes within the batch of each rank.
        """
        c, rank = self.config, self.on.rank
        lam, partner = mixup_draw(c.seed, step, c.batch_size, c.mixup, rank)
        scales = draw_drop_scales(self.network.drop_rates, c.seed, step, self.global_batch)
        return (
            Tensor(batch.images),
            Tensor(batch.labels),
            Tensor(partner),
            Tensor(lam, ms.float32),
            Tensor(scales[rank * c.batch_size : (rank + 1) * c.batch_size]),
            Tensor(self.lrs[step], ms.float32),
            Tensor(float(stop), ms.float32),
        )

    def compile(self) -> tuple[float, graph_cache.CacheUse]:
        """Compile both graphs ahead of the first step, in seconds; in PyNative mode there is nothing to compile."""
        c = self.config
        if c.context_mode != ms.GRAPH_MODE:
            return 0.0, graph_cache.CacheUse()
        start = time.perf_counter()
        shape = (c.batch_size, c.train_image_size, c.train_image_size, 3)
        blank = Batch(np.zeros(shape, np.uint8), np.zeros(c.batch_size, np.int32), np.zeros(c.batch_size, np.int64))
        self.step.set_train(True)
        gc.freeze()  # MindSpore looks for garbage while it compiles, and nothing of what is here by now will be any
        with graph_cache.cached_compilation(c, self.on, self.parameters()) as use:
            self.step.compile(*self.inputs(0, blank))
            self.ranks.set_train(False)
            self.ranks.compile(*blank_batch(c.eval_image_size, c.eval_batch_size))  # not run: that can take a second
        return time.perf_counter() - start, use

    def skipped(self) -> list[str]:
        """The files that any rank left out as unreadable so far. Every rank must call it."""
        if self.config.on_unreadable != "skip":
            return []
        loaders = (self.batches, self.eval_batches)
        found = (collective.union(loader.skipped, loader.index.files, self.on.count) for loader in loaders)
        return sorted({name for names in found for name in names})


class Trainer:
    """One training run: the loop, and what it leaves behind."""

    def __init__(self, job: Job, journal: Journal, stop: StopRequest, watchdog: Watchdog) -> None:
        self.job, self.journal, self.stop, self.watchdog = job, journal, stop, watchdog
        self.folder = journal.run.path / "checkpoints"
        self.calibrate = calibration_timer(job.config.device_target) if job.config.calibration_interval else None

    def fit(self) -> None:
        """The training loop: next batch, step, record; after each epoch save, evaluate, record."""
        job, c, steps = self.job, self.job.config, self.job.batches.steps_per_epoch
        quiet = job.on.rank > 0 or not sys.stderr.isatty()
        bar = tqdm(initial=job.start, total=c.max_epoch * steps, unit="step", disable=quiet, dynamic_ncols=True)
        if job.start and job.start % steps == 0:
            self.end_epoch(job.start // steps - 1)  # its steps were done and saved, but not its evaluation
        with bar, closing(job.batches.stream()) as batches:
            job.step.set_train(True)
            for step in range(job.start, c.max_epoch * steps):
                if self.calibrate and step % c.calibration_interval == 0:
                    self.journal.calibration(step, self.calibrate())
                asked = time.perf_counter()
                batch = self.next_batch(step, batches)
                given = time.perf_counter()
                self.watchdog.expect(f"step {step}: the computation, or another rank")
                loss, overflow, stopping = (
                    out.asnumpy().item() for out in job.step(*job.inputs(step, batch, self.stop.poll() is not None))
                )
                done = time.perf_counter()
                self.journal.step(step, loss, job.lrs[step].item(), overflow, given - asked, done - given)
                bar.update()
                epoch, left = divmod(step + 1, steps)
                if left == 0 or stopping or (c.save_checkpoint_steps and left % c.save_checkpoint_steps == 0):
                    self.save(step + 1)
                if stopping:
                    raise self.stopped(step + 1)
                if left == 0:
                    self.end_epoch(epoch - 1)
                    job.step.set_train(True)  # the evaluation has set it otherwise

    def next_batch(self, step: int, batches: Iterator[Batch]) -> Batch:
        """The batch of ``step``. A file that can't be read ends the run, with the steps of the epoch so far saved."""
        self.watchdog.expect(f"step {step}: its images from {self.job.batches.index.root}")
        try:
            return next(batches)
        except UserError:
            # Other ranks are already in this step and can't be asked to save; an epoch's end is saved anyway.
            if self.job.on.count == 1 and step % self.job.batches.steps_per_epoch:
                self.save(step)
            raise

    def end_epoch(self, epoch: int) -> None:
        """Evaluate, record, and keep the checkpoint of the epoch if it is the best."""
        c = self.job.config
        score = self.evaluate() if c.evaluates(epoch) else None
        if score:
            self.journal.epoch(epoch, score.top1_pct, score.top5_pct, score.total_time_s)
        else:
            self.journal.epoch(epoch, None, None, 0.0)
        if c.save_checkpoint and self.job.on.rank == 0:
            best = self.journal.best
            if best and best.epoch == epoch:
                store.link_checkpoint(self.folder, store.BEST, (self.folder / store.LAST).resolve())
                store.prune_checkpoints(self.folder, c.keep_checkpoint_max)

    def evaluate(self) -> Evaluation:
        """Evaluate all images on all ranks."""

        def each_step() -> None:
            self.watchdog.expect("a step of the evaluation, or another rank")
            if self.stop.poll():
                raise self.stopped(None)

        return evaluate(self.job.ranks, self.job.eval_batches, each_step, self.job.on.count)

    def save(self, step: int) -> None:
        """Write a checkpoint after ``step`` steps; rank 0 writes, for all have the same."""
        job, c, journal = self.job, self.job.config, self.journal
        if not c.save_checkpoint:
            return
        self.watchdog.expect(f"the checkpoint after {step} steps")
        skipped = job.skipped()
        if job.on.rank > 0:
            return
        steps = job.batches.steps_per_epoch
        epoch, left = divmod(step, steps)
        path = self.folder / f"{c.backbone}-{epoch:04d}{f'+{left:05d}' if left else ''}.ckpt"
        best = journal.best
        state = store.State(
            step=step,
            epoch=epoch,
            steps_per_epoch=steps,
            loss_scale=c.loss_scale,
            best_top1_pct=best and best.top1_pct,
            best_epoch=best and best.epoch,
            generator={"name": "Philox, counter-based", "seed": c.seed, "next_step": step},
            elapsed_s=journal.elapsed_s,
            skipped=skipped,
            scheduled=left == 0 and (epoch % c.save_checkpoint_epochs == 0 or epoch == c.max_epoch),
            **journal.run.positions(),
        )
        store.save_checkpoint(path, job.parameters(), state)
        store.link_checkpoint(self.folder, store.LAST, path)
        store.prune_checkpoints(self.folder, c.keep_checkpoint_max)

    def stopped(self, step: int | None) -> StoppedError:
        """The end of a run that was asked to stop, after ``step`` steps or within an evaluation."""
        by = self.stop.received or signal.SIGTERM  # the latter where another rank was asked
        after = "in an evaluation, which will be repeated" if step is None else f"after {step} steps"
        if not self.job.config.save_checkpoint:
            return StoppedError(f"stopped by {by.name} {after}; nothing is saved (save_checkpoint=0)", 128 + by)
        self.journal.line(f"stopped by {by.name} {after}")
        return StoppedError(
            f"stopped by {by.name} {after}; all steps are saved. Go on with the same command and "
            f"RESUME={self.journal.run.path} (or --resume)",
            RESUME_ME if by is signal.SIGTERM else 128 + by,
        )

"""The training loop, and the checkpoints that it leaves behind."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing

from tqdm import tqdm

from hlg.checkpoint import store
from hlg.checkpoint.state import State
from hlg.data.loader import Batch
from hlg.errors import RESUME_ME, StoppedError, UserError
from hlg.files import follow_links
from hlg.record.journal import Journal
from hlg.runtime.calibration import calibration_timer
from hlg.runtime.watchdog import Watchdog
from hlg.signals import INTERRUPTED, StopRequest
from hlg.training.evaluate import Evaluation, evaluate
from hlg.training.job import Job


class Trainer:
    """One training run: its loop, its checkpoints and its evaluations."""

    def __init__(self, job: Job, journal: Journal, stop: StopRequest, watchdog: Watchdog) -> None:
        self.job, self.journal, self.stop, self.watchdog = job, journal, stop, watchdog
        self.folder = journal.run.path / "checkpoints"
        self.calibrate = calibration_timer(job.config.device_target) if job.config.calibration_interval else None

    def fit(self) -> None:
        """Run the training loop: next batch, step, record; after each epoch save, evaluate, record."""
        job, c, steps = self.job, self.job.config, self.job.steps_per_epoch
        quiet = job.on.rank > 0 or not sys.stderr.isatty()
        bar = tqdm(initial=job.start, total=c.max_epoch * steps, unit="step", disable=quiet, dynamic_ncols=True)
        if job.start and job.start % steps == 0:
            self.end_epoch(job.start // steps - 1)  # its steps were saved before its evaluation was done
        self.stop.hold()
        with bar, closing(job.train_loader.stream()) as batches:
            job.train_step.set_train(True)
            for step in range(job.start, c.max_epoch * steps):
                if self.calibrate and step % c.calibration_interval == 0:
                    self.journal.calibration(step, self.calibrate())
                asked = time.perf_counter()
                batch = self.next_batch(step, batches)
                given = time.perf_counter()
                self.watchdog.expect(f"step {step}: the computation, or another rank")
                out = job.train_step(*job.inputs(step, batch, stop=self.stop.received is not None))
                loss, overflow, stopping = (value.asnumpy().item() for value in out)
                done = time.perf_counter()
                self.journal.step(step, loss, job.learning_rates[step].item(), overflow, given - asked, done - given)
                bar.update()
                epoch, left = divmod(step + 1, steps)
                if left == 0 or stopping or (c.save_checkpoint_steps and left % c.save_checkpoint_steps == 0):
                    self.save(step + 1)
                if stopping:
                    raise self.stopped(step + 1)
                if left == 0:
                    self.end_epoch(epoch - 1)
                    job.train_step.set_train(True)  # the evaluation has switched it off

    def next_batch(self, step: int, batches: Iterator[Batch]) -> Batch:
        """Wait for the batch of ``step``; a file that can't be read ends the run, with the steps so far saved."""
        self.watchdog.expect(f"step {step}: its images from {self.job.train_loader.index.root}")
        try:
            return next(batches)
        except UserError:
            # Other ranks are already in this step and can't be asked to save; an epoch's end is saved anyway.
            if self.job.on.count == 1 and step % self.job.steps_per_epoch:
                self.save(step)
            raise

    def end_epoch(self, epoch: int) -> None:
        """Evaluate, record, and keep the checkpoint of the epoch if it is the best."""
        c = self.job.config
        if c.evaluates(epoch):
            score = self.evaluate()
            self.journal.epoch(epoch, score.top1_pct, score.top5_pct, score.total_time_s)
        else:
            self.journal.epoch(epoch, None, None, 0.0)
        best = self.journal.best
        if c.save_checkpoint and self.job.on.rank == 0 and best and best.epoch == epoch:
            store.link_checkpoint(self.folder, store.BEST, follow_links(self.folder / store.LAST).resolve())
            store.prune_checkpoints(self.folder, c.keep_checkpoint_max)

    def evaluate(self) -> Evaluation:
        """Evaluate all images on all ranks."""

        def each_step() -> None:
            self.watchdog.expect("a step of the evaluation, or another rank")
            if self.stop.received:
                raise self.stopped(None)

        return evaluate(self.job.eval_step, self.job.eval_loader, each_step, self.job.on.count)

    def save(self, step: int) -> None:
        """Write a checkpoint after ``step`` steps; rank 0 writes it, since all ranks have the same parameters."""
        job, c, journal = self.job, self.job.config, self.journal
        if not c.save_checkpoint:
            return
        self.watchdog.expect(f"the checkpoint after {step} steps")
        skipped = job.skipped()
        if job.on.rank > 0:
            return
        steps = job.steps_per_epoch
        epoch, left = divmod(step, steps)
        path = self.folder / f"{c.backbone}-{epoch:04d}{f'+{left:05d}' if left else ''}.ckpt"
        best = journal.best
        state = State(
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
        store.save_checkpoint(path, job.parameters(), state, job.train_loader.index.classes)
        store.link_checkpoint(self.folder, store.LAST, path)
        store.prune_checkpoints(self.folder, c.keep_checkpoint_max)

    def stopped(self, step: int | None) -> StoppedError:
        """The error that ends a run asked to stop, after ``step`` steps or within an evaluation (None)."""
        by = self.stop.received or signal.SIGTERM  # the latter where another rank was asked
        after = "in an evaluation, which will be repeated" if step is None else f"after {step} steps"
        if not self.job.config.save_checkpoint:
            return StoppedError(f"stopped by {by.name} {after}; nothing is saved (save_checkpoint=0)", 128 + by)
        self.journal.line(f"stopped by {by.name} {after}")
        return StoppedError(
            f"stopped by {by.name} {after}; all steps are saved. Resume with the same command and "
            f"RESUME={self.journal.run.path} (or --resume)",
            INTERRUPTED if by is signal.SIGINT else RESUME_ME,
        )

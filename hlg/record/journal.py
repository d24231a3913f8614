"""Write each fact of a training run to the log, to ``metrics.jsonl`` and to the console as it comes in."""

import calendar
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from hlg.errors import DivergedError
from hlg.record.environment import host_address
from hlg.record.run_folder import RunFolder, epoch_line, step_line

TIME_OF_DAY = "%Y-%m-%dT%H:%M:%SZ"  # in UTC


class Score(NamedTuple):
    """One evaluation during training: epoch, top-1 and top-5 in percent."""

    epoch: int
    top1_pct: float
    top5_pct: float


class Journal:
    """The journal of a training run of ``steps`` steps an epoch and ``global_batch`` images a step.

    The log's epoch time, step time and fps are wall clock as in the published code: they hold the wait for data, but
    neither compilation nor evaluation. ``metrics.jsonl`` takes step and wait apart. The first evaluation that reaches
    ``target_top1`` percent is reported with the training time, which holds evaluations, and the time since the start of
    the run by the time of day, which holds compilation and interruptions as well.
    """

    def __init__(
        self,
        run: RunFolder,
        steps: int,
        global_batch: int,
        log_interval: int,
        echo: Callable[[str], object],
        target_top1: float = 0.0,
    ) -> None:
        self.run = run
        self.steps = steps
        self.global_batch = global_batch
        self.log_interval = log_interval or steps
        self.echo = echo
        self.target_top1 = target_top1
        self.started = time.time()
        self.scores: list[Score] = []
        self.speeds: list[float] = []
        self.begin()
        self._start_epoch()

    def begin(self, elapsed_s: float = 0.0) -> None:
        """Start the training clock at ``elapsed_s``."""
        self.began = time.perf_counter() - elapsed_s

    @property
    def elapsed_s(self) -> float:
        """The training time so far."""
        return time.perf_counter() - self.began

    @property
    def best(self) -> Score | None:
        """The first of the best scores so far."""
        return max(self.scores, key=lambda score: score.top1_pct, default=None)

    def restore(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take in the events of earlier steps and epochs, as ``metrics.jsonl`` has them."""
        for event in events:
            if event["event"] == "start":
                self.started = calendar.timegm(time.strptime(event["time"], TIME_OF_DAY))
            elif event["event"] == "step":
                self.wait_s += event["data_wait_ms"] / 1000
                self.busy_s += event["step_time_ms"] / 1000
                self.overflows += event["overflow"]
                self.loss, self.lr = event["loss"], event["lr"]
            elif event["event"] == "epoch":
                self.speeds.append(event["images_per_s"])
                if "top1_pct" in event:
                    self.scores.append(Score(event["epoch"], event["top1_pct"], event["top5_pct"]))
                self._start_epoch()

    def _start_epoch(self) -> None:
        self.wait_s = self.busy_s = 0.0
        self.overflows = 0

    def line(self, message: str) -> None:
        """Write one line to the log and the console."""
        self.echo(self.run.log(message))

    def step(self, step: int, loss: float, lr: float, overflow: bool, wait_s: float, busy_s: float) -> None:
        """Record one step, counted from the start of the run.

        Raises:
            DivergedError: the loss is not finite, or every step of an epoch overflowed.
        """
        epoch = step // self.steps
        self.wait_s += wait_s
        self.busy_s += busy_s
        self.overflows += overflow
        self.loss, self.lr = loss, lr
        self.run.event(
            "step",
            epoch=epoch,
            step=step,
            loss=loss,
            lr=lr,
            step_time_ms=1000 * busy_s,
            data_wait_ms=1000 * wait_s,
            overflow=overflow,
        )
        last = (step + 1) % self.steps == 0
        if (step + 1) % self.log_interval == 0 or last:
            self.line(step_line(epoch, step, loss))
        if not math.isfinite(loss):
            raise DivergedError(
                f"step {step} (epoch {epoch}), learning rate {lr:.6g}: the loss is {loss}. Try a lower lr_max, a "
                "longer warmup_epochs, or amp_level O0 to tell float16 from the recipe"
            )
        if last and self.overflows == self.steps:
            raise DivergedError(
                f"step {step} (epoch {epoch}), learning rate {lr:.6g}: the gradients of all {self.steps} steps of this "
                "epoch overflowed and no weight moved. Try a lower loss_scale, or amp_level O0"
            )

    def calibration(self, step: int, calibration_ms: float) -> None:
        """Record how long the fixed calculation took before this step; it is in no other time."""
        self.run.event("calibration", step=step, calibration_ms=calibration_ms)

    def epoch(self, epoch: int, top1_pct: float | None, top5_pct: float | None, eval_time_s: float) -> None:
        """Record the end of an epoch; the scores are None where it was not evaluated."""
        epoch_time_s = self.wait_s + self.busy_s
        self.speeds.append(self.global_batch * self.steps / epoch_time_s)
        if top1_pct is not None and top5_pct is not None:
            self.scores.append(Score(epoch, top1_pct, top5_pct))
        self.line(
            epoch_line(
                epoch,
                epoch_time_s=epoch_time_s,
                steps=self.steps,
                loss=self.loss,
                lr=self.lr,
                images_per_s=self.speeds[-1],
                accuracy=None if top1_pct is None else top1_pct / 100,
                eval_time_s=eval_time_s,
            )
        )
        self.run.event(
            "epoch",
            epoch=epoch,
            epoch_time_s=epoch_time_s,
            step_time_ms=1000 * self.busy_s / self.steps,
            data_wait_ms=1000 * self.wait_s / self.steps,
            loss=self.loss,
            lr=self.lr,
            images_per_s=self.speeds[-1],
            top1_pct=top1_pct,
            top5_pct=top5_pct,
            eval_time_s=eval_time_s if top1_pct is not None else None,
            overflow_steps=self.overflows,
        )
        self._start_epoch()
        if self.target_top1 and top1_pct is not None:
            self._report_target(epoch, top1_pct)

    def _report_target(self, epoch: int, top1_pct: float) -> None:
        """Report that this evaluation reached the target, if it is the first one that did."""
        *before, now = (_reaches(score.top1_pct, self.target_top1) for score in self.scores)
        if any(before) or not now:
            return
        training_s = self.elapsed_s
        wall_s = max(training_s, time.time() - self.started)  # somebody may have set the clock back
        self.line(
            f"target_top1 {self.target_top1:g} % reached in epoch {epoch} with {top1_pct:.3f} %, after "
            f"{training_s:.2f}s of training, {wall_s:.0f}s since the start"
        )
        self.run.event(
            "target",
            target_top1_pct=self.target_top1,
            epoch=epoch,
            top1_pct=top1_pct,
            training_time_s=training_s,
            wall_time_s=wall_s,
        )

    def end(self, skipped_images: int) -> None:
        """Record the end of the run, with best and last accuracy kept apart; ``last_metric`` prints the best."""
        training_time_s = self.elapsed_s
        mean_fps = sum(self.speeds) / len(self.speeds)
        best = self.best
        last = self.scores[-1] if self.scores else None
        if self.target_top1 and not (best and _reaches(best.top1_pct, self.target_top1)):
            self.line(f"target_top1 {self.target_top1:g} % not reached")
        self.line(f"training time used={training_time_s:.2f}s")
        self.line(f"last_metric[{best.top1_pct / 100 if best else -1}]")  # -1: the published run's start value
        self.line(f"ip[{host_address()}], mean_fps[{mean_fps:.2f}]")
        self.run.event(
            "end",
            training_time_s=training_time_s,
            best_top1_pct=best and best.top1_pct,
            best_epoch=best and best.epoch,
            last_top1_pct=last and last.top1_pct,
            last_top5_pct=last and last.top5_pct,
            mean_images_per_s=mean_fps,
            skipped_images=skipped_images,
        )


def _reaches(top1_pct: float, target_pct: float) -> bool:
    """Compare without the last digits: 199 of 320 images are 62.18749999999999 %, and reach 62.1875."""
    return round(top1_pct, 9) >= target_pct

"""Read what an unfinished run has recorded so far: one that still trains, or that was stopped and has no seal."""

from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.records.config import read_config
from repro.records.metrics import read_events
from repro.records.run_folder import read_environment
from repro.records.schema import Epoch, Log, Run, Steps


def read_unfinished(folder: Path) -> Run:
    """Read a training without a seal from its metrics alone, whose last line may still be in the making.

    Its log is not read: it says the same, and may be behind by a line.

    Raises:
        ReproError: nothing is recorded yet, or what is recorded is malformed; folder, file and line are named.
    """
    env, kind = read_environment(folder / "env.json")
    if kind != "train":
        raise ReproError(f"{folder}: this evaluation is not finished and has no figure; wait for it, or leave it out")
    path = folder / "metrics.jsonl"
    events = read_events(path, unfinished=True)
    start = next((event for event in events.others if event["event"] == "start"), None)
    if start is None or not events.steps.loss:
        raise ReproError(f"{folder}: no step is recorded yet; wait for the first one")
    ended = [event for event in events.others if event["event"] == "epoch"]
    if [event["epoch"] for event in ended] != list(range(len(ended))):
        raise ReproError(f"{path}: found epochs out of order, expected each once")
    if len(ended) > len(events.steps.loss):
        raise ReproError(f"{path}: found {len(ended)} epochs, but {len(events.steps.loss)} steps")
    steps = start["steps_per_epoch"] or len(events.steps.loss) // max(1, len(ended))
    epochs = tuple(_epoch(event, events.steps, steps) for event in ended)
    accuracies = [epoch.accuracy for epoch in epochs if epoch.accuracy is not None]
    return Run(
        folder=folder,
        kind=kind,
        config=read_config(folder / "config.yml"),
        env=env,
        log=Log(folder / "train.log", epochs, None, 0, None, None, max(accuracies, default=None), None, 0),
        eval_images=start["eval_images"],
        skipped_images=0,
        absent_checkpoints=0,
        top5_pct=ended[-1]["top5_pct"] if ended else None,
        resumptions=events.resumptions,
        steps=events.steps,
        calibrations=events.calibrations,
        steps_per_epoch=steps,
        target=events.target,
        sealed=False,
    )


def _epoch(event: dict[str, Any], recorded: Steps, steps: int) -> Epoch:
    """Make what the log says of an epoch, without its line."""
    last = min((event["epoch"] + 1) * steps, len(recorded.loss)) - 1
    top1, time_s = event["top1_pct"], event["epoch_time_s"]
    return Epoch(
        line=0,
        epoch=event["epoch"],
        epoch_time_s=time_s,
        step_time_s=time_s / steps,
        loss=recorded.loss[last],
        lr=recorded.lr[last],
        fps=event["images_per_s"],
        accuracy=None if top1 is None else top1 / 100,
        eval_cost_s=event["eval_time_s"],
    )

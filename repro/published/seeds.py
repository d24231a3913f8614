"""Group the runs of a recipe that differ in their seed alone, with mean and deviation over the seeds.

Runs belong together when nothing but the seed can make their numbers differ. One run a seed counts: a second run of
the same seed repeats the first, bit for bit, and would make the deviation look smaller than it is.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import mean, stdev

import numpy as np

from repro.published.figures import MEASURES
from repro.published.schema import Repetition, SeedGroup, Spread
from repro.records.schema import Run

# Keys that change no number; the data are compared by their hashes.
CHANGES_NOTHING = {
    *("dataset_path", "eval_path", "class_names", "train_num_workers", "eval_num_workers"),
    "device_id",
    *("save_checkpoint", "save_checkpoint_epochs", "save_checkpoint_steps", "save_checkpoint_path"),
    *("keep_checkpoint_max", "resume", "resume_changed", "log_interval", "stall_timeout", "calibration_interval"),
    "graph_cache",
    *("data_url", "train_url", "output_path", "data_path"),
    "target_top1",
}
_ACCURACY = (
    ("Top-1 accuracy, best epoch", "%", 3, "best_accuracy"),
    ("Top-1 accuracy, last epoch", "%", 3, "last_accuracy"),
)
_SPEED = (
    ("Time of a training step", "ms", 1, "step_time"),
    ("Images per second, last epochs", "images/s", 2, "fps"),
)


def group_seeds(runs: Iterable[Run]) -> list[SeedGroup]:
    """Return the groups of training runs with at least two seeds, in the order of their oldest runs."""
    return [_group(members) for members in _alike(runs) if len({run.config["seed"] for run in members}) > 1]


def seed_group_of(run: Run, others: Iterable[Run]) -> SeedGroup | None:
    """Return those of the runs that differ from this one in their seed alone, if they have two seeds or more."""
    alike = next((members for members in _alike([run, *others]) if any(member is run for member in members)), [])
    members = [member for member in alike if member.sealed]
    return _group(members) if len({member.config["seed"] for member in members}) > 1 else None


def find_repetitions(runs: Iterable[Run]) -> list[Repetition]:
    """Return the runs that even share their seed, and whether their losses and accuracies are the same numbers."""
    found = []
    for members in _alike(runs):
        for seed in sorted({run.config["seed"] for run in members}):
            same = tuple(run for run in members if run.config["seed"] == seed)
            if len(same) > 1 and all(run.steps.loss for run in same):
                found.append(_repetition(same))
    return found


def _repetition(same: tuple[Run, ...]) -> Repetition:
    losses = [np.asarray(run.steps.loss).view(np.int64) for run in same]  # as bits, so that nan is nan
    steps = min(map(len, losses))
    differ = np.any([one[:steps] != losses[0][:steps] for one in losses], axis=0).nonzero()[0]
    parted = None
    if differ.size or len(set(map(len, losses))) > 1:
        parted = f"at step {differ[0] if differ.size else steps} (steps count from 0)"
    elif len({tuple(epoch.accuracy for epoch in run.log.epochs) for run in same}) > 1:
        parted = "in an accuracy"
    return Repetition(same, steps, parted)


def _alike(runs: Iterable[Run]) -> list[list[Run]]:
    """Group the training runs that share all but their seed, oldest first."""
    alike: list[tuple[object, list[Run]]] = []  # a list, since a configuration cannot be hashed
    for run in sorted(runs, key=lambda run: (run.folder.name, run.folder.as_posix())):
        if run.kind != "train" or unfit(run):
            continue
        conditions = _conditions(run)
        members = next((members for found, members in alike if found == conditions), None)
        if members is None:
            alike.append((conditions, members := []))
        members.append(run)
    return [members for _, members in alike]


def unfit(run: Run) -> str:
    """Say why this training run can be grouped with no other, or nothing. What is not recorded may not agree."""
    if run.env.commit is None:
        return "the commit of the code is not recorded"
    if run.env.dirty is not False:
        return "the code had uncommitted changes" if run.env.dirty else "changes of the code are not recorded"
    if not all((data := run.env.datasets.get(split)) and data.hash for split in ("train", "eval")):
        return "the hash of the data is not recorded"
    if not isinstance(run.config.get("seed"), int):
        return "the seed is not recorded"
    if run.env.resumed_on:
        return f"resumed in a different environment: {', '.join(run.env.resumed_on)}"
    return f"resumed with changed keys: {changed}" if (changed := run.changed_keys) else ""


def _conditions(run: Run) -> object:
    """Return what the runs of a group must share."""
    env = run.env
    config = {key: value for key, value in run.config.items() if key not in CHANGES_NOTHING | {"seed"}}
    cpu = env.cpu if env.target == "CPU" else None  # elsewhere the CPU is not what computes
    devices = (env.target, sorted(env.device_names), env.device_count, cpu)
    return config, env.commit, env.software, devices, env.datasets, run.eval_images, run.skipped_images


def _group(members: Sequence[Run]) -> SeedGroup:
    """Make a group of these runs, which come oldest first: the newest of each seed counts."""
    newest = {run.config["seed"]: run for run in members}
    runs = tuple(newest[seed] for seed in sorted(newest))
    # No number of workers changes a weight, but each has its own wait for data, which the log's times hold.
    one_speed = len({run.config.get("train_num_workers") for run in runs}) == 1
    notes = [] if one_speed else ["speed left out, since train_num_workers differs"]
    spreads = [_spread(runs, *measure) for measure in (*_ACCURACY, *(_SPEED if one_speed else ()))]
    return SeedGroup(
        runs=runs,
        seeds=tuple(sorted(newest)),
        repetitions=len(members) - len(runs),
        spreads=tuple(spread for spread in spreads if spread),
        notes=tuple(notes),
    )


def _spread(runs: Sequence[Run], title: str, unit: str, decimals: int, measure: str) -> Spread | None:
    """Return one measure over the runs: None if a run lacks it or has only its warm-up, nan if one is not finite."""
    found = [MEASURES[measure](run.log) for run in runs]
    values = [measured.value for measured in found if measured and measured.epochs != 0]
    if len(values) < len(runs):
        return None
    numbers = (math.nan, math.nan, math.nan, math.nan)
    if all(map(math.isfinite, values)):  # exact sums, so that the mean never leaves the range of the values
        numbers = (mean(values), stdev(values), min(values), max(values))
    return Spread(title, unit, decimals, len(values), *numbers, measure)

"""Train both sides of the comparison, each as often as asked: what is finished is not repeated.

A call that is killed leaves what it has finished; the next one removes the rest and goes on.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from repro.authors.repetition import AuthorsJob, AuthorsRun, find_repetitions_of, train_once
from repro.errors import ReproError, tell
from repro.published.conditions import same_value
from repro.published.figures import MEASURES
from repro.published.seeds import CHANGES_NOTHING, unfit
from repro.records.config import read_config
from repro.records.run_folder import list_folders, read_run
from repro.records.schema import Run
from repro.records.seal import is_sealed
from repro.reproduction.comparison import Outcome

DATA = ("--classes", "2", "--train", "96", "--val", "200")  # of the recipe; see configs/reproduce.yml
# The control: the rate stays at its first value, which is what their code does from MindSpore 2.5.0 on.
CONTROL = {"lr_decay_mode": "linear", "lr_max": "0.0000417", "lr_min": "0.0000417", "warmup_epochs": "0"}
LAUNCH = ("-m", "hlg.launch")
REVISION = Path(__file__).parents[2] / "docker" / "revision.sh"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone. Raises ReproError if another one has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReproError(f"{folder}: another process trains here; wait for it, or end it") from None
        yield
    finally:
        os.close(lock)


def draw_data(recipe: Path) -> None:
    """Draw the data set that the recipe names, unless it is there."""
    folder = Path(str(read_config(recipe)["dataset_path"])).parent
    _call("draw the data", sys.executable, "-m", "hlg.data.tiny", "--out", str(folder), *DATA)


def repeat_theirs(job: AuthorsJob, count: int) -> list[AuthorsRun]:
    """Return `count` repetitions of the authors' training; what is missing is trained now."""
    with only_one(job.runs):
        found = find_repetitions_of(job)[:count]
        while len(found) < count:
            tell(f"the authors' code, repetition {len(found) + 1} of {count}: {job.code.words}")
            found.append(train_once(job))
            tell(f"{found[-1].folder}: {found[-1].top1_pct:.2f} % top-1, last loss {found[-1].losses[-1]:.3f}")
    return found


def train_ours(recipe: Path, seeds: Sequence[int], runs: Path, keys: Mapping[str, str] | None = None) -> list[Run]:
    """Return our trainings of the recipe with these keys, one a seed; what is missing is trained now."""
    keys, wanted = keys or {}, dict.fromkeys(seeds)
    commit = subprocess.run(["bash", str(REVISION)], capture_output=True, text=True).stdout.strip()
    with only_one(runs):
        found = _finished(recipe, runs, keys, commit)
        missing = [seed for seed in wanted if seed not in found]
        if missing:
            words = [f"--{key}={value}" for key, value in keys.items()]
            _call(
                "train",
                *(sys.executable, *LAUNCH, "--seeds", " ".join(map(str, missing))),
                *("--logs", str(runs / ".ranks"), "hlg.train", "--config_path", str(recipe)),
                *(f"--save_checkpoint_path={runs}", *words),
            )
            found = _finished(recipe, runs, keys, commit)
    if lacking := [seed for seed in wanted if seed not in found]:
        raise ReproError(f"{runs}: found no finished training of seed {lacking[0]} by commit {commit}, expected one")
    return [found[seed] for seed in wanted]


def _finished(recipe: Path, runs: Path, keys: Mapping[str, str], commit: str) -> dict[int, Run]:
    """Return the finished trainings of this recipe by this commit, by seed; remove what was cut short."""
    found = {}
    for folder in sorted(list_folders(runs)):
        if not is_sealed(folder):
            tell(f"{folder}: was cut short; removed")
            shutil.rmtree(folder)
        elif (run := read_run(folder)) and run.env.commit == commit and is_of(run, recipe, keys):
            found[int(run.config["seed"])] = run
    return found


def is_of(run: Run, recipe: Path, keys: Mapping[str, str]) -> bool:
    """Tell whether this is a whole training of the recipe and its data, with these keys, that can be compared."""
    data = run.env.datasets.get("train")
    alike = {key: value for key, value in read_config(recipe).items() if key not in CHANGES_NOTHING} | dict(keys)
    same = all(same_value(run.config.get(key), value) for key, value in alike.items())
    return run.kind == "train" and not unfit(run) and same and bool(data) and run.env.facts["recipe"] == recipe.stem


def their_outcome(repetition: AuthorsRun) -> Outcome:
    """Return what a training of their code reached."""
    return Outcome(repetition.folder.name, tuple(repetition.losses), repetition.top1_pct)


def our_outcome(run: Run) -> Outcome:
    """Return what a training of ours reached, by the evaluation after its last epoch."""
    found = MEASURES["last_accuracy"](run.log)
    if found is None:
        raise ReproError(f"{run.folder}: the last epoch was not evaluated; remove it")
    return Outcome(run.folder.name, tuple(run.steps.loss), found.value)


def _call(what: str, *command: str) -> None:
    """Run a program of ours. Raises ReproError if it fails; it has said why."""
    if code := subprocess.run(command).returncode:
        raise ReproError(f"could not {what}: {' '.join(command[1:4])} ended with exit code {code}, see above")

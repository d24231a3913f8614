"""Train the authors' code once, evaluate its checkpoint by our exact evaluation, and keep a sealed folder of it.

Their train.py runs as it is, from their folder: it reads our recipe, whose keys are all theirs, and writes its log and
its checkpoint. Its seed is fixed at 1 in its code, so the initial weights are the same each time; its workers draw
orders, crops, colors and mixtures anew. Hence *repetition*, not seed.

    <UTC date>_<recipe>_authors_cpux1_<commit>/
        config.yml  train.log  console.log  checkpoints/  evaluation/   the last is a run folder of hlg.eval
        env.json      whose code, which commit, changed or not, which stack; written when the training has ended well
        SHA256SUMS    the seal, written last: a folder without it is not finished
"""

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.authors.checkout import AuthorsCode
from repro.authors.stack import Stack
from repro.errors import ReproError, tell
from repro.files import field, read_json, replace_file
from repro.records.config import read_config
from repro.records.logs import read_log, read_step_losses
from repro.records.run_folder import list_folders, read_run
from repro.records.seal import is_sealed, verify_seal, write_seal

KIND = "authors"
EVALUATE = (sys.executable, "-m", "hlg.eval")
WORK = "work"  # where their train.py runs; it is gone when the folder is sealed


@dataclass(frozen=True)
class AuthorsRun:
    """A sealed training of the authors' code. `key` says what it repeats; its accuracy is of its last checkpoint."""

    folder: Path
    key: str
    facts: Mapping[str, Any]
    losses: "array[float]"
    top1_pct: float


@dataclass(frozen=True)
class AuthorsJob:
    """What is repeated: their code on their stack, a recipe, and its data by their hash."""

    code: AuthorsCode
    stack: Stack
    recipe: Path
    runs: Path

    @property
    def key(self) -> str:
        """The hash of all that makes two trainings repetitions of one."""
        same = {
            "code": [self.code.commit, *self.code.changed],
            "stack": self.stack.lock,
            "recipe": read_config(self.recipe),
            "data": data_hash(self.recipe),
        }
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def data_hash(recipe: Path) -> str:
    """Return the hash of the drawn data set that a recipe names."""
    manifest = Path(str(read_config(recipe)["dataset_path"])).parent / "manifest.json"
    return str(field(str(manifest), read_json(manifest), "hash", str))


def find_repetitions_of(job: AuthorsJob) -> list[AuthorsRun]:
    """Return the finished repetitions, oldest first; finish the one that only lacks its evaluation.

    What is left of a training that was cut short is removed.
    """
    found = []
    for folder in sorted(list_folders(job.runs)) if job.runs.exists() else []:
        if is_sealed(folder):
            if (repetition := read_repetition(folder)).key == job.key:
                found.append(repetition)
        elif (folder / "env.json").is_file():
            found += [finish(folder, job.recipe)] if read_json(folder / "env.json").get("key") == job.key else []
        else:
            tell(f"{folder}: was cut short; removed")
            shutil.rmtree(folder)
    return found


def read_repetition(folder: Path) -> AuthorsRun:
    """Read a sealed repetition. Raises ReproError if anything in it was changed or is missing."""
    verify_seal(folder)
    where = str(folder / "env.json")
    facts = read_json(folder / "env.json")
    if facts.get("kind") != KIND:
        raise ReproError(f"{where}: kind: found {facts.get('kind')!r}, expected {KIND!r}")
    losses = _read_losses(folder / "train.log", read_config(folder / "config.yml"))
    evaluation = read_run(folder / "evaluation").log.evaluation
    if evaluation is None:
        raise ReproError(f"{folder / 'evaluation'}: found no accuracy in it, expected an evaluation; remove {folder}")
    return AuthorsRun(folder, field(where, facts, "key", str), facts, losses, 100 * evaluation.accuracy)


def _read_losses(path: Path, config: Mapping[str, Any]) -> "array[float]":
    """Read the losses of a whole training. Raises ReproError if lines are missing, as where a disk was full."""
    log, losses = read_log(path), read_step_losses(path)
    epochs = int(config["max_epoch"])
    if log.training_time_s is None or len(log.epochs) != epochs or not losses or len(losses) % epochs:
        found = f"{len(log.epochs)} epochs and {len(losses)} steps"
        raise ReproError(f"{path}: found {found}, expected a whole training of {epochs} epochs, and its last line")
    return losses


def train_once(job: AuthorsJob) -> AuthorsRun:
    """Train, evaluate and seal one repetition.

    Raises:
        ReproError: their program failed; its last lines are told, and its console's log is named.
    """
    started = time.gmtime()
    stem = f"{job.recipe.stem}_{KIND}_cpux1_{job.code.commit[:9]}{'-changed' if job.code.changed else ''}"
    folder = job.runs / f"{time.strftime('%Y%m%dT%H%M%SZ', started)}_{stem}"
    work = folder / WORK
    work.mkdir(parents=True)
    config = read_config(job.recipe)
    options = {key: Path(str(config[key])).absolute() for key in ("dataset_path", "eval_path")}
    command = [str(job.stack.python), str(job.code.folder.absolute() / "train.py")]
    command += [f"--config_path={job.recipe.absolute()}", "--save_checkpoint_path=outputs"]
    command += [f"--{key}={path}" for key, path in options.items()]
    _follow(command, work, folder / "console.log", job.stack.variables())
    _collect(work, folder)
    shutil.copyfile(job.recipe, folder / "config.yml")
    _read_losses(folder / "train.log", config)
    facts = {
        "kind": KIND,
        "key": job.key,
        "code": {
            "repository": job.code.repository,
            "commit": job.code.commit,
            "first": job.code.first,
            "changed": list(job.code.changed),
        },
        "stack": job.stack.facts(),
        "recipe": job.recipe.stem,
        "data": data_hash(job.recipe),
        "command": [Path(command[0]).name, "train.py", *command[2:]],
        "seed": "1, fixed in train.py; what its workers draw differs each time",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", started),
    }
    replace_file(folder / "env.json", json.dumps(facts, indent=1) + "\n")
    shutil.rmtree(work)
    return finish(folder, job.recipe)


def _follow(command: list[str], work: Path, console: Path, variables: Mapping[str, str]) -> None:
    """Run their program to its end, with its output in a file. It ends with this process, however that ends."""
    with console.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=work, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **variables},
            start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip
        try:
            code = process.wait()
        finally:
            _end(process)
    if code:
        lines = [line for line in console.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        last = lines[-1].strip() if lines else "it printed nothing"
        raise ReproError(f"the authors' train.py ended with exit code {code}: {last[-300:]}; all of it: {console}")


def _end_with_parent() -> None:
    """Have the kernel end this process with its parent (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of the program and its workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _collect(work: Path, folder: Path) -> None:
    """Take their log and their last checkpoint out of the folder in which they trained."""
    logs, saved = sorted(work.glob("outputs/*.log")), sorted(work.glob("outputs/*.ckpt"), key=os.path.getmtime)
    if len(logs) != 1 or not saved:
        raise ReproError(f"{work}: found {len(logs)} logs and {len(saved)} checkpoints, expected one and one or more")
    (folder / "checkpoints").mkdir(exist_ok=True)
    logs[0].replace(folder / "train.log")
    saved[-1].replace(folder / "checkpoints" / saved[-1].name)


def finish(folder: Path, recipe: Path) -> AuthorsRun:
    """Evaluate the checkpoint of a training that has ended well, and seal its folder."""
    shutil.rmtree(folder / WORK, ignore_errors=True)
    shutil.rmtree(folder / "evaluation", ignore_errors=True)
    checkpoint = _only(sorted((folder / "checkpoints").glob("*.ckpt")), folder / "checkpoints")
    partial = folder / WORK
    # Their checkpoint does not name its classes: its outputs are the class folders in order, as their code reads them.
    command = [*EVALUATE, "--config_path", str(recipe), "--pretrained", str(checkpoint), "--class_map", "order"]
    done = subprocess.run(
        [*command, "--save_checkpoint_path", str(partial)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode:
        raise ReproError(f"{checkpoint}: can't be evaluated: {' '.join(done.stderr.split()[-60:])}")
    _only(list_folders(partial), partial).replace(folder / "evaluation")
    shutil.rmtree(partial)
    write_seal(folder)
    return read_repetition(folder)


def _only(found: Sequence[Path], folder: Path) -> Path:
    """Return what was found in a folder. Raises ReproError unless it is one thing."""
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "nothing"
        raise ReproError(f"{folder}: found {names}, expected one; remove {folder.parent}")
    return found[0]

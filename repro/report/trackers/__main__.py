"""Write runs for TensorBoard, MLflow or Weights & Biases, finished or still running: `make export-runs`.

    python -m repro.report.trackers --format tensorboard                  # all of results/runs, to build/tensorboard
    python -m repro.report.trackers RUN_FOLDER ... --format mlflow --out FOLDER

What is exported again, such as a run that has come further, takes the place of what was there. A run that cannot be
trusted is named and left out. Exit codes: 0 done, 2 a mistake, or a run that was left out so.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.records.run_folder import list_folders, sort_folders
from repro.records.so_far import read_so_far
from repro.report.exports.files import file_names
from repro.report.trackers.tracked import TrackedRun, tracked_run

MODULES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb-offline": "wandb"}  # by format
LOCK = "docker/trackers.lock"
LOOK = {
    "tensorboard": "tensorboard --logdir {}",
    "mlflow": "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {}, where the whole of MLflow is installed",
    "wandb-offline": "wandb sync {}/*/offline-run-*, once you are logged in",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.report.trackers", description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="RUN", nargs="*", type=Path, help="run folders; default: all in --runs")
    parser.add_argument("--format", required=True, choices=MODULES, help="the tracker")
    parser.add_argument("--runs", type=Path, default=Path("results/runs"), help="folder of the run folders")
    parser.add_argument("--out", type=Path, help="folder to write to; default: build/FORMAT")
    options = parser.parse_args(argv)
    out = options.out or Path("build") / MODULES[options.format]
    try:
        folders = options.run or list_folders(options.runs)
        return _export(folders, out, _writer(options.format), LOOK[options.format])
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2


def _writer(name: str) -> Callable[[TrackedRun, Path], Path]:
    """Load the writer of a format. Raises ReproError with what to type if its library is not installed."""
    try:
        write: Callable[[TrackedRun, Path], Path] = import_module(f"repro.report.trackers.{MODULES[name]}").write
    except ImportError as error:
        python = os.path.relpath(sys.executable) if sys.executable.startswith(f"{Path.cwd()}/") else sys.executable
        command = f"{python} -m pip install --no-deps --require-hashes --requirement {LOCK}"
        raise ReproError(f"--format: found {name}, whose library is not installed ({error}); type: {command}") from None
    return write


def _export(folders: Sequence[Path], out: Path, write: Callable[[TrackedRun, Path], Path], look: str) -> int:
    """Write each run; return the exit code."""
    runs, unfinished, broken = sort_folders(folders)
    found = sorted([*(run.folder for run in runs), *unfinished], key=lambda folder: folder.name)
    if not (found or broken):
        raise ReproError("found no run folder; train one, such as by make tiny, or name it: RUN=...")
    done = 0
    for folder, name in zip(found, file_names(folder.name for folder in found), strict=True):
        _require_apart(out / name)
        try:
            progress = read_so_far(folder)
            run = tracked_run(progress, name) if progress else None
        except ReproError as error:
            broken[folder] = str(error)
            continue
        if run is None:
            tell(f"{folder}: has only begun, nothing to export yet")
            continue
        steps = len(run.progress.events.steps.loss)
        what = f"{steps:,} steps, {'finished' if run.finished else 'not finished'}" if steps else "evaluation"
        tell(f"{write(run, out)}: {folder.name}, {what}")
        done += 1
    for problem in broken.values():
        tell_error(problem)
    if done:
        tell(f"look at {'it' if done == 1 else 'them'}: {look.format(out)}")
    return 2 if broken else 0


def _require_apart(target: Path) -> None:
    """Raise ReproError if this is in a run folder, whose seal any further file would break."""
    for path in (target.resolve(), *target.resolve().parents):
        if (path / "metrics.jsonl").exists():
            raise ReproError(f"--out: found {path}, a run folder, to which nothing is added; name another folder")


if __name__ == "__main__":
    run_tool(main)

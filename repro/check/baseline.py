"""Keeps what short runs of one recipe gave on one machine, so that later runs can be held against it.

    python -m repro.check.baseline build/baseline          # all runs in this folder; also: make baseline

The runs with the most common environment are the repetitions: their losses and accuracies must be the same, and their
speeds tell the noise of the machine. Runs whose environment differs, by another instruction set for example, round
otherwise: how far their losses part from the others' is the measured band. Exit codes: 0 written, 2 the runs make no
baseline.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from repro.check.baselines import Band, Baseline, write
from repro.check.short_run import changed, differences, environment, file_stem, recipe, speed, top1_pct, workload
from repro.errors import ReproError
from repro.published.seeds import unfit
from repro.records.run_folder import read_folders, read_runs
from repro.records.schema import Run

REPEATS = 2  # fewer runs than these say nothing about noise
NOISIEST = 1.3  # the slowest repetition over the fastest: beyond it a slower step could not be told from noise


def make(runs: Sequence[Run], folder: Path) -> Baseline:
    """The baseline of these runs, to be kept in `folder`. Raises ReproError where they do not belong together."""
    if not runs:
        raise ReproError("no finished training run; make some: make baseline")
    for run in runs:
        _fit(run, runs[0])
    places = [json.dumps(environment(run)) for run in runs]
    usual = max(places, key=places.count)
    repetitions = [run for run, place in zip(runs, places, strict=True) if place == usual]
    if len(repetitions) < REPEATS:
        raise ReproError(
            f"found {len(repetitions)} run in one environment, expected {REPEATS} or more, which tell the noise"
        )
    first = repetitions[0]
    for run in repetitions[1:]:
        _repeats(run, first)
    commit, accuracy = first.env.commit, top1_pct(first)
    assert commit is not None  # _fit has seen to both
    assert accuracy is not None
    baseline = Baseline(
        path=folder / f"{file_name(first)}.json",
        recipe=recipe(first),
        commit=commit,
        runs=tuple(run.folder.name for run in repetitions),
        workload=workload(first),
        environment=environment(first),
        losses=tuple(first.steps.loss),
        top1_pct=accuracy,
        images=first.eval_images,
        speeds=tuple(measured for run in repetitions if (measured := speed(run))),
        band=band(first, [run for run, place in zip(runs, places, strict=True) if place != usual]),
    )
    if baseline.slowest > NOISIEST * baseline.fastest:
        found = f"a step takes {baseline.fastest:.1f} to {baseline.slowest:.1f} calibrations"
        raise ReproError(
            f"{first.folder.parent}: {found}, which is too much noise to find a slower step in; make the "
            "runs again while the machine has nothing else to do"
        )
    return baseline


def _fit(run: Run, first: Run) -> None:
    """Raise ReproError unless the run can be a part of the baseline that `first` is in."""
    if run.kind != "train" or not run.steps.loss:
        raise ReproError(f"{run.folder}: found a run of kind {run.kind}, expected trainings")
    if reason := unfit(run):
        raise ReproError(f"{run.folder}: {reason}; make the runs again from a commit, in one go")
    if run.env.commit != first.env.commit:
        raise ReproError(f"{run.folder}: its commit is not that of {first.folder}; take runs of one commit")
    for key, (expected, found) in differences(workload(first), workload(run)).items():
        raise ReproError(f"{run.folder}: {key}: found {found}, but {expected} in {first.folder}")
    if len(run.steps.loss) != len(first.steps.loss):
        lengths = f"{len(run.steps.loss)} steps, but {len(first.steps.loss)}"
        raise ReproError(f"{run.folder}: found {lengths} in {first.folder}")
    if not np.isfinite(run.steps.loss).all():
        raise ReproError(f"{run.folder}: found a loss that is not finite")
    if speed(run) is None:
        raise ReproError(f"{run.folder}: found no speed: too few steps, or calibration_interval was 0")
    if top1_pct(run) is None or not run.eval_images:
        raise ReproError(f"{run.folder}: found no accuracy")


def _repeats(run: Run, first: Run) -> None:
    """Raise ReproError unless both have the same numbers."""
    apart = np.flatnonzero(np.array(run.steps.loss) != np.array(first.steps.loss))
    what = f"loss of step {apart[0]}" if len(apart) else "accuracy"
    if len(apart) or (top1_pct(run), run.eval_images) != (top1_pct(first), first.eval_images):
        raise ReproError(
            f"{run.folder}: its {what} is not that of {first.folder}: this stack does not repeat itself; find out why "
            "before anything is compared with it"
        )


def file_name(run: Run) -> str:
    """By recipe, device and versions, and by a hash of all that was trained: ``check_cpux1_amd-epyc_..._1a2b3c4d``."""
    where = environment(run)
    chip = run.env.cpu if run.env.target == "CPU" else " ".join(sorted(set(run.env.device_names)))
    cores = [f"{where['cores']}cores"] if "cores" in where else []
    words = (
        recipe(run),
        f"{run.env.target}x{run.env.device_count}",
        *(chip, *cores),
        f"mindspore {where['mindspore']}",
    )
    return file_stem(words, workload(run))


def band(reference: Run, variants: Sequence[Run]) -> Band | None:
    """The largest differences so far, step by step; None without variants."""
    if not variants:
        return None
    losses = np.array(reference.steps.loss)
    apart = np.max([np.abs(np.array(run.steps.loss) - losses) for run in variants], axis=0)
    scores = [(top1_pct(run) or 0.0) - (top1_pct(reference) or 0.0) for run in variants]
    return Band(
        tuple(np.maximum.accumulate(apart).tolist()),
        max(map(abs, scores)),
        tuple(changed(differences(environment(reference), environment(run))) for run in variants),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m repro.check.baseline", description="Keep what these runs gave.")
    parser.add_argument(
        "runs", metavar="FOLDER", nargs="+", type=Path, help="one folder of run folders, or run folders"
    )
    parser.add_argument("--out", type=Path, default=Path("results/baselines"), help="folder of the baselines")
    options = parser.parse_args(argv)
    try:
        one = len(options.runs) == 1 and not (options.runs[0] / "config.yml").exists()
        runs, unfinished = read_runs(options.runs[0]) if one else read_folders(options.runs)
        if unfinished:
            folder = unfinished[0]
            raise ReproError(f"{folder}: not finished; remove it, or finish it: make train RESUME={folder}")
        baseline = make(runs, options.out)
        write(baseline)
    except (ReproError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(describe(baseline))
    return 0


def describe(baseline: Baseline) -> str:
    """What it holds, in lines for a terminal."""
    kept = {
        "losses": f"{len(baseline.losses)} steps, the same in {len(baseline.runs)} runs",
        "accuracy": f"{baseline.top1_pct:.3f} % of {baseline.images} images",
        "speed": f"a step takes {baseline.fastest:.2f} to {baseline.slowest:.2f} calibrations "
        f"(n = {len(baseline.speeds)} runs)",
        "band": "none: in another environment losses can be the same, or not be compared",
    }
    if baseline.band:
        how = "; ".join(baseline.band.variants)
        kept["band"] = f"losses part by up to {baseline.band.losses[-1]:.3g} where rounding differs ({how})"
    return "\n".join([str(baseline.path), *(f"  {name}: {text}" for name, text in kept.items())])


if __name__ == "__main__":
    sys.exit(main())

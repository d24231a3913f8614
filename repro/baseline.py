"""What short runs of one recipe gave on one machine, kept so that later runs can be held against it.

    python -m repro.baseline build/baseline          # all runs in this folder; also: make baseline

The runs with the most common environment are the repetitions: their losses must be the same, and their speeds tell the
noise of the machine. Runs whose environment differs (another instruction set, another number of cores) round otherwise:
how far their losses part from the others' is the measured band. Exit codes: 0 written, 2 the runs make no baseline.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repro.fields import field, read_json
from repro.figures import MEASURES
from repro.parse import read_folders, read_runs
from repro.schema import ReproError, Run
from repro.seeds import FREE

REPEATS = 2  # fewer runs than these say nothing about noise
WARM_UP_STEPS = 5  # of which the first ones wait for memory and threads
FEWEST_STEPS = 20  # for a speed
PACKAGES = ("mindspore", "numpy", "pillow")  # those that compute a number of a run
VARIABLES = ("ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Speed:
    """Times of training steps, over those of the calibrations around them: 20 means as long as 20 calibrations.

    `ratio` is the lower quartile over the steps: in calm moments, whatever else the machine did in the others.
    `step_ms` and `calibration_ms` are medians.
    """

    ratio: float
    step_ms: float
    calibration_ms: float
    steps: int


@dataclass(frozen=True)
class Band:
    """How far losses part when nothing but rounding differs, measured by so many `variants`.

    `losses` is the largest difference up to each step, `top1_points` that of the accuracies.
    """

    losses: tuple[float, ...]
    top1_points: float
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Baseline:
    """The kept numbers. `subject` must be the same for a comparison, `environment` for an exact one."""

    path: Path
    recipe: str
    commit: str
    runs: tuple[str, ...]  # the repetitions
    subject: Mapping[str, Any]
    environment: Mapping[str, Any]
    losses: tuple[float, ...]
    top1_pct: float | None
    images: int
    speeds: tuple[Speed, ...]
    band: Band | None


def subject(run: Run) -> dict[str, Any]:
    """What was trained, on what kind of device: numbers can be compared only where all of this is the same."""
    facts = run.env.facts
    config = {key: value for key, value in run.config.items() if key not in FREE or key == "seed"}
    data = {f"{split} set": found.hash for split, found in run.env.datasets.items()}
    device = {"device": run.env.target, "device names": sorted(run.env.device_names), "devices": run.env.device_count}
    return {**config, **data, **device, "parameters": facts.get("parameters")}


def environment(run: Run) -> dict[str, Any]:
    """On what it ran: where all of this is the same, so is every number."""
    facts = run.env.facts
    found = {name: facts["packages"].get(name) for name in PACKAGES}
    variables = {name: facts.get("variables", {}).get(name) for name in VARIABLES}
    return {**found, "cpu": run.env.cpu, "cores": facts["cpu"].get("cores"), **variables}


def speed(run: Run) -> Speed | None:
    """None where the run has no calibrations, or too few steps."""
    times = np.frombuffer(run.steps.step_time_ms)
    if not run.calibrations or len(times) < WARM_UP_STEPS + FEWEST_STEPS:
        return None
    # A calibration was made before the step of its number, so a step stands in the middle between two.
    at = np.array([calibration.step for calibration in run.calibrations])
    took = np.array([calibration.time_ms for calibration in run.calibrations])
    around = np.interp(np.arange(len(times)) + 0.5, at, took)
    ratios = (times / around)[WARM_UP_STEPS:]
    return Speed(
        float(np.quantile(ratios, 0.25)),
        float(np.median(times[WARM_UP_STEPS:])),
        float(np.median(took)),
        len(ratios),
    )


def top1_pct(run: Run) -> float | None:
    """The accuracy of the last epoch."""
    found = MEASURES["last_accuracy"](run.log)
    return found.value if found else None


# ------------------------------------------------------------------------------------------------- making


def make(runs: Sequence[Run], folder: Path) -> Baseline:
    """The baseline of these runs, to be kept in `folder`. Raises ReproError where they do not belong together."""
    if not runs:
        raise ReproError("no finished training run; make some: make baseline")
    for run in runs:
        if run.kind != "train" or not run.steps.loss:
            raise ReproError(f"{run.folder}: found a run of kind {run.kind}, expected trainings")
        if run.env.commit is None or run.env.dirty is not False:
            raise ReproError(f"{run.folder}: its code had changes, or no commit is known; commit first")
        if run.env.commit != runs[0].env.commit:
            raise ReproError(f"{run.folder}: its commit is not that of {runs[0].folder}; take runs of one commit")
        for key, value in differences(subject(runs[0]), subject(run)).items():
            raise ReproError(f"{run.folder}: {key}: found {value[1]}, but {value[0]} in {runs[0].folder}")
    (usual, count), *_ = Counter(json.dumps(environment(run)) for run in runs).most_common()
    repetitions = [run for run in runs if json.dumps(environment(run)) == usual]
    if count < REPEATS:
        raise ReproError(f"found {count} run in one environment, expected {REPEATS} or more, which tell the noise")
    first = repetitions[0]
    for run in repetitions[1:]:
        if run.steps.loss != first.steps.loss:
            step = next(
                i for i, pair in enumerate(zip(run.steps.loss, first.steps.loss, strict=True)) if len({*pair}) > 1
            )
            raise ReproError(
                f"{run.folder}: its loss of step {step} is not that of {first.folder}: this stack does not "
                "repeat itself; find out why before anything is compared with it"
            )
    assert first.env.commit is not None
    recipe = str(first.env.facts.get("recipe", "unknown"))
    where = environment(first)
    return Baseline(
        path=folder / f"{file_name(recipe, first, where)}.json",
        recipe=recipe,
        commit=first.env.commit,
        runs=tuple(run.folder.name for run in repetitions),
        subject=subject(first),
        environment=where,
        losses=tuple(first.steps.loss),
        top1_pct=top1_pct(first),
        images=first.eval_images,
        speeds=tuple(found for run in repetitions if (found := speed(run))),
        band=band(first, [run for run in runs if run not in repetitions]),
    )


def file_name(recipe: str, run: Run, where: Mapping[str, Any]) -> str:
    """By recipe, device and versions, such as ``check_cpux1_amd-epyc_2cores_mindspore-2.10.0``."""
    chip = run.env.cpu if run.env.target == "CPU" else " ".join(sorted(set(run.env.device_names)))
    words = "-".join("".join(c if c.isalnum() else " " for c in chip.lower()).split())
    device = f"{run.env.target.lower()}x{run.env.device_count}"
    return f"{recipe}_{device}_{words}_{where['cores']}cores_mindspore-{where['mindspore']}"


def band(reference: Run, variants: Sequence[Run]) -> Band | None:
    """The largest differences so far, step by step; None without variants."""
    if not variants:
        return None
    losses = np.frombuffer(reference.steps.loss)
    apart = np.max([np.abs(np.frombuffer(run.steps.loss) - losses) for run in variants], axis=0)
    scores = [(top1_pct(run) or 0.0) - (top1_pct(reference) or 0.0) for run in variants]
    return Band(
        tuple(np.maximum.accumulate(apart).tolist()),
        max(map(abs, scores)),
        tuple(changed(environment(reference), environment(run)) for run in variants),
    )


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Key -> both values, for what both have and is not the same: a key that came later changes nothing."""
    return {key: (one[key], other[key]) for key in one if key in other and one[key] != other[key]}


def changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In words."""
    return ", ".join(f"{key} {was} -> {now}" for key, (was, now) in differences(one, other).items())


# ------------------------------------------------------------------------------------------------- keeping


def write(baseline: Baseline) -> None:
    """To its path, whole or not at all."""
    found = {key: value for key, value in asdict(baseline).items() if key != "path"}
    baseline.path.parent.mkdir(parents=True, exist_ok=True)
    partial = baseline.path.with_name(f".{baseline.path.name}")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.replace(baseline.path)


def read(path: Path) -> Baseline:
    """Raises ReproError naming the file and the key."""
    found, where = read_json(path), str(path)
    try:
        speeds = tuple(Speed(**speed) for speed in field(where, found, "speeds", list))
        kept = field(where, found, "band", dict, optional=True)
        measured = kept and Band(tuple(kept["losses"]), kept["top1_points"], tuple(kept["variants"]))
    except (KeyError, TypeError) as error:
        raise ReproError(f"{path}: not a baseline: {error}; make it again: make baseline") from None
    losses = tuple(field(where, found, "losses", list))
    if (
        not losses
        or not all(isinstance(loss, float) for loss in losses)
        or (measured and len(measured.losses) != len(losses))
    ):
        raise ReproError(f"{path}: losses: expected numbers, and as many in the band; make it again: make baseline")
    return Baseline(
        path=path,
        recipe=field(where, found, "recipe", str),
        commit=field(where, found, "commit", str),
        runs=tuple(map(str, field(where, found, "runs", list))),
        subject=field(where, found, "subject", dict),
        environment=field(where, found, "environment", dict),
        losses=losses,
        top1_pct=field(where, found, "top1_pct", float, optional=True),
        images=field(where, found, "images", int),
        speeds=speeds,
        band=measured,
    )


def read_all(folder: Path) -> list[Baseline]:
    """Every baseline in a folder, which may be missing."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m repro.baseline", description="Keep what these runs gave.")
    parser.add_argument(
        "runs", metavar="FOLDER", nargs="+", type=Path, help="one folder of run folders, or run folders"
    )
    parser.add_argument("--out", type=Path, default=Path("results/baselines"), help="folder of the baselines")
    options = parser.parse_args(argv)
    try:
        one = len(options.runs) == 1 and not (options.runs[0] / "config.yml").exists()
        runs, unfinished = read_runs(options.runs[0]) if one else read_folders(options.runs)
        if unfinished:
            raise ReproError(
                f"{unfinished[0]}: not finished; remove it, or finish it: make train RESUME={unfinished[0]}"
            )
        baseline = make(runs, options.out)
        write(baseline)
    except (ReproError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(describe(baseline))
    return 0


def describe(baseline: Baseline) -> str:
    """What it holds, in lines for a terminal."""
    ratios = [speed.ratio for speed in baseline.speeds]
    lines = [f"{baseline.path}", f"  losses: {len(baseline.losses)} steps, the same in {len(baseline.runs)} runs"]
    if baseline.top1_pct is not None:
        lines.append(f"  accuracy: {baseline.top1_pct:.3f} % of {baseline.images} images")
    if ratios:
        lines.append(
            f"  speed: a step takes {min(ratios):.2f} to {max(ratios):.2f} calibrations (n = {len(ratios)} runs)"
        )
    if baseline.band:
        lines.append(
            f"  band: losses part by up to {baseline.band.losses[-1]:.3g} where rounding differs "
            f"({'; '.join(baseline.band.variants)})"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

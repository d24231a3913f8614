"""What of a short run is held against a baseline: what was trained, where, how fast and how well."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from repro.published.figures import MEASURES
from repro.published.seeds import FREE
from repro.records.schema import Run

WARM_UP_STEPS = 5  # of which the first ones wait for memory and threads
FEWEST_STEPS = 20  # for a speed
# Those that compute a number of a run.
PACKAGES = ("mindspore", "numpy", "opencv-python-headless", "pillow", "simplejpeg")
# Of NumPy's products of matrices, of which a calibration on a CPU is made, and no number of a run.
OPENBLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS")
VARIABLES = ("ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS", *OPENBLAS)


@dataclass(frozen=True)
class Speed:
    """Times of training steps over those of the calibrations around them: 20 means as long as 20 calibrations.

    `ratio` is the median over the `steps`; so are `step_ms` and `calibration_ms`.
    """

    ratio: float
    step_ms: float
    calibration_ms: float
    steps: int


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
    median = [float(np.median(numbers)) for numbers in (ratios, times[WARM_UP_STEPS:], took)]
    return Speed(median[0], median[1], median[2], len(ratios))


def top1_pct(run: Run) -> float | None:
    """The accuracy of the last epoch."""
    found = MEASURES["last_accuracy"](run.log)
    return found.value if found else None


def recipe(run: Run) -> str:
    """The name of its configuration file."""
    return str(run.env.facts.get("recipe", "unknown"))


def workload(run: Run) -> dict[str, Any]:
    """What was trained, on what kind of device: numbers can be compared only where all of this is the same."""
    config = {key: value for key, value in run.config.items() if key not in FREE or key == "seed"}
    data = {f"{split} set": found.hash for split, found in run.env.datasets.items()}
    device = {"device": run.env.target, "device names": sorted(run.env.device_names), "devices": run.env.device_count}
    return {**config, **data, **device, "parameters": run.env.parameters}


def environment(run: Run) -> dict[str, Any]:
    """On what it ran: where all of this is the same, so is every number.

    Of an accelerator's libraries the image tells; its driver is not recorded.
    """
    facts = run.env.facts
    variables = facts.get("variables")
    variables = variables if isinstance(variables, dict) else {}
    found: dict[str, Any] = {name: facts["packages"].get(name) for name in PACKAGES}
    if run.env.target == "CPU":
        found |= {"cpu": run.env.cpu, "cores": facts["cpu"].get("cores")}
    else:
        found["image"] = variables.get("HLG_IMAGE_DIGEST")
    calibration = {"calibration": facts["calibration"]} if "calibration" in facts else {}
    return {**found, **{name: variables.get(name) for name in VARIABLES}, **calibration}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Key -> both values, for what both have and is not the same: a key that came later changes nothing."""
    return {key: (one[key], other[key]) for key in one if key in other and one[key] != other[key]}


def changed(apart: Mapping[str, tuple[Any, Any]]) -> str:
    """Differences in words."""
    return ", ".join(f"{key} {was} -> {now}" for key, (was, now) in apart.items())


def file_stem(words: Sequence[str], trained: Mapping[str, Any]) -> str:
    """A name for what is kept of such runs: these words, plain, so that no text leads elsewhere, and a hash."""
    parts = ["-".join("".join(c if c.isalnum() or c in "._" else " " for c in word.lower()).split()) for word in words]
    digest = hashlib.sha256(json.dumps(trained, sort_keys=True).encode()).hexdigest()[:8]
    return "_".join([*(part.strip(".")[:60] for part in parts), digest])

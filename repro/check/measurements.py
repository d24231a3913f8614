"""Measure a short run: the speed of its steps and its accuracy."""

from dataclasses import dataclass

import numpy as np

from repro.published.figures import MEASURES
from repro.records.schema import Run

WARM_UP_STEPS = 5  # of which the first ones wait for memory and threads
FEWEST_STEPS = 20  # for a speed


@dataclass(frozen=True)
class Speed:
    """Time of a training step in calibrations: 20 means as long as the 20 fixed calculations around it.

    `ratio` is the median over the `steps`; so are `step_ms` and `calibration_ms`.
    """

    ratio: float
    step_ms: float
    calibration_ms: float
    steps: int


def step_speed(run: Run) -> Speed | None:
    """Return how long a step took in calibrations; None if the run has none of these, or too few steps."""
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


def last_top1(run: Run) -> float | None:
    """Return the accuracy of the last epoch in percent; None if it was not evaluated."""
    found = MEASURES["last_accuracy"](run.log)
    return found.value if found else None

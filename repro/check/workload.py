"""Say what a run trained and in which environment: what has to be the same for its numbers to be compared."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from repro.published.seeds import CHANGES_NOTHING
from repro.records.schema import Run

# The packages that compute the numbers of a run.
PACKAGES = ("mindspore", "numpy", "opencv-python-headless", "pillow", "simplejpeg")
# They change NumPy's matrix products, of which a calibration on a CPU is made, and no number of a run.
OPENBLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS")
VARIABLES = ("ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS", *OPENBLAS)


def recipe_name(run: Run) -> str:
    """Return the name of the run's configuration file."""
    return str(run.env.facts.get("recipe", "unknown"))


def workload_of(run: Run) -> dict[str, Any]:
    """Return what was trained, on what kind of device; two runs compare only if all of this is the same."""
    config = {key: value for key, value in run.config.items() if key not in CHANGES_NOTHING}
    data = {f"{split} set": found.hash for split, found in run.env.datasets.items()}
    device = {"device": run.env.target, "device names": sorted(run.env.device_names), "devices": run.env.device_count}
    return {**config, **data, **device, "parameters": run.env.parameters}


def environment_of(run: Run) -> dict[str, Any]:
    """Return what the run ran on; if all of this is the same, so is every number.

    An accelerator's libraries are those of the image; its driver is not recorded.
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


def differing_keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return both values of each key that both have and that differs; a key that came later changes nothing."""
    return {key: (one[key], other[key]) for key in one if key in other and one[key] != other[key]}


def in_words(apart: Mapping[str, tuple[Any, Any]]) -> str:
    """Say the differences in words."""
    return ", ".join(f"{key} {was} -> {now}" for key, (was, now) in apart.items())


def file_stem(words: Sequence[str], trained: Mapping[str, Any]) -> str:
    """Return a file name of these words and a hash; the words are made plain, so that none leads to another folder."""
    parts = ["-".join("".join(c if c.isalnum() or c in "._" else " " for c in word.lower()).split()) for word in words]
    digest = hashlib.sha256(json.dumps(trained, sort_keys=True).encode()).hexdigest()[:8]
    return "_".join([*(part.strip(".")[:60] for part in parts), digest])

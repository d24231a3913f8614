"""Write a run for Weights & Biases, offline: a folder that `wandb sync` uploads, once its user is logged in.

No network is used. The keys are the run's config, and so is the environment, below `environment`; short facts are tags.
A new export takes the place of the older one, with the same id.
"""

from pathlib import Path

import wandb

from repro.report.trackers.places import replaced_entries
from repro.report.trackers.tracked import PROJECT, TrackedRun

_TAGGED = ("recipe", "device.target", "packages.mindspore", "commit", "run")  # facts by which runs are found
_LONGEST = 64  # characters of a tag
_OFF = ("disable_git", "disable_code", "x_disable_stats", "x_disable_meta", "x_disable_machine_info")


def write(run: TrackedRun, out: Path) -> Path:
    """Write the run below `out`; return its folder."""
    with replaced_entries(out / run.name, "offline-run-*") as folder:
        own = folder / "wandb"  # where wandb puts its folders, and links to the newest
        own.mkdir()
        config = {**run.hyperparameters, "environment": dict(run.facts)}
        tags = [f"{key} {run.facts[key]}"[:_LONGEST] for key in _TAGGED if key in run.facts]
        settings = wandb.Settings(
            **{"mode": "offline", "root_dir": str(folder), "console": "off", "silent": True, "save_code": False},
            **dict.fromkeys(_OFF, True),  # nothing of the machine that exports
        )
        with wandb.init(project=PROJECT, id=run.name, name=run.name, config=config, tags=tags, settings=settings) as to:
            for point in run.points():
                to.log({**point.values, "_timestamp": point.time_s}, step=point.step)
        (written,) = own.glob("offline-run-*")
        written.rename(folder / written.name)
        for path in own.iterdir():
            path.unlink()
        own.rmdir()
    return out / run.name

"""Write a run for MLflow: into a store of files, with the keys as parameters and the environment as tags.

MLflow's newer stores are databases: the small package has no driver for one, and with a driver each step took several
times as long. `mlflow migrate-filestore` copies this store into a database. A new export of a run takes the place of
the older one, and has an id of its own.
"""

import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow asks for it
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from repro.report.trackers.tracked import PROJECT, TrackedRun

_BATCH = 1000  # metrics that one call takes
_OURS = "hlg.run"  # the tag that names our runs


def write(run: TrackedRun, out: Path) -> Path:
    """Write the run into the store `out`; return its folder there."""
    client = MlflowClient(tracking_uri=out.absolute().as_uri())
    found = client.get_experiment_by_name(PROJECT)
    experiment = found.experiment_id if found else client.create_experiment(PROJECT)
    older = [old.info.run_id for old in client.search_runs([experiment], f"tags.`{_OURS}` = '{run.name}'")]
    started, ended = _milliseconds(run.started_s), _milliseconds(run.ended_s)
    new = client.create_run(experiment, started, {**run.facts, _OURS: run.name}, run.name).info.run_id
    try:
        client.log_batch(new, params=[Param(key, str(value)) for key, value in run.hyperparameters.items()])
        metrics = _metrics(run)
        while batch := list(islice(metrics, _BATCH)):
            client.log_batch(new, batch)
        if run.finished:
            client.set_terminated(new, end_time=ended)
    except BaseException:
        shutil.rmtree(out / experiment / new, ignore_errors=True)
        raise
    for old in older:
        shutil.rmtree(out / experiment / old)
    return out / experiment / new


def _metrics(run: TrackedRun) -> Iterator[Metric]:
    for point in run.points():
        for name, value in point.values.items():
            yield Metric(name, value, _milliseconds(point.time_s), point.step)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)

"""Read the published figures, and measure each from a log: one function for the published log and a run's."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from repro.errors import ReproError
from repro.published.schema import Measured, Published, Rule, Setting
from repro.records.logs import read_log
from repro.records.schema import DataSet, Epoch, Log
from repro.statistics import deviation

PUBLISHED = Path(__file__).with_name("published.yml")
LAST_EPOCHS = 4  # as many as the published excerpt of the log holds
_PER = {"h": 3600.0, "M": 1e6}  # units in which a figure was published, in the unit that is measured


def read_published(path: Path = PUBLISHED) -> tuple[Published, ...]:
    """Read the published figures, in the order of the file.

    Raises:
        ReproError: the file is malformed; file and key are named.
    """
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        rules = {key: Rule(**rule) for key, rule in found["rules"].items()}
        settings = {key: _setting(key, setting) for key, setting in found["settings"].items()}
        return tuple(_figure(figure, settings, rules) for figure in found["figures"])
    except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise ReproError(f"{path}: {' '.join(str(error).split())}") from None
    except KeyError as error:
        raise ReproError(f"{path}: found no {error.args[0]!r}, or it is used and not defined") from None


def _setting(key: str, found: Mapping[str, Any]) -> Setting:
    data = {split: DataSet(**data) for split, data in found["data"].items()}
    return Setting(**{**found, "key": key, "devices": tuple(found["devices"]), "data": data})


def _figure(found: Mapping[str, Any], settings: Mapping[str, Setting], rules: Mapping[str, Rule]) -> Published:
    setting, rule = settings[found["setting"]], rules[found["rule"]]
    _ = MEASURES[found["measure"]], [setting.data[split] for split in found["splits"]]
    return Published(**{**found, "setting": setting, "rule": rule, "splits": tuple(found["splits"])})


def verify_published(figures: Iterable[Published], folder: Path) -> dict[str, Log]:
    """Read the published logs, by file name.

    Raises:
        ReproError: a log does not say what a figure says that it does.
    """
    figures = [figure for figure in figures if figure.log]
    logs = {figure.log: read_log(folder / figure.log) for figure in figures}
    for figure in figures:
        found = MEASURES[figure.measure](logs[figure.log])
        value = in_unit(figure, found.value) if found else math.nan
        if not math.isclose(value, figure.value, rel_tol=1e-9, abs_tol=figure.rounding):
            expected = f"{figure.value} {figure.unit} as {PUBLISHED.name} says ({figure.key})"
            raise ReproError(f"{folder / figure.log}: {figure.measure}: found {value}, expected {expected}")
    return logs


def in_unit(figure: Published, value: float) -> float:
    """Convert a measured value (percent, ms, images/s, seconds or a count) to the unit of the figure."""
    return value / _PER.get(figure.unit, 1.0)


# ------------------------------------------------------------------------------------------------- measures


def _best_accuracy(log: Log) -> Measured | None:
    evaluated = _evaluated(log)
    if not evaluated or log.best_accuracy is None:
        return None
    return Measured(100 * log.best_accuracy, f"best of {len(evaluated)} epochs")


def _last_accuracy(log: Log) -> Measured | None:
    evaluated = _evaluated(log)
    return Measured(100 * evaluated[-1], f"last of {len(evaluated)} epochs") if evaluated else None


def _evaluated(log: Log) -> list[float]:
    return [epoch.accuracy for epoch in log.epochs if epoch.accuracy is not None]


def _step_time(log: Log) -> Measured | None:
    return _over_last(log, lambda epoch: 1000 * epoch.step_time_s)


def _fps(log: Log) -> Measured | None:
    return _over_last(log, lambda epoch: epoch.fps)


def _over_last(log: Log, value: Callable[[Epoch], float]) -> Measured | None:
    """Return the mean of the last epochs, without the warm-up unless there is no other."""
    last = [value(epoch) for epoch in _warm(log)][-LAST_EPOCHS:]
    if not last:
        return Measured(value(log.epochs[0]), "epoch 0 alone", epochs=0) if log.epochs else None
    n = f"mean of the last {len(last)} epochs" if len(last) > 1 else "the last epoch"
    return Measured(fmean(last), n, deviation(last), len(last))


def _mean_fps(log: Log) -> Measured | None:
    """Return the mean that the log prints, with the warm-up as in the published log; the spread is without it."""
    if log.mean_fps is None:
        return None
    warm = [epoch.fps for epoch in _warm(log)]
    return Measured(log.mean_fps, f"mean of {len(log.epochs)} epochs", deviation(warm), len(warm))


def _warm(log: Log) -> list[Epoch]:
    """Return the epochs without the warm-up, by their numbers: the published excerpt has none."""
    return [epoch for epoch in log.epochs if epoch.epoch > 0]


def _training_time(log: Log) -> Measured | None:
    return None if log.training_time_s is None else Measured(log.training_time_s, f"{len(log.epochs)} epochs")


def _eval_accuracy(log: Log) -> Measured | None:
    return Measured(100 * log.evaluation.accuracy, "1 checkpoint") if log.evaluation else None


def _eval_step_time(log: Log) -> Measured | None:
    return Measured(1000 * log.evaluation.step_time_s, "mean of all steps") if log.evaluation else None


def _eval_time(log: Log) -> Measured | None:
    return Measured(log.evaluation.total_s, "1 evaluation") if log.evaluation else None


# In percent, milliseconds, images/s and seconds.
MEASURES: dict[str, Callable[[Log], Measured | None]] = {
    "best_accuracy": _best_accuracy,
    "last_accuracy": _last_accuracy,
    "step_time": _step_time,
    "fps": _fps,
    "mean_fps": _mean_fps,
    "training_time": _training_time,
    "eval_accuracy": _eval_accuracy,
    "eval_step_time": _eval_step_time,
    "eval_time": _eval_time,
    "parameters": lambda log: None,  # no log holds them; repro.published.compare reads env.json
}

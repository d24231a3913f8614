"""Reads run folders. What is malformed, changed, missing or in disagreement is an error."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from repro import seal
from repro.logs import read_log
from repro.schema import DataSet, Environment, Log, ReproError, Resumption, Run

__all__ = ["read_folders", "read_log", "read_run", "read_runs"]

_NAME = re.compile(r"\d{8}T\d{6}Z_.+")
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_TYPES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_TYPES |= {dict: "an object", list: "a list"}

# What is read of each event of metrics.jsonl: what must be there, and what may.
_EVENTS: dict[str, dict[str, type]] = {
    "start": {"eval_images": int},
    "compile": {},
    "step": {"step": int, "epoch": int},
    "epoch": {"epoch": int, "epoch_time_s": float, "images_per_s": float},
    "resume": {"time": str, "step": int, "epoch": int, "checkpoint": str, "repeated_steps": int, "changed": list},
    "end": {"training_time_s": float, "mean_images_per_s": float, "skipped_images": int},
    "eval": {"top1_pct": float, "images": int, "total_time_s": float},
}
_OPTIONAL: dict[str, dict[str, type]] = {
    "start": {"ranks": int},
    "epoch": {"top1_pct": float},
    "resume": {"compile_time_s": float},
}


def read_runs(folder: Path) -> tuple[list[Run], list[Path]]:
    """The sealed runs under `folder`, oldest first, and the folders of unfinished ones (without a seal).

    Names that begin with a dot and links (to the newest run) are passed over.
    Raises ReproError naming the folder when one is broken.
    """
    try:
        found = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError as error:
        raise ReproError(f"{folder}: cannot be read: {error.strerror}; give the folder of the run folders") from None
    return read_folders(path for path in found if not path.name.startswith("."))


def read_folders(folders: Iterable[Path]) -> tuple[list[Run], list[Path]]:
    """As `read_runs`, for run folders, or links to them, that are named one by one."""
    real = {folder.resolve() if folder.is_symlink() else folder for folder in folders}
    ordered = sorted(real, key=lambda folder: folder.name)
    for folder in ordered:
        if not folder.is_dir():
            raise ReproError(f"{folder}: no such folder; give a run folder")
        if not _NAME.fullmatch(folder.name):
            raise ReproError(
                f"{folder}: not the name of a run folder, expected 20260131T235959Z_...; move it elsewhere"
            )
    unfinished = [folder for folder in ordered if not seal.is_sealed(folder)]
    return [read_run(folder) for folder in ordered if folder not in unfinished], unfinished


def read_run(folder: Path) -> Run:
    """Read one sealed run folder.

    The seal is verified; absent files under ``checkpoints/`` are allowed and counted, since they are not kept
    with the record. The log and metrics.jsonl must tell the same, at the log's precision.
    Raises ReproError with the folder, and the file and line where there is one.
    """
    absent = seal.verify(folder)
    found = _read_json(folder / "env.json")
    env = _environment(str(folder / "env.json"), found)
    kind = _field(str(folder / "env.json"), found, "kind", str)
    if kind not in ("train", "eval"):
        raise ReproError(f"{folder / 'env.json'}: kind: found {kind!r}, expected 'train' or 'eval'")
    config = _read_config(folder / "config.yml")
    log = read_log(folder / f"{kind}.log")
    metrics = folder / "metrics.jsonl"
    events = list(_events(metrics))
    common: dict[str, Any] = {
        "folder": folder, "kind": kind, "config": config, "env": env, "log": log, "absent_checkpoints": absent
    }  # fmt: skip
    return _training(metrics, events, common) if kind == "train" else _evaluation(metrics, events, common)


def _training(path: Path, events: list[dict[str, Any]], common: dict[str, Any]) -> Run:
    """A run of kind "train", from the events of metrics.jsonl and the log."""
    log: Log = common["log"]
    start, end = _only(path, events, "start"), _only(path, events, "end")
    ranks, devices = start["ranks"], common["env"].device_count
    if ranks not in (None, devices):
        raise ReproError(f"{path}: ranks: found {ranks}, but env.json has the device count {devices}")
    epochs = [event for event in events if event["event"] == "epoch"]
    logged, recorded = [epoch.epoch for epoch in log.epochs], [event["epoch"] for event in epochs]
    if logged != recorded or not logged:
        raise ReproError(f"{log.path}: found the epochs {_span(logged)}, but {path} has {_span(recorded)}")
    for line, event in zip(log.epochs, epochs, strict=True):
        where = f"{log.path}:{line.line}"
        _agree(where, "epoch time", line.epoch_time_s, event["epoch_time_s"], 2)
        _agree(where, "fps", line.fps, event["images_per_s"], 2)
        _agree(where, "accuracy", line.accuracy, _fraction(event["top1_pct"]), 6)
    _agree(str(log.path), "training time used", log.training_time_s, end["training_time_s"], 2)
    _agree(str(log.path), "mean_fps", log.mean_fps, end["mean_images_per_s"], 2)
    evaluated = [epoch.accuracy for epoch in log.epochs if epoch.accuracy is not None]
    if evaluated:
        _agree(str(log.path), "last_metric, the best accuracy", log.best_accuracy, max(evaluated), 6)
    resumptions = tuple(event["resumption"] for event in events if event["event"] == "resume")
    return Run(
        **common, skipped_images=end["skipped_images"], eval_images=start["eval_images"], resumptions=resumptions
    )


def _evaluation(path: Path, events: list[dict[str, Any]], common: dict[str, Any]) -> Run:
    """A run of kind "eval", from the event of metrics.jsonl, the log and eval.json."""
    log: Log = common["log"]
    event = _only(path, events, "eval")
    if log.evaluation is None:
        raise ReproError(f"{log.path}: found no line 'accuracy=...', expected one; {path} has an evaluation")
    where = f"{log.path}:{log.evaluation.line}"
    _agree(where, "accuracy", log.evaluation.accuracy, _fraction(event["top1_pct"]), 6)
    _agree(where, "total cost time", log.evaluation.total_s, event["total_time_s"], 4)

    source = common["folder"] / "eval.json"
    result = _read_json(source)
    images = _field(str(source), result, "images", int)
    correct = _field(str(source), result, "correct_top1", int)
    top1 = _field(str(source), result, "top1_pct", float)
    _agree(str(source), "top1_pct", top1, event["top1_pct"], 4)
    _agree(str(source), "top1_pct", top1, 100 * correct / images if images else math.nan, 4)
    if images != event["images"]:
        raise ReproError(f"{source}: images: found {images}, but {path} has {event['images']}")
    return Run(**common, skipped_images=_field(str(source), result, "skipped_images", int), eval_images=images)


# ------------------------------------------------------------------------------------------------- files


def _environment(where: str, found: dict[str, Any]) -> Environment:
    device = _field(where, found, "device", dict)
    datasets = {}
    for split, data in _field(where, found, "dataset", dict).items():
        if data is None:
            continue
        at = f"{where}: dataset: {split}"
        if not isinstance(data, dict):
            raise ReproError(f"{at}: found {data!r}, expected an object")
        full = _field(at, data, "hash", str, optional=True)
        images, classes = _field(at, data, "images", int), _field(at, data, "classes", int)
        datasets[split] = DataSet(images, classes, full.split(":")[0] if full else None, full)
    packages = _field(where, found, "packages", dict)
    cpu = _field(where, found, "cpu", dict)
    return Environment(
        commit=_field(where, found, "commit", str, optional=True),
        dirty=_field(where, found, "dirty", bool, optional=True),
        software=f"MindSpore {packages.get('mindspore') or 'of unknown version'}",
        target=_field(f"{where}: device", device, "target", str),
        device_names=tuple(str(name) for name in _field(f"{where}: device", device, "names", list)),
        device_count=_field(f"{where}: device", device, "count", int),
        cpu=_field(f"{where}: cpu", cpu, "model", str),
        datasets=datasets,
        parameters=_field(where, found, "parameters", int, optional=True),
        missing=tuple(str(text) for text in _field(where, found, "missing", list)),
        resumed_on=tuple(dict.fromkeys(_resumed_on(where, found))),
    )


def _resumed_on(where: str, found: dict[str, Any]) -> Iterator[str]:
    for now in _field(where, found, "resumed", list, optional=True) or []:
        if not isinstance(now, dict):
            raise ReproError(f"{where}: resumed: found {now!r}, expected objects")
        for key in ("commit", "dirty", "packages", "cpu", "device"):
            if now.get(key) != found.get(key):
                yield f"{key} {found.get(key)} -> {now.get(key)}"


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        raise ReproError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise ReproError(f"{path}: found {type(config).__name__}, expected lines of `key: value`")
    return config


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """The checked events of metrics.jsonl, without the steps, which may be very many.

    The steps count from 0, each once, and so they do where a run was resumed.
    """
    steps = 0
    resumed: Resumption | None = None
    for number, line in enumerate(_read_text(path).removesuffix("\n").split("\n"), 1):
        where = f"{path}:{number}"
        event = _json(where, line)
        name = event.get("event")
        if name not in _EVENTS:
            raise ReproError(f"{where}: event: found {name!r}, expected one of {', '.join(_EVENTS)}")
        values = {key: _field(where, event, key, kind) for key, kind in _EVENTS[name].items()}
        optional = _OPTIONAL.get(name, {}).items()
        values |= {key: _field(where, event, key, kind, optional=True) for key, kind in optional}
        if values.get("step", steps) != steps:
            raise ReproError(f"{where}: step: found {values['step']}, expected {steps}: every step once, in order")
        if name == "step":
            if resumed and resumed.epoch != values["epoch"]:
                expected = f"expected {resumed.epoch}, in which the run was resumed"
                raise ReproError(f"{where}: epoch: found {values['epoch']}, {expected}")
            steps, resumed = steps + 1, None
            continue
        if name == "resume":
            values = {"resumption": (resumed := _resumption(where, values))}
        yield {"event": name, **values}


def _resumption(where: str, values: Mapping[str, Any]) -> Resumption:
    for text in values["changed"]:
        if not isinstance(text, str):
            raise ReproError(f"{where}: changed: found {text!r}, expected texts such as 'max_epoch 6 -> 8'")
    if values["repeated_steps"] < 0:
        raise ReproError(f"{where}: repeated_steps: found {values['repeated_steps']}, expected 0 or more")
    return Resumption(**{**values, "changed": tuple(values["changed"])})


def _only(path: Path, events: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = [event for event in events if event["event"] == name]
    if len(found) != 1:
        raise ReproError(f"{path}: found {len(found)} events {name!r} in a sealed run, expected one")
    return found[0]


def _read_json(path: Path) -> dict[str, Any]:
    return _json(str(path), _read_text(path))


def _json(where: str, text: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON, write it as a text")

    try:
        found = json.loads(text, parse_constant=refuse)
    except ValueError as error:
        raise ReproError(f"{where}: found {text[:100]!r}, expected one JSON object: {error}") from None
    if not isinstance(found, dict):
        raise ReproError(f"{where}: found {text[:100]!r}, expected one JSON object")
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReproError(f"{path}: missing, expected in a sealed run folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ReproError(f"{path}: cannot be read: {error}") from None


def _field(where: str, record: Mapping[str, Any], key: str, kind: type, *, optional: bool = False) -> Any:
    """`record[key]`, of this type; numbers that are not finite are written as text. None where optional."""
    value = record.get(key)
    if value is None and optional:
        return None
    if kind is float and isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        found = repr(value)[:100] if key in record else "nothing"
        raise ReproError(f"{where}: {key}: found {found}, expected {_TYPES[kind]}")
    return value


# ------------------------------------------------------------------------------------------------- agreement


def _agree(where: str, what: str, logged: float | None, recorded: float | None, digits: int) -> None:
    """Raise ReproError unless both are the same number at `digits` behind the point, or both are absent."""
    if logged is None or recorded is None:
        same = logged is recorded
    elif math.isfinite(logged) and math.isfinite(recorded):
        # Half a unit, and a little for numbers that were rounded once before.
        same = abs(logged - recorded) <= 0.55 * 10**-digits
    else:
        same = repr(logged) == repr(recorded)
    if not same:
        raise ReproError(f"{where}: {what}: found {logged}, but metrics.jsonl says {recorded}: one of them was altered")


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _span(epochs: list[int]) -> str:
    return f"{epochs[0]} to {epochs[-1]} ({len(epochs)})" if epochs else "none"

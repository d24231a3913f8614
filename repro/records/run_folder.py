"""Read run folders. What is malformed, changed, missing or contradictory is an error."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.files import field, pointed_path, read_json
from repro.records.config import read_config
from repro.records.logs import read_log
from repro.records.metrics import Events, read_events
from repro.records.schema import ClassScore, ConfusedPair, DataSet, Environment, Log, Run
from repro.records.seal import is_sealed, verify_seal

_NAME = re.compile(r"\d{8}T\d{6}Z_.+")


def read_runs(folder: Path) -> tuple[list[Run], list[Path]]:
    """Read the sealed runs under `folder`, oldest first; also return the unfinished folders, which have no seal.

    Raises:
        ReproError: a folder is broken; the message names it.
    """
    return read_folders(list_folders(folder))


def list_folders(folder: Path) -> list[Path]:
    """List the run folders under `folder`, in no order.

    Names that begin with a dot, links (to the newest run) and what belongs to a report's page are passed over.

    Raises:
        ReproError: `folder` cannot be read.
    """
    try:
        found = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError as error:
        raise ReproError(f"{folder}: cannot be read: {error.strerror}; give the folder of the run folders") from None
    return [path for path in found if not path.name.startswith(".") and not _is_of_a_page(path)]


def _is_of_a_page(folder: Path) -> bool:
    """Return whether it holds the figures and tables of a report that was written beside the runs."""
    return not _NAME.fullmatch(folder.name) and folder.with_name(f"{folder.name}.html").is_file()


def read_folders(folders: Iterable[Path]) -> tuple[list[Run], list[Path]]:
    """Read run folders, or links to them, that are named one by one, as `read_runs` does."""
    runs, unfinished, broken = sort_folders(folders)
    for problem in broken.values():
        raise ReproError(problem)
    return runs, unfinished


def sort_folders(folders: Iterable[Path]) -> tuple[list[Run], list[Path], dict[Path, str]]:
    """Read run folders, or links to them: the sealed runs, oldest first, the unfinished folders, and the broken ones.

    What is wrong with a broken one stands beside it, and names it.
    """
    pointed = map(pointed_path, folders)
    real = {folder.resolve() if folder.is_symlink() else folder for folder in pointed}
    runs: list[Run] = []
    unfinished: list[Path] = []
    broken: dict[Path, str] = {}
    for folder in sorted(real, key=lambda folder: folder.name):
        try:
            require_run_folder(folder)
            if is_sealed(folder):
                runs.append(read_run(folder))
            else:
                unfinished.append(folder)
        except ReproError as error:
            broken[folder] = str(error)
        except OSError as error:
            broken[folder] = f"{folder}: cannot be read: {error.strerror}"
    return runs, unfinished, broken


def require_run_folder(folder: Path) -> None:
    """Raise ReproError unless this is a folder with the name of a run."""
    if not folder.is_dir():
        raise ReproError(f"{folder}: no such folder; give a run folder")
    if not _NAME.fullmatch(folder.name):
        raise ReproError(f"{folder}: not the name of a run folder, expected 20260131T235959Z_...; move it elsewhere")


def read_run(folder: Path) -> Run:
    """Read one sealed run folder.

    The seal is verified; absent files under ``checkpoints/`` are allowed and counted, since they are not kept
    with the record. The log and metrics.jsonl must tell the same, at the log's precision.

    Raises:
        ReproError: something is changed, malformed or contradictory; folder, file and line are named.
    """
    absent = verify_seal(folder)
    env, kind = read_environment(folder / "env.json")
    config = read_config(folder / "config.yml")
    log = read_log(folder / f"{kind}.log")
    metrics = folder / "metrics.jsonl"
    events = read_events(metrics)
    common: dict[str, Any] = {
        "folder": folder, "kind": kind, "config": config, "env": env, "log": log, "absent_checkpoints": absent
    }  # fmt: skip
    return _training(metrics, events, common) if kind == "train" else _evaluation(metrics, events, common)


def _training(path: Path, events: Events, common: dict[str, Any]) -> Run:
    """Build a run of kind "train" from the events of metrics.jsonl and the log."""
    log: Log = common["log"]
    start, end = events.only(path, "start"), events.only(path, "end")
    ranks, devices = start["ranks"], common["env"].device_count
    if ranks not in (None, devices):
        raise ReproError(f"{path}: ranks: found {ranks}, but env.json has the device count {devices}")
    epochs = [event for event in events.others if event["event"] == "epoch"]
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
    target = events.target
    if target and target.epoch < len(log.epochs):
        where = f"{log.path}:{log.epochs[target.epoch].line}"
        _agree(where, "accuracy", log.epochs[target.epoch].accuracy, _fraction(target.top1_pct), 6)
    elif target:
        raise ReproError(f"{path}: target: epoch: found {target.epoch}, but the log has {_span(logged)}")
    return Run(
        **common,
        skipped_images=end["skipped_images"],
        eval_images=start["eval_images"],
        top5_pct=epochs[-1]["top5_pct"],
        resumptions=events.resumptions,
        steps=events.steps,
        calibrations=events.calibrations,
        steps_per_epoch=start["steps_per_epoch"] or None,
        target=target,
    )


def _evaluation(path: Path, events: Events, common: dict[str, Any]) -> Run:
    """Build a run of kind "eval" from the event of metrics.jsonl, the log and eval.json."""
    log: Log = common["log"]
    event = events.only(path, "eval")
    if log.evaluation is None:
        raise ReproError(f"{log.path}: found no line 'accuracy=...', expected one; {path} has an evaluation")
    where = f"{log.path}:{log.evaluation.line}"
    _agree(where, "accuracy", log.evaluation.accuracy, _fraction(event["top1_pct"]), 6)
    _agree(where, "total cost time", log.evaluation.total_s, event["total_time_s"], 4)

    source = common["folder"] / "eval.json"
    result = read_json(source)
    images = field(str(source), result, "images", int)
    correct = field(str(source), result, "correct_top1", int)
    top1 = field(str(source), result, "top1_pct", float)
    _agree(str(source), "top1_pct", top1, event["top1_pct"], 4)
    _agree(str(source), "top1_pct", top1, 100 * correct / images if images else math.nan, 4)
    if images != event["images"]:
        raise ReproError(f"{source}: images: found {images}, but {path} has {event['images']}")
    skipped = field(str(source), result, "skipped_images", int)
    classes = tuple(_classes(str(source), result))
    counted = sum(score.images for score in classes), sum(score.correct_top1 for score in classes)
    if classes and counted != (images, correct):
        raise ReproError(f"{source}: classes: {counted[0]} images, {counted[1]} right; but in all {images}, {correct}")
    kept = str(common["folder"] / "env.json")
    meant = field(kept, common["env"].facts, "classes", list, optional=True)
    if classes and meant not in (None, [score.key for score in classes]):
        raise ReproError(f"{source}: classes: not those of {kept}, so one of them was altered")
    return Run(
        **common,
        skipped_images=skipped,
        eval_images=images,
        top5_pct=event["top5_pct"],
        classes_compared=field(str(source), result, "classes_compared", str, optional=True),
        classes=classes,
        confusions=tuple(_confusions(str(source), result)),
    )


def _classes(where: str, result: Mapping[str, Any]) -> Iterator[ClassScore]:
    """Read the scores of each class, if the evaluation counted them."""
    for at, row in _objects(where, result, "classes"):
        counts = [field(at, row, key, int) for key in ("images", "correct_top1", "correct_top5")]
        yield ClassScore(field(at, row, "class", str), field(at, row, "name", str, optional=True) or "", *counts)


def _confusions(where: str, result: Mapping[str, Any]) -> Iterator[ConfusedPair]:
    for at, row in _objects(where, result, "confused"):
        key, taken_for = (field(at, row, name, str) for name in ("class", "taken_for"))
        yield ConfusedPair(key, taken_for, field(at, row, "images", int))


def _objects(where: str, result: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, row in enumerate(field(where, result, key, list, optional=True) or []):
        at = f"{where}: {key}: {number}"
        if not isinstance(row, dict):
            raise ReproError(f"{at}: found {row!r}, expected an object")
        yield at, row


# ------------------------------------------------------------------------------------------------- files


def read_environment(path: Path) -> tuple[Environment, str]:
    """Read env.json, and whether the run is a training or an evaluation: "train" or "eval"."""
    found = read_json(path)
    env = _environment(str(path), found)
    kind = field(str(path), found, "kind", str)
    if kind not in ("train", "eval"):
        raise ReproError(f"{path}: kind: found {kind!r}, expected 'train' or 'eval'")
    return env, kind


def _environment(where: str, found: dict[str, Any]) -> Environment:
    device = field(where, found, "device", dict)
    datasets = {}
    for split, data in field(where, found, "dataset", dict).items():
        if data is None:
            continue
        at = f"{where}: dataset: {split}"
        if not isinstance(data, dict):
            raise ReproError(f"{at}: found {data!r}, expected an object")
        full = field(at, data, "hash", str, optional=True)
        images, classes = field(at, data, "images", int), field(at, data, "classes", int)
        datasets[split] = DataSet(images, classes, full.split(":")[0] if full else None, full)
    count = field(f"{where}: device", device, "count", int)
    if count < 1:
        raise ReproError(f"{where}: device: count: found {count}, expected a whole number from 1 on")
    packages = field(where, found, "packages", dict)
    cpu = field(where, found, "cpu", dict)
    return Environment(
        commit=field(where, found, "commit", str, optional=True),
        dirty=field(where, found, "dirty", bool, optional=True),
        software=f"MindSpore {packages.get('mindspore') or 'of unknown version'}",
        target=field(f"{where}: device", device, "target", str),
        device_names=tuple(str(name) for name in field(f"{where}: device", device, "names", list)),
        device_count=count,
        cpu=cpu_name(f"{where}: cpu", cpu),
        datasets=datasets,
        parameters=field(where, found, "parameters", int, optional=True),
        missing=tuple(str(text) for text in field(where, found, "missing", list)),
        resumed_on=tuple(dict.fromkeys(_resumed_on(where, found))),
        facts=found,
    )


def cpu_name(where: str, cpu: Mapping[str, Any]) -> str:
    """Return name and kind of a CPU: two of one name may compute differently. An older record has no kind.

    Raises:
        ReproError: the name is missing, or one of them is no text; `where` names the record.
    """
    kind = field(where, cpu, "kind", str, optional=True)
    return field(where, cpu, "model", str) + (f" ({kind})" if kind else "")


def _resumed_on(where: str, found: dict[str, Any]) -> Iterator[str]:
    for now in field(where, found, "resumed", list, optional=True) or []:
        if not isinstance(now, dict):
            raise ReproError(f"{where}: resumed: found {now!r}, expected objects")
        for key in ("commit", "source_sha256", "dirty", "packages", "cpu", "device"):
            if now.get(key) != found.get(key):
                yield f"{key} {found.get(key)} -> {now.get(key)}"


# ------------------------------------------------------------------------------------------------- agreement


def _agree(where: str, what: str, logged: float | None, recorded: float | None, digits: int) -> None:
    """Raise ReproError unless both are the same number to so many decimals, or both are absent."""
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

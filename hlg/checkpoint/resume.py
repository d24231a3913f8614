"""Find the checkpoint that an unfinished run resumes from, and what has changed since the run started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlg.checkpoint import store
from hlg.checkpoint.state import State, read_state
from hlg.config import KEYS, Affects, Config, keys_that_affect, load
from hlg.data.classes import OutputClasses, label_images
from hlg.data.index import ImageIndex
from hlg.errors import UserError
from hlg.files import follow_links, load_json, parse_json, read_plain, sha256_of
from hlg.record.run_folder import SEAL

METRICS = 1 << 32  # bytes of metrics.jsonl: 300 epochs of ImageNet on one device have a fiftieth
SHAPES = "class_num", "train_image_size"  # keys that the shapes of a checkpoint depend on


@dataclass(frozen=True)
class Resumption:
    """The point that a run resumes from; ``changed`` says what differs from its start, ``env`` is its ``env.json``.

    ``classes`` is what its outputs mean. ``events`` are those of ``metrics.jsonl`` up to the checkpoint: what every
    rank's journal has to know.
    """

    run: Path
    path: Path
    state: State
    env: dict[str, Any]
    events: list[dict[str, Any]]
    changed: tuple[str, ...]
    classes: OutputClasses


def find_resumption(
    config: Config, device: Mapping[str, Any], dataset: Mapping[str, Any], train_index: ImageIndex
) -> Resumption:
    """Find and check the run that ``config.resume`` names, and its newest checkpoint or the named one.

    Args:
        device: facts of the device now (:meth:`hlg.runtime.device.Device.facts`).
        dataset: facts of the data now, by split (:func:`hlg.data.hashes.split_facts`).
        train_index: the images to train on now.

    Raises:
        UserError: no unfinished training run, no good checkpoint, other class folders and ``class_map`` is empty, or
            something changed and ``resume_changed`` is 0.
    """
    run, path = _locate(Path(config.resume))
    try:
        env = load_json(run / "env.json")
        before, _ = load(["--config_path", str(run / "config.yml")])
        classes = OutputClasses(f"the run {run}", _classes(env))
    except (OSError, ValueError) as error:
        raise UserError(f"resume: {run} is not the folder of a training run ({error})") from None
    if (run / SEAL).exists():
        raise UserError(
            f"resume: {run} is a finished run, so there is nothing to resume; to train further from its weights, "
            f"start a new run with pretrained={run}"
        )
    store.require_good(path, sha256_of(path))
    state = read_state(path)
    label_images(train_index, classes, config.class_map)  # first, since it says more than a hash
    try:
        changed = _changes(before, config, env, device, dataset)
    except (KeyError, TypeError) as error:
        raise UserError(f"{run / 'env.json'}: is not that of a training run (nothing under {error})") from None
    if changed:
        _check_changes(run, changed, before, config, state, device, dataset)
    return Resumption(run, path.resolve(), state, env, _events(run, state.metrics_bytes), tuple(changed), classes)


def _classes(env: object) -> tuple[str, ...] | None:
    """Return the class folders that env.json lists; None where it has none. Raises ValueError if it is damaged."""
    if not isinstance(env, dict) or not isinstance(env.get("recipe"), str):
        raise ValueError("its env.json names no recipe")
    told = env.get("classes")
    if told is not None and not (isinstance(told, list) and all(isinstance(name, str) for name in told)):
        raise ValueError("the classes in its env.json are no list of names")
    return None if told is None else tuple(told)


def _locate(named: Path) -> tuple[Path, Path]:
    """Return run folder and checkpoint."""
    named = follow_links(named)
    if named.suffix == ".ckpt":
        if not named.is_file():
            raise UserError(f"resume: {named}: no such file")
        return named.resolve().parent.parent, named
    if not named.is_dir():
        raise UserError(f"resume: found {str(named)!r}, no such folder; give an unfinished run's folder")
    path = follow_links(named.resolve() / "checkpoints" / store.LAST)
    if not path.exists():
        raise UserError(f"resume: {named} has no checkpoint yet (checkpoints/{store.LAST}): start it anew")
    return named.resolve(), path


def _events(run: Path, size: int) -> list[dict[str, Any]]:
    """Read the events in the first ``size`` bytes of the metrics."""
    path = run / "metrics.jsonl"
    try:
        content = read_plain(path, METRICS)
        if len(content) < size:
            raise ValueError(f"{len(content)} bytes, {size} when the checkpoint was written")
        return [parse_json(line.decode()) for line in content[:size].splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not what it was when the checkpoint was written ({error})") from None


def _changes(
    before: Config, now: Config, env: Mapping[str, Any], device: Mapping[str, Any], dataset: Mapping[str, Any]
) -> list[str]:
    """Say what has changed, one text each: ``max_epoch 6 -> 8``."""
    matter = keys_that_affect(Affects.GRAPHS, Affects.NUMBERS)
    pairs = {key: (getattr(before, key), getattr(now, key)) for key in KEYS if key in matter}
    pairs |= {f"device {key}": (env["device"][key], device[key]) for key in ("target", "names", "count")}
    for split, found in dataset.items():
        known = env["dataset"][split]
        older = known["hash"] == found["files_sizes"]  # of a run from before there was more than that in the hash
        pairs[f"hash of the {split} set"] = known["hash"], known["hash"] if older else found["hash"]
        verified = known.get("verified_content"), found.get("verified_content")
        pairs[f"content of the {split} set, as imagenet-verify found it,"] = verified if all(verified) else ("", "")
    return [f"{name} {_text(old)} -> {_text(new)}" for name, (old, new) in pairs.items() if old != new]


def _check_changes(
    run: Path,
    changed: Sequence[str],
    before: Config,
    now: Config,
    state: State,
    device: Mapping[str, Any],
    dataset: Mapping[str, Any],
) -> None:
    """Raise UserError unless the run can resume with these changes and was asked to."""
    said = f"resume: {run} was started differently: {'; '.join(changed)}. Set these as they were"
    shapes = [key for key in SHAPES if getattr(before, key) != getattr(now, key)]
    steps = dataset["train"]["images"] // (now.batch_size * device["count"])
    if shapes:
        raise UserError(f"{said}: its checkpoint fits no other {' or '.join(shapes)}")
    if steps != state.steps_per_epoch:
        raise UserError(
            f"{said}: its epochs have {state.steps_per_epoch} steps, and these would have {steps}. To train further "
            f"from its weights, start a new run with pretrained={run}"
        )
    if not now.resume_changed:
        raise UserError(
            f"{said}, or resume with resume_changed=1: the run will say so and no report will compare it with anything"
        )


def _text(value: object) -> str:
    return str(int(value) if isinstance(value, bool) else value) or "nothing"

"""Store checkpoints: atomic writes, a hash that is checked on reading, and retention by rule.

A checkpoint is two files: ``hlg_mobile-0042.ckpt``, the parameters of network and optimizer in MindSpore's format, and
``hlg_mobile-0042.json`` beside it, its :class:`State` and its SHA-256. ``last.ckpt`` and ``best.ckpt`` are links, or
files that stand for links (:mod:`hlg.files`).
The class folders that the outputs mean lie inside the first file, so that they go wherever the weights go.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import mindspore as ms
from mindspore import Parameter, Tensor
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from hlg.checkpoint.locate import BEST, LAST, check_file
from hlg.console import note_once
from hlg.data.classes import classes_from_text, classes_to_text
from hlg.errors import UserError
from hlg.files import PARTIAL, flush_to_disk, follow_links, link_or_point, partial_name, sha256_of, write_atomic

CLASSES = "hlg.classes"  # the entry of a file that says what the outputs mean


@dataclass(frozen=True)
class State:
    """What a run needs to resume, besides its parameters."""

    step: int  # steps done
    epoch: int  # epochs whose steps are all done; the last of them is not yet evaluated
    steps_per_epoch: int
    loss_scale: float
    best_top1_pct: float | None
    best_epoch: int | None
    generator: dict[str, Any]  # every random number is a function of these and of the step
    elapsed_s: float  # training time so far
    log_bytes: int  # how much of the log and of metrics.jsonl belongs to the steps done
    metrics_bytes: int
    skipped: list[str]  # unreadable images left out so far
    scheduled: bool  # stays as save_checkpoint_epochs and keep_checkpoint_max say


# ------------------------------------------------------------------------------------------------- writing


def save_checkpoint(
    path: str | Path, parameters: Iterable[Parameter], state: State, classes: tuple[str, ...] | None
) -> Path:
    """Write a checkpoint atomically, so that it is complete or absent even after a power cut.

    MindSpore's own writer deletes an existing file first and does not flush, so it writes to a new name here.
    ``classes`` are the class folders that the outputs mean, in order; None where that is not known.

    Raises:
        UserError: it can't be written; older checkpoints are as they were.
    """
    path = Path(path)
    partial = partial_name(path).with_suffix(path.suffix)
    try:
        path.parent.mkdir(exist_ok=True)  # but not the run folder, should somebody have removed it
        _write_parameters(partial, parameters, classes)
        flush_to_disk(partial)
        sidecar = {**asdict(state), "bytes": partial.stat().st_size, "sha256": sha256_of(partial)}
        # First: a checkpoint without it would be taken for one from elsewhere.
        write_atomic(_sidecar(path), json.dumps(sidecar, indent=1, ensure_ascii=False) + "\n")
        with contextlib.suppress(PermissionError):  # MindSpore's files are their owner's alone; these are as others are
            partial.chmod(_sidecar(path).stat().st_mode)
        partial.replace(path)
        flush_to_disk(path.parent)
    except (OSError, RuntimeError) as error:
        for file in path.parent.glob(f"{PARTIAL}*"):
            file.unlink(missing_ok=True)
        good = newest_good(path.parent)
        raise UserError(
            f"checkpoint {path}: can't be written ({getattr(error, 'strerror', None) or _first_line(error)}); "
            + (f"{good.name} is intact, so make room and resume" if good else "there is no earlier one")
        ) from error
    return path


def _write_parameters(path: Path, parameters: Iterable[Parameter], classes: tuple[str, ...] | None) -> None:
    told = {} if classes is None else {CLASSES: classes_to_text(classes)}
    try:
        ms.save_checkpoint([{"name": p.name, "data": p} for p in parameters], str(path), append_dict=told)
    except PermissionError:
        if not path.exists():  # else it is complete: permissions are what MindSpore sets at last
            raise
        note_once("this storage has no permissions to set, which MindSpore calls a failure: checkpoints are complete")


def link_checkpoint(folder: Path, link: str, path: Path) -> None:
    """Point ``link`` (last.ckpt, best.ckpt) of ``folder`` to the checkpoint ``path`` in it.

    Raises:
        UserError: that can't be written.
    """
    try:
        link_or_point(folder / link, path.name)
    except OSError as error:
        raise UserError(
            f"{folder / link}: can't be made ({error.strerror}); {path.name} is intact, so make room and resume from "
            f"it: RESUME={path} (or --resume)"
        ) from error


def prune_checkpoints(folder: Path, keep: int) -> list[Path]:
    """Delete all but the best, the ``keep`` newest scheduled ones and the last two; returns what was deleted.

    The last two, so that one is left to resume from should the last be damaged.
    """
    found = _newest_first(folder)
    stay = {_real(folder / BEST).name} | {path.name for path, _ in found[:2]}
    stay |= {path.name for path, state in [item for item in found if item[1].scheduled][:keep]}
    old = [path for path, _ in found if path.name not in stay]
    for path in old:
        _delete(path)
    return old


def rewind(folder: Path, path: Path) -> None:
    """Make ``path`` the last checkpoint: delete later ones, which will be written again."""
    link_checkpoint(folder, LAST, path)
    step = read_state(path).step
    for later, known in _newest_first(folder):
        if known.step > step:
            _delete(later)
    if not _real(folder / BEST).exists():
        (folder / BEST).unlink(missing_ok=True)


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
    _sidecar(path).unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------- reading


class Stored(NamedTuple):
    """The content of a checkpoint file; ``classes`` as :class:`hlg.data.classes.OutputClasses` has them."""

    parameters: dict[str, Parameter]
    classes: tuple[str, ...] | str | None


def read_checkpoint(path: str | Path) -> Stored:
    """Read a checkpoint file; one of ours must have the hash that it was written with.

    Raises:
        UserError: no such file, not a readable checkpoint, or altered since; the newest good one beside it is offered.
    """
    path = follow_links(Path(path))
    check_file(path)
    if not is_good(path):
        real = _real(path)
        good = newest_good(real.parent)
        raise UserError(
            f"checkpoint {real}: altered or truncated since it was written (its SHA-256 is not the one in "
            f"{_sidecar(real).name}); " + (f"the newest good one is {good}" if good else "no other is good")
        )
    try:
        if path.suffix == ".safetensors":
            found = {name: Parameter(Tensor(array), name=name) for name, array in load_file(path).items()}
            with safe_open(path, "np") as file:
                told = (file.metadata() or {}).get(CLASSES)
        else:
            found = ms.load_checkpoint(str(path))
            told = found.pop(CLASSES, None)
        return Stored(found, None if told is None else classes_from_text(told))
    except (ValueError, TypeError, RuntimeError, KeyError, SafetensorError) as error:
        raise UserError(f"checkpoint {path}: damaged or not a MindSpore checkpoint ({_first_line(error)})") from error


def restore_checkpoint(path: Path, parameters: Iterable[Parameter]) -> None:
    """Set all of ``parameters`` (network and optimizer) from one of our own checkpoints.

    Raises:
        UserError: an unreadable or altered file, or one that does not hold exactly these parameters.
    """
    stored = read_checkpoint(path).parameters
    own = {p.name: p for p in parameters}
    differ = sorted(own.keys() ^ stored.keys())
    differ += sorted(n for n in own.keys() & stored.keys() if tuple(own[n].shape) != tuple(stored[n].shape))
    if differ:
        raise UserError(
            f"checkpoint {path}: it is of another network or version; these do not fit: {first_few(differ)}"
        )
    for name, parameter in own.items():
        parameter.set_data(Tensor(stored[name].asnumpy(), parameter.dtype))


def read_state(path: Path) -> State:
    """Read the state beside one of our own checkpoints.

    Raises:
        UserError: there is none, or it is damaged.
    """
    where = _sidecar(_real(path))
    try:
        found = json.loads(where.read_text(encoding="utf-8"))
        return State(**{spec.name: found[spec.name] for spec in fields(State)})
    except FileNotFoundError:
        raise UserError(
            f"checkpoint {path}: {where.name}, the state that belongs to it, is missing: it can't be resumed; its "
            "weights alone can be used with pretrained"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: damaged ({_first_line(error)}): its checkpoint can't be resumed") from None


def is_good(path: Path) -> bool:
    """Tell whether a checkpoint has the hash it was written with; one from elsewhere, without a state, passes."""
    path = _real(path)
    try:
        beside = json.loads(_sidecar(path).read_text(encoding="utf-8"))
        ours = isinstance(beside, dict) and "sha256" in beside
        return beside["sha256"] == sha256_of(path) if ours else path.is_file()
    except FileNotFoundError:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _newest_first(folder: Path) -> list[tuple[Path, State]]:
    """List the checkpoints of a run that have a state, the newest first."""
    found = []
    for path in folder.glob("*.ckpt"):
        if path.name not in (LAST, BEST) and not path.is_symlink() and not path.name.startswith(PARTIAL):
            try:
                found.append((path, read_state(path)))
            except UserError:  # damaged: not one to go on from
                continue
    return sorted(found, key=lambda item: item[1].step, reverse=True)


def newest_good(folder: Path) -> Path | None:
    """Find the newest checkpoint of a run that can be resumed, or None."""
    return next((path for path, _ in _newest_first(folder) if is_good(path)), None)


def shape_of(parameter: Parameter) -> str:
    """Write a shape, such as 3x3."""
    return "x".join(map(str, parameter.shape)) or "a scalar"


def first_few(names: list[str], separator: str = ", ") -> str:
    """List the first five names, and say how many more there are."""
    return separator.join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _real(path: Path) -> Path:
    """Return the file that a link, or what stands for one, leads to."""
    return follow_links(path).resolve()


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".json")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

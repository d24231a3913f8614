"""Store checkpoints: atomic writes, hashes that are checked on reading, and retention by rule.

A checkpoint is two files: ``hlg_mobile-0042.ckpt``, the parameters of network and optimizer in MindSpore's format, and
``hlg_mobile-0042.json`` beside it (:mod:`hlg.checkpoint.state`). ``last.ckpt`` and ``best.ckpt`` are links, or files
that stand for links (:mod:`hlg.files`).
The class folders that the outputs mean lie inside the first file, so that they go wherever the weights go.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor

from hlg.checkpoint.formats import parse_tensors, read_file
from hlg.checkpoint.locate import BEST, LAST, check_file
from hlg.checkpoint.state import State, read_state, state_file, verify_checkpoint, write_state
from hlg.console import note_once
from hlg.data.classes import classes_from_text, classes_to_text
from hlg.errors import DivergedError, UserError
from hlg.files import PARTIAL, flush_to_disk, follow_links, link_or_point, partial_name, sha256_of

CLASSES = "hlg.classes"  # the entry of a file that says what the outputs mean


# ------------------------------------------------------------------------------------------------- writing


def save_checkpoint(
    path: str | Path, parameters: Iterable[Parameter], state: State, classes: tuple[str, ...] | None
) -> Path:
    """Write a checkpoint atomically, so that it is complete or absent even after a power cut.

    MindSpore's own writer deletes an existing file first and does not flush, so it writes to a new name here.
    ``classes`` are the class folders that the outputs mean, in order; None where that is not known.

    Raises:
        UserError: it can't be written; older checkpoints are as they were.
        DivergedError: values are NaN or infinite, so nobody could resume from it.
    """
    path, parameters = Path(path), list(parameters)
    if faults := _not_finite((p.name, p.asnumpy()) for p in parameters):
        raise DivergedError(
            f"after {state.step} steps, {first_few(faults, '; ')}, so no checkpoint is written. Try a lower lr_max, a "
            "longer warmup_epochs, or amp_level O0 to tell float16 from the recipe"
        )
    partial = partial_name(path).with_suffix(path.suffix)
    try:
        path.parent.mkdir(exist_ok=True)  # but not the run folder, should somebody have removed it
        _write_parameters(partial, parameters, classes)
        flush_to_disk(partial)
        # The state first: a checkpoint without it would be taken for one from elsewhere.
        write_state(state_file(path), state, partial)
        with contextlib.suppress(PermissionError):  # MindSpore's files are their owner's alone; these are as others are
            partial.chmod(state_file(path).stat().st_mode)
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
    state_file(path).unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------- reading


class Stored(NamedTuple):
    """The content of a checkpoint file; ``classes`` as :class:`hlg.data.classes.OutputClasses` has them."""

    arrays: dict[str, np.ndarray]
    classes: tuple[str, ...] | str | None
    sha256: str


def read_checkpoint(path: str | Path) -> Stored:
    """Read a checkpoint file; one of ours must be what was written, with the state beside it.

    Raises:
        UserError: no such file, not a readable checkpoint, or altered since; the newest good one beside it is offered.
    """
    path = follow_links(Path(path))
    check_file(path)
    content = read_file(path)
    sha256 = hashlib.sha256(content).hexdigest()
    require_good(path, sha256)
    arrays, texts = parse_tensors(path, content)
    try:
        return Stored(arrays, classes_from_text(texts[CLASSES]) if CLASSES in texts else None, sha256)
    except ValueError as error:
        raise UserError(f"checkpoint {path}: {CLASSES} in it is damaged ({_first_line(error)})") from None


def restore_checkpoint(path: Path, parameters: Iterable[Parameter]) -> None:
    """Set all of ``parameters`` (network and optimizer) from one of our own checkpoints.

    Raises:
        UserError: an unreadable or altered file, or one that does not hold exactly these parameters.
    """
    stored = read_checkpoint(path).arrays
    own = {p.name: p for p in parameters}
    differ = sorted(own.keys() ^ stored.keys())
    differ += sorted(n for n in own.keys() & stored.keys() if stored[n].shape != own[n].shape)
    if differ:
        raise UserError(
            f"checkpoint {path}: it is of another network or version; these do not fit: {first_few(differ)}"
        )
    set_from_arrays(path, stored, own)


def set_from_arrays(path: str | Path, stored: Mapping[str, np.ndarray], own: Mapping[str, Parameter]) -> None:
    """Set each parameter from the array of its name in the file ``path``, or none of them.

    Raises:
        UserError: an array of anything but floats, or with values that are not finite.
    """
    with np.errstate(over="ignore"):  # float64 may hold more than float32: that is infinite then
        arrays = {name: stored[name].astype(ms.dtype_to_nptype(p.dtype)) for name, p in own.items()}
    faults = [f"{name} is of type {stored[name].dtype}, not float" for name in own if stored[name].dtype.kind != "f"]
    if faults := faults or _not_finite(arrays.items()):
        raise UserError(f"checkpoint {path}: no network can compute with it, take another: {first_few(faults, '; ')}")
    for name, parameter in own.items():
        parameter.set_data(Tensor(arrays[name]))


def _not_finite(arrays: Iterable[tuple[str, np.ndarray]]) -> list[str]:
    """Say of each array how many of its values are NaN or infinite, if any are."""
    counts = ((name, array.size, np.count_nonzero(~np.isfinite(array))) for name, array in arrays)
    return [f"{count:,} of {size:,} values of {name} are NaN or infinite" for name, size, count in counts if count]


def is_good(path: Path) -> bool:
    """Tell whether a checkpoint and its state are what was written; one from elsewhere, without a state, passes."""
    try:
        verify_checkpoint(path, sha256_of(_real(path)))
    except (OSError, UserError):
        return False
    return True


def require_good(path: Path, sha256: str) -> None:
    """Hold a checkpoint, whose hash is this one, and its state against what was written.

    Raises:
        UserError: they have been altered; the newest good checkpoint beside them is offered.
    """
    try:
        verify_checkpoint(path, sha256)
    except UserError as error:
        good = newest_good(_real(path).parent)
        offer = f"the newest good one is {good}" if good else "no other is good"
        raise UserError(f"{error.args[0]}; {offer}") from None


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


def shape_of(parameter: Parameter | np.ndarray) -> str:
    """Write a shape, such as 3x3."""
    return "x".join(map(str, parameter.shape)) or "a scalar"


def first_few(names: list[str], separator: str = ", ") -> str:
    """List the first five names, and say how many more there are."""
    return separator.join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _real(path: Path) -> Path:
    """Return the file that a link, or what stands for one, leads to."""
    return follow_links(path).resolve()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

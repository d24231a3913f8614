"""Keep the state of a run beside each of its checkpoints, with a hash over the state and the weights.

``hlg_mobile-0042.json`` beside ``hlg_mobile-0042.ckpt`` holds the :class:`State`, size and SHA-256 of the checkpoint,
and ``state_sha256``: that of all of this, so that neither can change, or be exchanged, without the other.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from hlg.errors import UserError
from hlg.files import follow_links, load_json, sha256_of, write_atomic

LARGEST_STATE = 256 * 2**20  # bytes; every image of ImageNet could have been skipped
WEIGHTS_HASH, STATE_HASH = "sha256", "state_sha256"


@dataclass(frozen=True)
class State:
    """State that a run resumes from, besides its parameters."""

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


_KEYS = {spec.name for spec in fields(State)} | {"bytes", WEIGHTS_HASH}


def state_file(path: Path) -> Path:
    """Return where the state of a checkpoint, or of the one that a link leads to, is kept."""
    return follow_links(path).resolve().with_suffix(".json")


def write_state(where: Path, state: State, weights: Path) -> None:
    """Write the state that belongs to the weights in this file.

    Raises:
        OSError: it can't be written.
    """
    kept = {**asdict(state), "bytes": weights.stat().st_size, WEIGHTS_HASH: sha256_of(weights)}
    write_atomic(where, json.dumps({**kept, STATE_HASH: _hash(kept)}, indent=1, ensure_ascii=False) + "\n")


def read_state(path: Path) -> State:
    """Read the state beside one of our own checkpoints.

    Raises:
        UserError: there is none, or it is damaged or altered.
    """
    kept = _read(state_file(path))
    if kept is None:
        raise UserError(
            f"checkpoint {path}: {state_file(path).name}, the state that belongs to it, is missing: it can't be "
            "resumed; its weights alone can be used with pretrained"
        )
    return State(**{spec.name: kept[spec.name] for spec in fields(State)})


def verify_checkpoint(path: Path, sha256: str) -> None:
    """Hold a checkpoint, whose hash is this one, against what lies beside it; one without a state of ours passes.

    Raises:
        UserError: checkpoint or state is not what it was when both were written.
    """
    where = state_file(path)
    kept = _read(where)
    if kept is not None and kept[WEIGHTS_HASH] != sha256:
        raise UserError(
            f"checkpoint {where.with_suffix(path.suffix)}: altered or truncated since it was written (its SHA-256 is "
            f"not the one in {where.name})"
        )


def _read(where: Path) -> dict[str, Any] | None:
    """Read a file that :func:`write_state` wrote; None if there is none, or another program wrote it.

    Raises:
        UserError: it is damaged or altered.
    """
    try:
        kept = load_json(where, LARGEST_STATE)
        if not isinstance(kept, dict) or not kept.keys() & {STATE_HASH, "steps_per_epoch"}:
            return None
        told = kept.pop(STATE_HASH, None)
        if kept.keys() != _KEYS:
            raise ValueError(f"unknown or missing: {', '.join(sorted(kept.keys() ^ _KEYS))}")
        # Runs that were started before there was a hash over the state have none.
        if told not in (None, _hash(kept)):
            raise ValueError(f"its {STATE_HASH} does not match its contents")
        wrong = [spec.name for spec in fields(State) if not _fits(kept[spec.name], spec.type)]
        if wrong or not isinstance(kept[WEIGHTS_HASH], str):
            raise ValueError(f"can't be right: {', '.join(wrong) or WEIGHTS_HASH}")
        return kept
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: damaged or altered ({error})") from None


def _hash(kept: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _fits(value: object, wanted: Any) -> bool:
    """Tell whether a value of JSON is what a field of :class:`State` holds; no number there is negative."""
    if isinstance(wanted, UnionType):
        return any(_fits(value, one) for one in get_args(wanted))
    if wanted is float:
        return type(value) in (int, float) and 0 <= value < math.inf  # type: ignore[operator]
    if wanted is int:
        return type(value) is int and 0 <= value < 2**63
    inside = value if isinstance(value, list) else ()
    return isinstance(value, get_origin(wanted) or wanted) and all(isinstance(one, get_args(wanted)) for one in inside)

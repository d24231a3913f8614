"""Read metrics.jsonl, the events of a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from repro.errors import ReproError
from repro.files import BEYOND, COUNTED, field, json_object, read_lines
from repro.records.schema import Calibration, ResumeEvent, Steps, TargetReached

MOST_EVENTS = 300_000  # but for steps and calibrations; they are kept as objects, and no run has a hundredth
# What is read of each event: what must be there, and what may.
_EVENTS: dict[str, dict[str, type]] = {
    "start": {"eval_images": int},
    "compile": {},
    "step": {"step": int, "epoch": int, "loss": float, "lr": float, "step_time_ms": float, "data_wait_ms": float},
    "calibration": {"step": int, "calibration_ms": float},
    "epoch": {"epoch": int, "epoch_time_s": float, "images_per_s": float},
    "resume": {"time": str, "step": int, "epoch": int, "checkpoint": str, "repeated_steps": int, "changed": list},
    "end": {"training_time_s": float, "mean_images_per_s": float, "skipped_images": int},
    "target": {
        **{"target_top1_pct": float, "epoch": int, "top1_pct": float},
        **{"training_time_s": float, "wall_time_s": float},
    },
    "eval": {"top1_pct": float, "images": int, "total_time_s": float},
}
_OPTIONAL: dict[str, dict[str, type]] = {
    "start": {"ranks": int, "steps_per_epoch": int},
    "compile": {"compile_time_s": float},
    "epoch": {"top1_pct": float, "top5_pct": float, "eval_time_s": float},
    "resume": {"compile_time_s": float},
    "eval": {"top5_pct": float},
}

# All but a few lines are steps just as a run writes them, and msgspec reads these many times as fast. It takes a line
# that is as described here or none, so no line that `json_object` and `field` would refuse or read as other numbers.
# They read every other line: a step with nan, with a key that is unknown, or with a mistake in it.
_Count = Annotated[int, msgspec.Meta(ge=0, le=COUNTED)]
_Positive = Annotated[float, msgspec.Meta(gt=0, lt=BEYOND)]  # the int -0, which is the float 0.0, is not -0.0


class _Step(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The event of a step."""

    event: Literal["step"]
    epoch: _Count
    step: _Count
    loss: _Positive
    lr: _Positive
    step_time_ms: _Positive
    data_wait_ms: _Positive
    overflow: bool = False


_plain_step = msgspec.json.Decoder(_Step).decode


@dataclass(frozen=True)
class Events:
    """The events of a metrics.jsonl; `steps` and `calibrations` by themselves, since there may be very many."""

    steps: Steps
    calibrations: tuple[Calibration, ...]
    others: tuple[dict[str, Any], ...]

    def only(self, path: Path, name: str) -> dict[str, Any]:
        """Return the one event of this name. Raises ReproError naming `path` unless there is exactly one."""
        found = [event for event in self.others if event["event"] == name]
        if len(found) != 1:
            raise ReproError(f"{path}: found {len(found)} events {name!r} in a sealed run, expected one")
        return found[0]

    @property
    def target(self) -> TargetReached | None:
        """What the run reported of its target accuracy."""
        found = next((event for event in self.others if event["event"] == "target"), None)
        return TargetReached(*(found[key] for key in _EVENTS["target"])) if found else None

    @property
    def resumptions(self) -> tuple[ResumeEvent, ...]:
        """Where the run was resumed."""
        return tuple(event["resumption"] for event in self.others if event["event"] == "resume")


def read_events(path: Path, unfinished: bool = False) -> Events:
    """Read and check every event, line by line. Steps count from 0, each once, also if the run was resumed.

    The last line of an `unfinished` run may still be in the making, and is left out then.

    Raises:
        ReproError: an event is malformed or out of order; file, line and key are named.
    """
    steps = Steps()
    calibrations: list[Calibration] = []
    others: list[dict[str, Any]] = []
    resumed: ResumeEvent | None = None
    add_loss, add_lr = steps.loss.append, steps.lr.append
    add_step_time, add_data_wait = steps.step_time_ms.append, steps.data_wait_ms.append
    for number, line in read_lines(path):
        if unfinished and not line.endswith("\n"):
            break
        step: _Step | None
        try:
            step = _plain_step(line)
        except msgspec.MsgspecError:
            where = f"{path}:{number}"
            event = json_object(where, line)
            values, name = _values(where, event), event["event"]
            step = _Step(name, **values) if name == "step" else None
        if step:
            if step.step != len(steps.loss):
                raise _disorder(f"{path}:{number}", step.step, steps)
            if resumed and resumed.epoch != step.epoch:
                expected = f"expected {resumed.epoch}, in which the run was resumed"
                raise ReproError(f"{path}:{number}: epoch: found {step.epoch}, {expected}")
            resumed = None
            add_loss(step.loss)
            add_lr(step.lr)
            add_step_time(step.step_time_ms)
            add_data_wait(step.data_wait_ms)
            continue
        if values.get("step", len(steps.loss)) != len(steps.loss):
            raise _disorder(where, values["step"], steps)
        if name == "calibration":
            if not 0 < values["calibration_ms"] < math.inf:
                found = values["calibration_ms"]
                raise ReproError(f"{where}: calibration_ms: found {found}, expected a finite number above 0")
            calibrations.append(Calibration(values["step"], values["calibration_ms"]))
        elif name == "resume":
            others.append({"event": name, "resumption": (resumed := _resumption(where, values))})
        else:
            others.append({"event": name, **values})
        if len(others) > MOST_EVENTS:
            raise ReproError(f"{where}: found more than {MOST_EVENTS:,} events that are no steps, expected one run")
    return Events(steps, tuple(calibrations), tuple(others))


def _values(where: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked fields of an event in the order of _EVENTS, without those that nothing reads."""
    name = event.get("event")
    if not isinstance(name, str) or name not in _EVENTS:
        raise ReproError(f"{where}: event: found {name!r}, expected one of {', '.join(_EVENTS)}")
    values = {key: field(where, event, key, kind) for key, kind in _EVENTS[name].items()}
    optional = _OPTIONAL.get(name, {}).items()
    values |= {key: field(where, event, key, kind, optional=True) for key, kind in optional}
    for key, value in values.items():
        most = 100 if key.endswith("_pct") else math.inf
        if isinstance(value, float) and key != "loss" and (value < 0 or value > most):  # nan is neither
            raise ReproError(f"{where}: {key}: found {value}, expected a number from 0 to {most:g}")
    return values


def _disorder(where: str, step: int, steps: Steps) -> ReproError:
    return ReproError(f"{where}: step: found {step}, expected {len(steps.loss)}: every step once, in order")


def _resumption(where: str, values: Mapping[str, Any]) -> ResumeEvent:
    for text in values["changed"]:
        if not isinstance(text, str):
            raise ReproError(f"{where}: changed: found {text!r}, expected texts such as 'max_epoch 6 -> 8'")
    return ResumeEvent(**{**values, "changed": tuple(values["changed"])})

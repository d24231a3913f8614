"""Writes run folders as configs/check.yml leaves them: one epoch with its losses, its times and its calibrations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.check.baselines import Baseline, make_baseline
from repro.records.run_folder import read_run
from repro.records.schema import Run
from tests.support.folders import RECIPE, STAMP, TINY, environment, number, seal, write

STEPS = 40
LOSSES = tuple(2.3 - step / 100 for step in range(STEPS))
ENV = {
    "recipe": "check",
    "packages": {"mindspore": "2.10.0", "numpy": "1.26.4", "pillow": "13.0.0"},
    "cpu": {"model": "Intel Xeon", "cores": 2},
    "variables": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
}


def check_run(
    root: Path,
    number_of: int = 1,
    *,
    losses: Sequence[float] = LOSSES,
    step_ms: float | Sequence[float] = 800.0,
    calibration_ms: float | Sequence[float] | None = 40.0,
    slow_moments: Sequence[int] = (),
    top1_pct: float = 30.0,
    env: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """All steps and calibrations take one time or each its own, and in `slow_moments` five times as long."""
    begun = {"event": "start", "eval_images": TINY["eval"]["images"]}
    events: list[dict[str, Any]] = [begun, {"event": "compile", "compile_time_s": 30.0}]
    for step, loss in enumerate(losses):
        load = 5 if step in slow_moments else 1
        took, calibration = (ms[step] if isinstance(ms, Sequence) else ms for ms in (step_ms, calibration_ms))
        if calibration is not None:
            events.append({"event": "calibration", "step": step, "calibration_ms": load * calibration})
        times = {"step_time_ms": number(load * took), "data_wait_ms": 0.1}
        events.append({"event": "step", "epoch": 0, "step": step, "loss": number(loss), "lr": 0.001, **times})
    time, speed, share = 32.0, 20.0, top1_pct / 100
    summary = {"epoch_time_s": time, "images_per_s": speed, "top1_pct": number(top1_pct)}
    events.append({"event": "epoch", "epoch": 0, **summary})
    events.append({"event": "end", "training_time_s": 40.0, "mean_images_per_s": speed, "skipped_images": 0})
    facts = environment("train", ("x86_64",), 1, TINY) | ENV | dict(env or {})
    settings = {**RECIPE, "max_epoch": 1, "seed": 1, **(config or {})}
    folder = write(root / f"20261123T{number_of:06}Z_check_cpux1_1a2b3c4d", settings, facts, events)
    lines = [
        f"epoch[0], epoch time: {time:.2f}s, per step time: 0.8000s, loss={losses[-1]:.6f}, lr=0.001000, "
        f"fps={speed:.2f}, accuracy={share:.6f}, eval_cost=5.00",
        "training time used=40.00s",
        f"last_metric[{share}]",
        f"ip[127.0.0.1], mean_fps[{speed:.2f}]",
    ]
    (folder / "train.log").write_text("".join(f"{STAMP}{line}\n" for line in lines))
    return seal(folder)


def short_run(root: Path, number_of: int = 1, **changes: Any) -> Run:
    """The run that `check_run` writes."""
    return read_run(check_run(root, number_of, **changes))


def off(by: float, since: int = 0) -> tuple[float, ...]:
    """The losses, another by so much since a step."""
    return tuple(loss + by if step >= since else loss for step, loss in enumerate(LOSSES))


def sse() -> dict[str, Any]:
    """The environment in which another instruction set rounds otherwise."""
    return {"variables": {"ONEDNN_MAX_CPU_ISA": "SSE41"}}


def baseline(root: Path, **changes: Any) -> Baseline:
    """Of two repetitions and one that rounds otherwise: its losses are up to 0.001 off, its accuracy 1 point."""
    rounded = {"losses": off(0.001, since=10), "top1_pct": 31.0, "env": {**changes.get("env", {}), **sse()}}
    runs = [short_run(root, 1, **changes), short_run(root, 2, **changes), short_run(root, 3, **changes | rounded)]
    return make_baseline(runs, root / "baselines")

"""The device, the mode and the seeds: all that must happen before a network is built."""

import platform
import signal
import threading
from dataclasses import dataclass
from typing import Any

import mindspore as ms

from hlg.config import Config
from hlg.errors import UserError


@dataclass(frozen=True)
class Device:
    """What a run computes on: ``target`` is CPU, GPU or Ascend."""

    target: str
    name: str
    count: int = 1

    def facts(self) -> dict[str, Any]:
        """As kept in ``env.json``."""
        return {"target": self.target, "names": [self.name] * self.count, "count": self.count}


def start(config: Config) -> Device:
    """Select device, mode and seeds.

    Raises:
        UserError: a device that MindSpore does not find here, or settings that this version can't run.
    """
    if config.run_distribute:
        raise UserError("run_distribute: found 1; this version trains on one device only, set it to 0")
    if config.enable_modelarts:
        raise UserError(
            "enable_modelarts: found 1; copying to and from ModelArts storage is not part of this suite. Set it to 0 "
            "and point dataset_path and eval_path at the data"
        )
    if config.open_profiler:
        raise UserError("open_profiler: found 1; this version does not profile, set it to 0")
    try:
        ms.set_device(config.device_target, config.device_id)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().split(". ")[0]
        raise UserError(
            f"device_target: found {config.device_target} (device_id {config.device_id}), which MindSpore "
            f"{ms.__version__} can't use on this machine ({reason}); set device_target to CPU, or install the "
            "driver and libraries of that device"
        ) from error
    ms.set_context(mode=config.context_mode)
    ms.set_deterministic(True)
    ms.set_seed(config.seed)
    return Device(config.device_target, _name(config.device_target))


def take_back_signals() -> None:
    """Let Ctrl-C be a KeyboardInterrupt again and SIGTERM end the process.

    MindSpore 2.10.0 takes both over when it first runs something and then kills the process without a word, so loops
    call this at every turn.
    """
    if threading.current_thread() is threading.main_thread():  # handlers belong to it
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _name(target: str) -> str:
    """The product name of the device, as MindSpore gives it."""
    if target == "CPU":
        return platform.machine()
    try:
        return str(ms.hal.get_device_name(0, target))
    except (RuntimeError, ValueError, AttributeError):
        return "unknown"

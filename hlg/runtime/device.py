"""Set up device, mode and seeds, and join the other ranks: all that comes before a network."""

import os
import platform
from dataclasses import dataclass
from typing import Any

import mindspore as ms
from mindspore import communication

from hlg.config import Config
from hlg.errors import LostRankError, UserError
from hlg.limits import usable_cores
from hlg.runtime import fused_kernels
from hlg.runtime.engine import Engine, check_start


@dataclass(frozen=True)
class Device:
    """The device of this process. ``target`` is CPU, GPU or Ascend, ``rank`` its place among ``count`` ranks."""

    target: str
    name: str
    rank: int = 0
    count: int = 1

    @property
    def shard(self) -> tuple[int, int]:
        """Rank and number of ranks, as the loaders take them."""
        return self.rank, self.count

    def facts(self) -> dict[str, Any]:
        """Return what ``env.json`` records of the device."""
        return {"target": self.target, "names": [self.name] * self.count, "count": self.count}


def start(config: Config) -> Device:
    """Select device, mode and seeds, and join the other ranks.

    A process that msrun started as the scheduler stays in here until the ranks are done, and then exits.

    Raises:
        UserError: a device that MindSpore does not find here, ranks that do not come together, or settings that this
            version can't run.
    """
    started_by = check_start(config)
    try:
        ms.set_device(config.device_target, started_by.device_id if started_by else config.device_id)
        if config.device_target != "CPU":  # a driver that is too old shows only when the devices are counted
            getattr(ms.device_context, config.device_target.lower()).device_count()
    except (RuntimeError, ValueError) as error:
        words = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("-")]
        reason = words[0].split(". ")[0] if words else type(error).__name__
        raise UserError(
            f"device_target: found {config.device_target} (device_id {config.device_id}), which MindSpore "
            f"{ms.__version__} can't use on this machine ({reason}); set device_target to CPU, or install the "
            "driver and libraries of that device"
        ) from error
    # Where an operator is done at once there is nothing to queue it for: the queues' threads spin meanwhile, and took
    # three to eight times as much of a CPU as all the work of PyNative mode.
    ms.set_context(mode=config.context_mode, pynative_synchronize=config.device_target == "CPU")
    if (cores := usable_cores()) < len(os.sched_getaffinity(0)):
        ms.set_context(runtime_num_threads=cores)
    if config.graph_kernel:
        fused_kernels.prepare_kernels(config)
        ms.set_context(enable_graph_kernel=True)
    ms.set_deterministic(True)
    ms.set_seed(config.seed)
    rank, count = _join(started_by) if started_by and config.run_distribute else (0, 1)
    return Device(config.device_target, _name(config.device_target), rank, count)


def _join(started_by: Engine) -> tuple[int, int]:
    """Join the other ranks; returns (rank, number of ranks) as the engine says, never from a setting."""
    try:
        communication.init()
        return communication.get_rank(), communication.get_group_size()
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0]
        if os.environ.get("MS_ROLE") == "MS_SCHED" and "timed out node" in reason:
            raise LostRankError(
                f"the scheduler lost contact with a rank ({reason}): it died, or its machine hangs"
            ) from error
        raise UserError(
            f"run_distribute: the {started_by.ranks} ranks did not connect ({reason}). Check that every machine's "
            "part of the job was started with the same --master; the logs of the other ranks may say more"
        ) from error


def _name(target: str) -> str:
    """Return the product name of the device, as MindSpore gives it."""
    if target == "CPU":
        return platform.machine()
    try:
        return str(ms.hal.get_device_name(0, target))
    except (RuntimeError, ValueError, AttributeError):
        return "unknown"

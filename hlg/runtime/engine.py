"""Find the launcher of this rank, and check that the run can start as configured.

Nothing here imports MindSpore, so that programs can report a mistake before they do.
"""

import os
import re
import sys
from dataclasses import dataclass

from hlg.config import Config
from hlg.errors import UserError
from hlg.limits import usable_cores
from hlg.record.processor import openblas_core
from hlg.runtime import fused_kernels


@dataclass(frozen=True)
class Engine:
    """The launcher of this rank: its name, the number of ranks, and the device of this one."""

    name: str
    ranks: int
    device_id: int


def engine(environment: dict[str, str]) -> Engine | None:
    """Tell which engine set these environment variables: msrun (or hlg.launch), a rank table, mpirun, or None.

    Raises:
        UserError: what it says of ranks or devices is no whole number, or an absurd one.
    """
    get = environment.get

    def number(name: str) -> int:
        text = get(name, "0")
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
            raise UserError(
                f"{name}: found {text[:40]!r} in the environment; allowed: a whole number of up to 6 digits"
            )
        return int(text)

    if get("MS_ROLE"):
        return Engine("msrun", number("MS_WORKER_NUM"), number("DEVICE_ID"))
    if get("RANK_TABLE_FILE") and get("RANK_ID"):
        return Engine("RANK_TABLE_FILE", number("RANK_SIZE"), number("DEVICE_ID"))
    if get("OMPI_COMM_WORLD_SIZE"):
        return Engine("mpirun", number("OMPI_COMM_WORLD_SIZE"), number("OMPI_COMM_WORLD_LOCAL_RANK"))
    return None


def check_start(config: Config) -> Engine | None:
    """Check what can be checked before MindSpore is imported; returns what started this process, None for nothing.

    Raises:
        UserError: settings that this version can't run, or that do not fit how this process was started.
    """
    if config.open_profiler:
        raise UserError("open_profiler: found 1; a training is not profiled, make profile does that; set it to 0")
    started_by = engine(dict(os.environ))
    if config.run_distribute and not started_by:
        raise UserError(
            "run_distribute: found 1, but this process was started alone. Start the ranks by make train-gpu8 (or "
            "-ascend8, -cpu2), python -m hlg.launch --ranks 8, msrun or mpirun, or set run_distribute to 0"
        )
    if started_by and started_by.ranks > 1 and not config.run_distribute:
        raise UserError(
            f"run_distribute: found 0, but {started_by.name} started {started_by.ranks} ranks, and each would train "
            "alone: set run_distribute to 1"
        )
    if config.graph_kernel:
        fused_kernels.check_kernels(config)
    if usable_cores() < len(os.sched_getaffinity(0)):  # MindSpore and OpenMP count cores, and know no quota
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    if "numpy" not in sys.modules and (core := openblas_core()):  # which reads this as it is loaded
        os.environ.setdefault("OPENBLAS_CORETYPE", core)
    return started_by

"""Time a fixed calculation, which tells how fast the machine is for this process at this moment.

Other processes, a lower clock and another machine change the time of a training step and the time of this in nearly
the same proportion, so `make check` holds a step against it instead of against a clock.
"""

import time
from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

REPEATS = 6
HOST_SIZE = 768  # 11 to 40 ms on two cores, at most 5 % of a step of configs/check.yml
DEVICE_SIZE = 4096


def calibration_definition(target: str) -> str:
    """Describe the calculation, as recorded with the run; only times of the same one can be compared."""
    by, size, kind = ("NumPy", HOST_SIZE, "float32") if target == "CPU" else ("MindSpore", DEVICE_SIZE, "float16")
    return f"{REPEATS} products of {size} x {size} matrices, {by} {kind}"


def calibration_timer(target: str) -> Callable[[], float]:
    """Return a function that does the calculation once and returns its time, ms; ``target`` is CPU, GPU or Ascend.

    It multiplies matrices: on a CPU by NumPy in float32, so that a slower MindSpore is not hidden by a slower
    calculation, elsewhere by MindSpore in float16, since nothing else here reaches those devices.
    """
    rng = np.random.default_rng(0)
    if target == "CPU":
        matrix = rng.standard_normal((HOST_SIZE, HOST_SIZE)).astype(np.float32)

        def calculate() -> None:
            for _ in range(REPEATS):
                matrix @ matrix
    else:
        tensor = Tensor(rng.standard_normal((DEVICE_SIZE, DEVICE_SIZE)), ms.float16)

        def calculate() -> None:
            for _ in range(REPEATS):
                product = ops.matmul(tensor, tensor)
            product[0, 0].asnumpy()  # what is read back is done

    def measure() -> float:
        began = time.perf_counter()
        calculate()
        return 1000 * (time.perf_counter() - began)

    measure()  # whatever the first time needs
    return measure

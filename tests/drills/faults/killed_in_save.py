"""A training that is SIGKILLed in the middle of writing its third checkpoint."""

import os
import signal
import sys

import mindspore as ms

from hlg import train
from hlg.checkpoint import store
from tests.support.narrow import narrow

write = ms.save_checkpoint
count = 0


def write_half(parameters: object, name: str) -> None:
    global count
    count += 1
    write(parameters, name)
    if count == 3:
        os.truncate(name, os.stat(name).st_size // 2)  # noqa: PTH116
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    narrow()
    store.ms.save_checkpoint = write_half
    sys.exit(train.main())

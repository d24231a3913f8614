"""A training with a fault planted in its process.

python -m tests.drills.faults.planted FAULT [options of hlg.train], a fault of those below
"""

import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from unittest.mock import Mock

import mindspore as ms

from hlg import train
from hlg.checkpoint import store
from hlg.data import decode
from hlg.record import run_folder
from tests.support.disks import storage_without
from tests.support.narrow.network import narrow

fault = sys.argv.pop(1)
now, gmtime, save = time.time, time.gmtime, ms.save_checkpoint
saved = 0  # checkpoints


def earlier() -> float:
    """The time, an hour less since the first checkpoint."""
    return now() - 3600 * (saved > 0)


def counted_save(parameters: object, name: str, **more: object) -> None:
    """Saves a checkpoint; SIGKILL comes in the middle of the third."""
    global saved
    save(parameters, name, **more)
    saved += 1
    if fault == "killed_in_save" and saved == 3:
        os.truncate(name, os.stat(name).st_size // 2)  # noqa: PTH116
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    narrow()
    store.ms.save_checkpoint = counted_save
    if fault == "killed_in_seal":
        replace = Path.replace
        Path.replace = lambda path, to: os.kill(os.getpid(), 9) if to.name == run_folder.SEAL else replace(path, to)  # type: ignore
    if fault == "storage_hangs":  # at an image with a file NAME.hangs beside it
        read = decode.read_plain
        decode.read_plain = lambda path, most: (  # type: ignore
            time.sleep(1e6) if Path(f"{path}.hangs").exists() else read(path, most)
        )
    if fault == "less_than_posix":
        storage_without(setattr)
    if fault == "clock_back":
        run_folder.datetime = Mock(now=lambda tz=None: datetime.fromtimestamp(earlier(), tz))  # type: ignore[misc]
        time.time = earlier
        time.gmtime = lambda seconds=None: gmtime(earlier() if seconds is None else seconds)
    sys.exit(train.main())

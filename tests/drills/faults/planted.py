"""The training of all drills: with the narrow network, and with a fault planted in its process, or with none.

python -m tests.drills.faults.planted none|killed_in_save|... [options of hlg.train]

Graphs are kept for each program, so one program compiles them once.
"""

import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from unittest.mock import Mock

from hlg.signals import run_main
from hlg.train import main
from tests.support.narrow import make_narrow, when_stoppable
from tests.support.storage import storage_without

fault = sys.argv.pop(1)
now, gmtime = time.time, time.gmtime
saved = 0  # checkpoints


def earlier() -> float:
    """The time, an hour less since the first checkpoint."""
    return now() - 3600 * (saved > 0)


def prepare() -> None:
    """Make the network narrow and plant the fault."""
    import mindspore as ms

    from hlg.data import decode
    from hlg.record import run_folder

    make_narrow()
    save, replace, read = ms.save_checkpoint, Path.replace, decode.read_plain

    def counted_save(parameters: object, name: str, **more: object) -> None:
        """Saves a checkpoint; SIGKILL may come in the middle of the third."""
        global saved
        save(parameters, name, **more)
        saved += 1
        if fault == "killed_in_save" and saved == 3:
            os.truncate(name, os.stat(name).st_size // 2)  # noqa: PTH116
            os.kill(os.getpid(), signal.SIGKILL)

    ms.save_checkpoint = counted_save
    if fault == "killed_in_seal":
        Path.replace = lambda path, to: os.kill(os.getpid(), 9) if to.name == run_folder.SEAL else replace(path, to)  # type: ignore
    if fault == "storage_hangs":  # at an image with a file NAME.hangs beside it
        decode.read_plain = lambda path, most: (  # type: ignore
            time.sleep(1e6) if Path(f"{path}.hangs").exists() else read(path, most)
        )
    if fault == "less_than_posix":
        storage_without(setattr)
    if fault == "clock_back":
        run_folder.datetime = Mock(now=lambda tz=None: datetime.fromtimestamp(earlier(), tz))  # type: ignore[misc]
        time.time = earlier
        time.gmtime = lambda seconds=None: gmtime(earlier() if seconds is None else seconds)


if __name__ == "__main__":
    when_stoppable(prepare)
    run_main(main)

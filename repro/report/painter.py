"""Draws charts: here, or in a process of its own, which loads matplotlib while this one reads the runs.

python -m repro.report.painter < charts > pictures       # what this module tells itself, pickled
"""

import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from markupsafe import Markup

from repro.report.curves import Chart
from repro.report.step_times import Distribution

Order = tuple[Chart | Distribution, str]  # a chart, and what it shows in words


@dataclass(frozen=True)
class Picture:
    """A chart as two files, and as the part of a page. `key` is the name of the files."""

    key: str
    svg: bytes
    png: bytes
    inline: Markup


class Painter:
    """To be used as a context: what it has started ends with it.

    `aside`: draw in a process of its own, on several cores, which is worth it only where there is other work to do
    before there is something to draw.
    """

    def __init__(self, aside: bool) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if aside:
            command = [sys.executable, "-m", __name__]
            # Of one thread, since it forks; and what can be imported here can be there.
            alike = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ | alike)

    def __enter__(self) -> "Painter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def draw(self, orders: Sequence[Order]) -> Iterable[Picture]:
        """The pictures in the order of their charts. Without a chart nothing of matplotlib is loaded here."""
        if not self._process:
            return [_draw(order) for order in orders]
        answer, _ = self._process.communicate(pickle.dumps(orders))
        if self._process.returncode:
            raise ChildProcessError(f"the process that draws the charts ended with {self._process.returncode}")
        pictures: list[Picture] = pickle.loads(answer)
        return pictures


def _draw(order: Order) -> Picture:
    _load()
    from repro.report.drawing import draw

    return draw(*order)


def _load() -> None:
    """Import matplotlib, half a second, where it does without a home that it can write to.

    Else it says so on the terminal, or fails without one.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        Path.home()
    except RuntimeError:
        os.environ.setdefault("MPLCONFIGDIR", os.devnull)  # no folder, so that it makes one and takes it away again
    import repro.report.drawing  # noqa: F401


def main() -> None:
    """Load, wait for the charts, and draw as many at once as there are cores. Nothing said is nothing drawn."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who started it says what there is to say
    _load()
    said = sys.stdin.buffer.read()
    if said:
        orders: Any = pickle.loads(said)
        cores = min(len(os.sched_getaffinity(0)), len(orders))
        with ProcessPoolExecutor(cores, get_context("fork")) as pool:
            sys.stdout.buffer.write(pickle.dumps(list(pool.map(_draw, orders))))


if __name__ == "__main__":
    main()

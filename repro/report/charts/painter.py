"""Draws charts: here, or in a process of its own, which loads matplotlib while this one reads the runs."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

from markupsafe import Markup

from repro.report.charts.curves import Chart
from repro.report.charts.step_times import Distribution

Order = tuple[Chart | Distribution, str]  # a chart, and what it shows in words

_FORK = get_context("fork")  # what is loaded here is loaded there, and nothing is taken down at its end


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
        self._process = None
        if aside:
            self._process, self._line = _fork(_draw_aside)

    def __enter__(self) -> "Painter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._line.close()
            self._process.kill()
            self._process.join()

    def draw(self, orders: Sequence[Order]) -> Iterable[Picture]:
        """The pictures in the order of their charts. Without a chart nothing of matplotlib is loaded here."""
        if not (self._process and orders):
            return [_draw(order) for order in orders]
        try:
            self._line.send(orders)
            pictures: list[Picture] = self._line.recv()
        except (EOFError, OSError):
            self._process.join()
            raise ChildProcessError(f"the process that draws the charts ended with {self._process.exitcode}") from None
        return pictures


def _draw(order: Order) -> Picture:
    _load()
    from repro.report.charts.drawing import draw

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
    import repro.report.charts.drawing  # noqa: F401


def _fork(work: Callable[[Connection], None]) -> tuple[ForkProcess, Connection]:
    """A process, and the line to it. Who reads or writes hears that the far end is gone, for each closes that one.

    A process that is forked later holds this line too, as long as it lasts: the last one hears first, then the others.
    """
    line, far_end = _FORK.Pipe()

    def run() -> None:
        line.close()
        work(far_end)

    process = _FORK.Process(target=run)
    process.start()
    far_end.close()
    return process, line


def _draw_aside(line: Connection) -> None:
    """Load, wait for the charts, and draw as many at once as there are cores; end where nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who started it says what there is to say
    _load()
    try:
        orders: Sequence[Order] = line.recv()
    except EOFError:
        return
    _draw_to(line, orders, min(len(os.sched_getaffinity(0)), len(orders)))


def _draw_to(line: Connection, orders: Sequence[Order], cores: int = 1) -> None:
    """Draw every `cores`-th chart here, and the others in processes of their own.

    Not in a pool, whose processes wait for work for ever when who would give it is killed.
    """
    helpers = [_fork(partial(_draw_to, orders=orders[k::cores]))[1] for k in range(1, cores)]
    try:
        shares = [[_draw(order) for order in orders[::cores]], *(helper.recv() for helper in helpers)]
    except EOFError:  # one of them is gone, such as for want of memory
        sys.exit(1)
    with suppress(ConnectionError):
        line.send([shares[n % cores][n // cores] for n in range(len(orders))])

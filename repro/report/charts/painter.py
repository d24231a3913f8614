"""Draw charts: in this process, or in another that loads matplotlib while this one still reads the runs."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

from markupsafe import Markup

from repro.report.charts.curves import Chart
from repro.report.charts.inline import inline_svg
from repro.report.charts.sides import Dots
from repro.report.charts.step_times import Distribution

Order = tuple[Chart | Distribution | Dots, str]  # a chart, and what it shows in words

_FORK = get_context("fork")  # what is loaded here is loaded there


@dataclass(frozen=True)
class Picture:
    """A chart as two files, and as an element of the page. `key` is the name of the files."""

    key: str
    svg: bytes
    png: bytes
    inline: Markup


class Painter:
    """Draw charts. It is a context, at whose end the processes that it started are gone.

    Args:
        aside: Draw in a process of its own, and from there on all cores. This pays if there is a second of other work
            to do, in which that process loads matplotlib, before there is something to draw.
        helpers: Otherwise, draw in so many other processes.
    """

    def __init__(self, aside: bool, helpers: int = 0) -> None:
        works = [_draw_on_all_cores] if aside else [_draw_here] * helpers
        self._helpers = [_start_helper(work) for work in works]

    def __enter__(self) -> "Painter":
        return self

    def __exit__(self, *_: object) -> None:
        for process, line in self._helpers:
            line.close()
            process.kill()
            process.join()

    def draw(self, orders: Sequence[Order]) -> list[Picture]:
        """Return the pictures in the order of their charts; without a chart, matplotlib is not loaded here.

        Raises:
            ChildProcessError: A process that draws has ended.
        """
        if not (self._helpers and orders):
            return _draw_here(orders)
        count = len(self._helpers)
        for number, (_, line) in enumerate(self._helpers):
            with suppress(ConnectionError):  # one that is gone is noticed below
                line.send(orders[number::count])
        shares: list[list[Picture]] = []
        for process, line in self._helpers:
            try:
                shares.append(line.recv())
            except (EOFError, OSError):
                process.join()
                raise ChildProcessError(f"the process that draws the charts ended with {process.exitcode}") from None
        return [shares[number % count][number // count] for number in range(len(orders))]


def _draw(order: Order) -> Picture:
    _load()
    from repro.report.charts.drawing import draw_chart

    chart, words = order
    svg, png, legend = draw_chart(chart, words)
    return Picture(chart.key, svg, png, inline_svg(svg, chart.key, chart.title, words, legend))


def _load() -> None:
    """Import matplotlib, which takes half a second, quietly even without a home that it can write to."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        Path.home()
    except RuntimeError:
        os.environ.setdefault("MPLCONFIGDIR", os.devnull)  # no folder, so that it makes one and takes it away again
    import repro.report.charts.drawing  # noqa: F401


def _start_helper(work: Callable[[Sequence[Order]], list[Picture]]) -> tuple[ForkProcess, Connection]:
    """Start a process that loads matplotlib and waits for orders; return it with the line to it.

    It ends when the other end of its line is closed, and so if this process is killed, where the processes of a pool
    would wait forever. A helper that is started later holds the line as well, as long as it lasts: the last one ends
    first, then the others.
    """
    line, far_end = _FORK.Pipe()

    def run() -> None:
        line.close()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # who started it says what there is to say
        _load()
        with suppress(EOFError, ConnectionError):  # nobody waits for pictures anymore
            far_end.send(work(far_end.recv()))

    process = _FORK.Process(target=run)
    process.start()
    far_end.close()
    return process, line


def _draw_here(orders: Sequence[Order]) -> list[Picture]:
    return [_draw(order) for order in orders]


def _draw_on_all_cores(orders: Sequence[Order]) -> list[Picture]:
    """Draw in further processes, for which matplotlib is loaded already."""
    with Painter(aside=False, helpers=min(len(os.sched_getaffinity(0)), len(orders))) as painter:
        try:
            return painter.draw(orders)
        except ChildProcessError:  # one of them is gone, such as for want of memory
            sys.exit(1)

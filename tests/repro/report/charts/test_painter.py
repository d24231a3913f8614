"""Charts of long runs, which are drawn in other processes: the same bytes, and nothing left behind."""

import os
import select
import shutil
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from repro.records.seal import SEAL
from repro.report import __main__ as report
from repro.report.charts import painter
from repro.report.charts.curves import Chart
from repro.report.charts.painter import Order, Painter, Picture
from tests.support.archives import files_in
from tests.support.long_run import long_run
from tests.support.processes import wait_for
from tests.support.reports import run_report

Patch, Captured = pytest.MonkeyPatch, pytest.CaptureFixture[str]
ORDER = Chart("loss", "Loss", "Loss", ".3f", "", (), np.ones(1), np.ones(1)), ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_run(tmp_path_factory.mktemp("runs"), epochs=3, steps=50)


@pytest.fixture
def aside(monkeypatch: Patch) -> Patch:
    """Has charts drawn in two other processes, however short the runs are."""
    monkeypatch.setattr(report, "MUCH", 0)
    monkeypatch.setattr(painter.os, "sched_getaffinity", lambda _: {0, 1})
    return monkeypatch


def draw_elsewhere(here: int, draw: Callable[[Order], Picture], order: Order) -> Picture:
    assert os.getpid() != here
    return draw(order)


def test_charts_drawn_aside_are_the_same_to_the_byte(folder: Path, tmp_path: Path, aside: Patch) -> None:
    aside.setattr(painter, "_draw", partial(draw_elsewhere, os.getpid(), painter._draw))
    assert run_report(folder.parent, tmp_path / "aside" / "r.md") == 0
    aside.undo()
    assert run_report(folder.parent, tmp_path / "here" / "r.md") == 0
    assert files_in(tmp_path / "aside") == files_in(tmp_path / "here")
    assert len(list(tmp_path.glob("here/r/figures/*.png"))) == 5


def test_an_unfinished_run_makes_no_charts(folder: Path, tmp_path: Path, aside: Patch, capfd: Captured) -> None:
    shutil.copytree(folder, tmp_path / "runs" / folder.name, ignore=shutil.ignore_patterns(SEAL))
    assert run_report(tmp_path / "runs", tmp_path / "out" / "r.md") == 0
    made = files_in(tmp_path / "out")
    assert folder.name in made["r.md"].decode()
    assert not [name for name in made if "figures" in name]
    assert capfd.readouterr().err == ""
    assert active_children() == []


@pytest.mark.parametrize("ordered", [True, False])
def test_helpers_of_a_killed_report_end_and_say_nothing(ordered: bool, aside: Patch, capfd: Captured) -> None:
    output, held_by_all = os.pipe()
    with Painter(aside=True) as drawing:
        os.close(held_by_all)
        ((process, line),) = drawing._helpers
        if ordered:
            line.send([ORDER] * 4)
        line.close()
        assert select.select([output], [], [], 60)[0], "a helper outlives the report"
        assert os.read(output, 1) == b""
        process.join(60)
        assert process.exitcode == 0
    os.close(output)
    assert capfd.readouterr() == ("", "")


def test_helpers_of_a_helper_that_is_killed_end_too(aside: Patch) -> None:
    output, held_by_all = os.pipe()
    with Painter(aside=True) as drawing:
        os.close(held_by_all)
        ((process, line),) = drawing._helpers
        line.send([ORDER] * 8)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_for(children.read_text, "helpers of the helper")
    assert select.select([output], [], [], 60)[0], "a helper of the helper outlives it"
    assert os.read(output, 1) == b""
    os.close(output)


def test_ctrl_c_is_one_line_and_leaves_nothing(folder: Path, tmp_path: Path, aside: Patch, capfd: Captured) -> None:
    aside.setattr(report, "build_charts", Mock(side_effect=KeyboardInterrupt))
    assert run_report(folder.parent, tmp_path / "out" / "r.md") == 130
    said = capfd.readouterr().err
    assert said == "stopped by Ctrl-C: each file of the report is complete, either the old or the new one\n"
    assert list(tmp_path.iterdir()) == []
    assert active_children() == []


@pytest.mark.parametrize(
    ("what", "death"),
    [
        ("_load", lambda: os._exit(1)),  # before it is asked for anything
        ("_draw", lambda _: os.kill(os.getpid(), signal.SIGKILL)),  # a helper's helper, such as for want of memory
    ],
)
def test_a_helper_that_dies_is_an_error_in_one_line(
    what: str, death: Callable[..., None], folder: Path, tmp_path: Path, aside: Patch, capfd: Captured
) -> None:
    aside.setattr(painter, what, death)
    assert run_report(folder.parent, tmp_path / "out" / "r.md") == 2
    assert capfd.readouterr().err == "error: the process that draws the charts ended with 1\n"
    assert not (tmp_path / "out").exists()

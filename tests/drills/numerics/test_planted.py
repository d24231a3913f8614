"""The fingerprint finds what is wrong and names it; of an intact stack it finds nothing wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
import pytest

from hlg.fingerprint import checks, forward
from hlg.fingerprint.bounds import Row, judge_of
from hlg.runtime import device
from tests.drills.numerics import faults  # noqa: F401 - fills FAULTS
from tests.drills.numerics.planted import FAULTS, first_out
from tests.support.processes import run_module

OF_SEVERAL_RANKS = {"sum_for_mean"}


@pytest.fixture(autouse=True)
def _pynative() -> Iterator[None]:
    """PyNative mode, which has nothing to compile; graph mode afterwards, as other tests expect it."""
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in OF_SEVERAL_RANKS])
def test_a_planted_fault_is_found_and_its_row_is_the_first_one_named(name: str) -> None:
    row = first_out(name)
    assert row is not None
    assert row.label == FAULTS[name].row, row
    assert len(row.cause) > 20


def test_gradients_that_are_all_a_multiple_are_called_so() -> None:
    row = first_out("sum_over_ranks")
    assert row is not None
    assert row.cause.startswith("All of it is 8 times what it should be: loss scaling is not undone")


def intact(amp_level: str) -> list[Row]:
    return list(checks.rows(checks.checks(judge_of(amp_level), amp_level, device.Device("CPU", "test"))))


def test_an_intact_network_is_within_all_bounds_in_graph_mode() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)
    rows = intact("O0")
    assert [row for row in rows if not row.ok] == []
    assert [row.label for row in rows if not row.done] == [
        "ranks: mean over all ranks",
        "ranks: the same on all ranks",
        "ranks: exact counts",
    ]
    assert len({row.label for row in rows}) == len(rows) > 150


def test_an_intact_network_is_within_all_bounds_in_pynative_mode() -> None:
    assert [row for row in intact("O0") if not row.ok] == []


@pytest.mark.parametrize("amp_level", ["O2", "O3"])
def test_half_precision_is_within_its_bounds_and_beyond_those_of_float32(amp_level: str) -> None:
    network = forward.Forward(amp_level)
    assert [row for row in network.rows(judge_of(amp_level)) if not row.ok] == []
    assert [row for row in network.rows(judge_of("O0")) if row.ok] == []


def run_ranks(program: list[str], folder: Path) -> tuple[int, str]:
    done = run_module("hlg.launch", "--ranks", "2", f"--logs={folder}/logs", *program, f"--out={folder}")
    return done.returncode, done.stdout + done.stderr


def test_two_ranks_find_a_sum_where_the_mean_belongs(tmp_path: Path) -> None:
    program = ["tests.drills.numerics.planted", "sum_for_mean", "--only=ranks", "--context_mode=1"]
    code, said = run_ranks(program, tmp_path)
    assert code == 1, said
    assert "the first: ranks: mean over all ranks" in said
    assert "All of it is 2 times what it should be" in said


def test_two_ranks_that_are_right_say_so_and_leave_a_file_each(tmp_path: Path) -> None:
    code, said = run_ranks(["hlg.fingerprint", "--only=ranks", "--context_mode=1"], tmp_path)
    assert code == 0, said
    found = [json.loads((tmp_path / f"cpu_o0_pynative_rank{r}of2.json").read_text()) for r in (0, 1)]
    assert [facts["rank"] for facts in found] == [0, 1]
    assert [row["name"] for row in found[0]["rows"]] == [
        "mean over all ranks",
        "the same on all ranks",
        "exact counts",
        "other ranks",
    ]
    assert {row["verdict"] for facts in found for row in facts["rows"]} == {"ok"}

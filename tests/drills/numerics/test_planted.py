"""The fingerprint finds what is wrong and names it, and finds nothing wrong with an intact stack."""

import json
from pathlib import Path

import mindspore as ms
import pytest

from hlg.fingerprint.bounds import load_reference
from hlg.fingerprint.checks import all_checks, run_checks
from hlg.fingerprint.forward import ForwardCheck
from hlg.fingerprint.rows import LABELS
from hlg.runtime.device import Device
from tests.drills.numerics.faults import FAULTS
from tests.drills.numerics.planted import first_out
from tests.support.processes import run_module

OF_SEVERAL_RANKS = "The mean over the ranks is a sum"
OF_RANKS = [label for label in LABELS if label.startswith("ranks: ")]
pytestmark = pytest.mark.usefixtures("pynative_mode")


@pytest.mark.parametrize("says", [says for says in FAULTS if says != OF_SEVERAL_RANKS])
def test_a_planted_fault_is_found_and_its_row_is_the_first_one_named(says: str) -> None:
    row = first_out(says)
    assert row is not None
    assert row.label == FAULTS[says].row, row


def test_an_intact_network_is_within_all_bounds_in_graph_mode() -> None:  # in PyNative mode by .ci/run's make start
    ms.set_context(mode=ms.GRAPH_MODE)
    rows = list(run_checks(all_checks(load_reference("O0"), "O0", Device("CPU", "test"))))
    assert [row for row in rows if not row.ok] == []
    assert [row.label for row in rows] == [label for label in LABELS if label != "ranks: other ranks"]
    assert [row.label for row in rows if not row.done] == OF_RANKS[:-1]


@pytest.mark.parametrize("amp_level", ["O2", "O3"])
def test_half_precision_is_within_its_bounds_and_beyond_those_of_float32(amp_level: str) -> None:
    check = ForwardCheck(amp_level)
    assert [row for row in check.rows(load_reference(amp_level)) if not row.ok] == []
    assert [row for row in check.rows(load_reference("O0")) if row.ok] == []


def run_ranks(folder: Path, *program: str, code: int) -> str:
    options = ("--only=ranks", "--context_mode=1", f"--out={folder}")
    done = run_module("hlg.launch", "--ranks", 2, f"--logs={folder}/logs", *program, *options, code=code)
    return done.stdout + done.stderr


def test_two_ranks_find_a_sum_where_the_mean_belongs(tmp_path: Path) -> None:
    said = run_ranks(tmp_path, "tests.drills.numerics.planted", OF_SEVERAL_RANKS, code=1)
    assert "the first: ranks: mean over all ranks" in said
    assert "All of it is 2 times what it should be" in said


def test_two_ranks_that_are_right_say_so_and_leave_a_file_each(tmp_path: Path) -> None:
    run_ranks(tmp_path, "hlg.fingerprint", code=0)
    found = [json.loads((tmp_path / f"cpu_o0_pynative_rank{r}of2.json").read_text()) for r in (0, 1)]
    assert [facts["rank"] for facts in found] == [0, 1]
    assert [f"ranks: {row['name']}" for row in found[0]["rows"]] == OF_RANKS
    assert {row["verdict"] for facts in found for row in facts["rows"]} == {"ok"}

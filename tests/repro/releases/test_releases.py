"""Two releases, measured by stand-ins for the programs: kept files, the table, and where the two part."""

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from repro.check.baselines import write_baseline
from repro.check.workload import VARIABLES
from repro.releases import __main__ as measuring
from repro.releases import diff
from repro.statistics import median_interval
from tests.support import ROOT
from tests.support.checks import STEPS, baseline, check_run, off
from tests.support.programs import Call, Said

OLD, NEW = "2.7.0", "2.10.0"
MEASURE = ("--releases", f"{OLD} {NEW}", "--python", "./base")
COMMIT = "1a2b3c4d" * 5
STAND_IN = f'#!/bin/sh\nexec {sys.executable} -I -S {ROOT}/tests/support/stand_ins/release_python.py {{}} "$@"\n'


def plant(losses: tuple[float, int] | None = None, **old: Any) -> None:
    """Let the old release give other losses, a `row` out of bounds or a `ratio` of times, or let programs `fail`."""
    shutil.rmtree("runs", ignore_errors=True)
    for release in (OLD, NEW):
        packages = {"mindspore": release, "numpy": "1.26.4", "pillow": "13.0.0"}
        by, since = losses if losses and release == OLD else (0, 0)
        check_run(Path("runs", release), losses=off(by, since), env={"packages": packages})
    Path("planted.json").write_text(json.dumps({OLD: old}))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the default's environment, and a Python that builds others; the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    programs = {".venv/bin/python": STAND_IN.format(NEW), "base": STAND_IN.format("base")}
    for name, text in {**programs, "docker/revision.sh": f"#!/bin/sh\necho {COMMIT}\n"}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / ".venv/installed-lock.sha256").write_text(f"lock of {NEW}")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/check.yml").write_text("seed: 1\n")
    plant()
    return tmp_path


def keep_band(place: Path) -> None:
    """Keep a baseline whose band is 0.001 from step 10 on."""
    write_baseline(baseline(place / "results"))


def table(said: Said) -> dict[str, str]:
    """The lines of the table by release."""
    return {line.split()[0]: line for line in said.out.splitlines() if line[:1].isdigit() and ": " not in line[:10]}


def test_a_release_is_measured_once_for_a_code_a_machine_and_a_lock(
    place: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = call(measuring.main, *MEASURE)
    assert "3 of 3 rows" in table(first)[OLD]
    assert f"bit for bit as {OLD}" in table(first)[NEW]
    assert table(first)["2.9.0"].count("not run") == 7
    found = json.loads(Path(f"results/releases/{OLD}.json").read_text())
    assert (found["commit"], found["key"]["cpu"], found["key"]["lock"]) == (
        COMMIT,
        "AMD EPYC",
        f"lock of {OLD}",
    )
    assert len(found["short_run"]["losses"]) == STEPS
    assert "measured before" in call(measuring.main, *MEASURE).out
    assert call(diff.main, OLD, NEW).out.endswith(f"{OLD} and {NEW}: the same\n")
    log = Path(f"build/releases/{OLD}/log")
    changes: list[Callable[[], object]] = [
        lambda: Path("configs/check.yml").write_text("seed: 2\n"),
        lambda: Path(".venv/installed-lock.sha256").write_text("another"),
        lambda: monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41"),
    ]
    for times, change in enumerate(changes, start=2):
        change()
        call(measuring.main, "--releases", OLD, "--python", "./base")
        assert log.read_text().count("hlg.train") == times
    assert (
        "on another machine than the default: AMD EPYC, 2 cores, ONEDNN_MAX_CPU_ISA=SSE41"
        in table(call(measuring.main, "--releases", OLD, "--python", "./base"))[OLD]
    )


def test_a_planted_difference_is_named_by_release_row_and_step(place: Path, call: Call) -> None:
    keep_band(place)
    plant(row="batch norm", losses=(0.5, 12), ratio=1.5)
    rows = table(call(measuring.main, *MEASURE))
    assert "first out: forward: stem: batch norm (it rounds)" in rows[OLD]
    assert "1.50 (1.50 to 1.50)" in rows[OLD]
    assert "step slower beyond noise" in rows[OLD]
    assert f"parts from {OLD} at step 12 by 0.5, where rounding explains 0.004" in rows[NEW]
    said = call(diff.main, OLD, NEW, code=1).out
    for words in (
        f"graph mode: they part first at forward: stem: batch norm: {OLD} out (3.0e-03), {NEW} ok (1.0e-07)",
        "probable cause: it rounds.",
        f"losses: {NEW} parts from {OLD} at step 12",
        f"step: {NEW} takes 0.67 (0.67 to 0.67) of the time of {OLD}, beyond noise (a factor of 1.05)",
        f"{OLD} and {NEW}: they part",
    ):
        assert words in said


def test_what_rounding_explains_is_no_difference(place: Path, call: Call) -> None:
    keep_band(place)
    plant(losses=(0.003, 12), ratio=1.02)
    call(measuring.main, *MEASURE)
    said = call(diff.main, OLD, NEW).out
    assert f"within rounding of {OLD}, from step 12 on, by up to 0.003" in said
    assert "which noise explains" in said


def test_a_loss_that_is_no_number_is_a_difference(place: Path, call: Call) -> None:
    keep_band(place)
    plant(losses=(float("nan"), 30))
    call(measuring.main, *MEASURE)
    assert f"parts from {OLD} at step 30: 2, not nan" in call(diff.main, OLD, NEW, code=1).out


@pytest.mark.parametrize("program", ["bootstrap", "fingerprint", "train", "bench"])
def test_a_failure_of_one_release_is_a_row_and_is_tried_again(program: str, place: Path, call: Call) -> None:
    plant(fail=program)
    rows = table(call(measuring.main, *MEASURE, code=1))
    assert "No space left on device" in rows[OLD]
    assert f"see build/releases/{OLD}/log" in rows[OLD]
    assert "3 of 3 rows" in rows[NEW]
    said = call(diff.main, OLD, NEW, code=1).out
    assert f"{OLD}: " in said
    assert " failed: " in said
    plant()
    assert "failed" not in table(call(measuring.main, *MEASURE))[OLD]


def test_an_environment_that_cannot_be_built_costs_no_earlier_measurement(place: Path, call: Call) -> None:
    call(measuring.main, *MEASURE)
    plant(fail="bootstrap")
    said = call(measuring.main, *MEASURE, code=1)
    assert "environment: failed: No space left on device" in said.out
    assert "3 of 3 rows" in table(said)[OLD]


def test_ctrl_c_loses_nothing_that_is_finished(place: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("repro.releases.measure.pace_programs", Mock(side_effect=KeyboardInterrupt))
        said = call(measuring.main, *MEASURE, code=130)
    assert said.err == "stopped by Ctrl-C: what is finished is kept, and make releases resumes behind it\n"
    again = call(measuring.main, "--releases", NEW, "--python", "./base").out
    assert f"{NEW}: short run: {STEPS} steps" in again  # found, not run: no seconds
    assert re.search(rf"{NEW}: step by turns: \d+ s, ", again)


def test_a_full_disk_is_one_line(place: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file.json")
    monkeypatch.setattr("repro.releases.__main__.write_kept", Mock(side_effect=full))
    said = call(measuring.main, *MEASURE, code=2).err
    assert said == f"error: file.json: No space left on device; {measuring.KEEPS}\n"


def test_mistakes_are_said_in_a_line_before_anything_is_measured(place: Path, call: Call) -> None:
    said = call(measuring.main, "--releases", "2.7.0 1.5.1", code=2)
    assert said == ("", "error: --releases: found '1.5.1'; known: 2.10.0, 2.9.0, 2.8.0, 2.7.2, 2.7.1, 2.7.0\n")
    assert "B: found '1.5.1', which is no known release; known: 2.10.0," in call(diff.main, OLD, "1.5.1", code=2).err
    assert f'{OLD} was not measured; type: make releases VERSIONS="{OLD}"' in call(diff.main, OLD, NEW, code=2).err
    Path("results/releases").mkdir(parents=True)
    Path(f"results/releases/{OLD}.json").write_text('{"format": 1, "release": "2.7.0"}')
    advice = (
        f"results/releases/{OLD}.json: key: found nothing, expected an object; remove it and make it again: make rel"
    )
    for main, words in ((measuring.main, MEASURE), (diff.main, (OLD, NEW))):
        said = call(main, *words, code=2)
        assert advice in said.err
        assert said.out == ""


@pytest.mark.parametrize(("n", "expected"), [(1, (0, 0)), (5, (0, 4)), (6, (0, 5)), (9, (1, 7)), (20, (5, 14))])
def test_the_interval_of_a_median_is_that_of_the_sign_test(n: int, expected: tuple[int, int]) -> None:
    assert median_interval(list(range(n))[::-1]) == expected

"""Runs that kept every step: the fast ways to read many lines give what the careful ways give."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from repro.errors import ReproError
from repro.records.logs import read_log
from repro.records.metrics import read_events
from repro.records.run_folder import read_run
from tests.support.long_run import long_run

EPOCHS, STEPS = 3, 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_run(tmp_path_factory.mktemp("runs"), EPOCHS, STEPS)


def outcome(read: Callable[[Path], Any], path: Path) -> str:
    """What was read, with all its digits, or what the error says."""
    try:
        return repr(read(path))
    except ReproError as error:
        return f"error: {error}"


def test_every_step_is_read_with_all_its_digits(folder: Path) -> None:
    run = read_run(folder)
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert len(steps) == EPOCHS * STEPS == run.log.step_lines
    for name in ("loss", "lr", "step_time_ms", "data_wait_ms"):
        assert getattr(run.steps, name).tolist() == [step[name] for step in steps]


def take_none(line: str) -> NoReturn:
    raise msgspec.DecodeError


STEP = (
    '{"event": "step", "epoch": 0, "step": 0, "loss": 6.951729774475098, "lr": 3.999999975690116e-08, '
    '"step_time_ms": 464.0636166350796, "data_wait_ms": 0.28474603839343277, "overflow": false}'
)
ODD = (
    *("0", "-0", "-0.0", "0.0", "1", "-1", "1e400", "-1e400", "1e-400", "9" * 20, "9" * 302, "9" * 400, "9" * 5000),
    *("1.7976931348623157e308", "5e-324", "1E5", "1e+5", "1.0", "01", "1.", ".5", "+1", "1e", "0x1", "1_0", "\u0663"),
    *('"nan"', '"inf"', '"-inf"', '"NaN"', "NaN", "Infinity", "null", "true", "false", "[]", "{}", '""', '"1.5"', ""),
)
ANY = st.sampled_from(ODD) | st.floats().map(repr) | st.integers().map(str) | st.text(max_size=3)
VALUE = re.compile(r'(?<=": )[^,}]+')  # of a key
COUNT = len(VALUE.findall(STEP))


@given(value=st.integers(0, COUNT - 1), other=ANY)
@example(value=3, other="-0")
@example(value=4, other="9" * 302)
@example(value=2, other='5, "step": 0')
@example(value=0, other='"compile", "event": "step"')
@example(value=0, other='"st\\u0065p"')
@example(value=7, other="true, \r")
@example(value=7, other='true, "more": {"a": [1]}')
def test_a_step_with_another_value_is_read_as_by_the_careful_way(folder: Path, value: int, other: str) -> None:
    path, place = folder.parent / "metrics.jsonl", [*VALUE.finditer(STEP)][value]
    second = STEP.replace('"step": 0', '"step": 1')
    path.write_text(f'{{"event": "compile"}}\n{STEP[: place.start()]}{other}{STEP[place.end() :]}\n{second}\n')
    short = outcome(read_events, path)
    with patch("repro.records.metrics._plain_step", take_none):
        assert outcome(read_events, path) == short


def test_a_plain_step_takes_the_short_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(STEP + "\n")
    monkeypatch.setattr("repro.records.metrics.json_object", take_none)
    assert read_events(path).steps.lr.tolist() == [3.999999975690116e-08]


@given(at=st.floats(0, 1), gone=st.integers(0, 80), other=st.text("\r\n 0123456789:-,.[]naINF\0\x1b\u0663", max_size=3))
@example(at=0.5, gone=0, other="\n")
def test_a_log_is_read_in_blocks_as_it_is_line_by_line(folder: Path, at: float, gone: int, other: str) -> None:
    text = (folder / "train.log").read_text()
    place = int(at * len(text))
    path = folder.parent / "some.log"
    path.write_text(text[:place] + other + text[place + gone :])
    whole = outcome(read_log, path)
    with patch("repro.records.logs.BLOCK", 100):  # so that lines are cut by blocks, and no two are in one
        assert outcome(read_log, path) == whole
    with patch("repro.records.logs._STEP_LINES", re.compile("(?!)")):  # so that each is looked at by itself
        assert outcome(read_log, path) == whole

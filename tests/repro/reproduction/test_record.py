"""A kept comparison is read as it was written, and a damaged one is an error of one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from repro.errors import ReproError
from repro.reproduction.record import AGAIN, SECTIONS, loss_band, read_reproduction
from tests.support.reproductions import keep, reproduction


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_reproduction(keep(tmp_path, reproduction())) == reproduction()


def _damage(record: dict[str, Any], *place: Any, value: Any) -> None:
    *outer, last = place
    for key in outer:
        record = record[key]
    record[last] = value


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        (["hardware"], None, "hardware: found None, expected text"),
        (["ours"], [], r"ours: found \[\], expected an object"),
        (["ours", "runs", 1], 5, r"ours: runs\[1\]: found '5', expected an object"),
        (["ours", "runs", 1, "top1_pct"], "nan", r"runs\[1\]: top1_pct: found nan, expected 0 to 100"),
        (["ours", "runs", 1, "losses"], ["x"], r"runs\[1\]: losses: expected a list of numbers"),
        (["ours", "runs", 1, "losses"], [1.0], "found trainings of 1 and 80 steps"),
        (["ours", "runs", 1, "losses", 3], 1e200, "run1: found a loss that is no finite number"),
        (["control", "runs"], [], "found 0 trainings of ours, expected 3 or more"),
    ],
)
def test_a_damaged_one_is_an_error_of_one_line(place: list[Any], value: Any, error: str, tmp_path: Path) -> None:
    record = json.loads((path := keep(tmp_path, reproduction())).read_text())
    _damage(record, *place, value=value)
    path.write_text(json.dumps(record))
    with pytest.raises(ReproError, match=error) as found:
        read_reproduction(path)
    assert str(found.value).startswith(str(path))
    assert str(found.value).endswith(AGAIN)
    assert "\n" not in str(found.value)


def test_a_band_reaches_from_the_lowest_training_to_the_highest() -> None:
    band = loss_band(reproduction().authors.outcomes)
    assert band.step.size == SECTIONS
    assert (band.low < band.mean).all()
    assert (band.mean < band.high).all()
    assert 0 < band.step[0] < band.step[-1] < 80

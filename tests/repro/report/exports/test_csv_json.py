"""Records as CSV and JSON: whatever a record holds reads back, and nothing acts in a spreadsheet."""

import csv
import io
import json
import math
from datetime import date
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.report.exports.csv_json import csv_text, json_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(i) for i in (*range(32), 127)]))
CONTROLS = "a\x00b\x1b[31m\ud800"


def row_of(text: str) -> dict[str, str]:
    (row,) = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return row


def read_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", '=HYPERLINK("x")']
)
def test_no_text_acts_as_a_formula_in_a_spreadsheet(text: str) -> None:
    row = row_of(csv_text(["a", "b"], [{"a": text, "b": [text, "x"]}]))
    assert row == {"a": f"'{text}", "b": f"'{text}; x"}
    assert read_json(json_text({"a": text})) == {"a": text}


@pytest.mark.parametrize(
    ("value", "cell", "read"),
    [
        (-0.116, "-0.116", -0.116),  # a number, no formula
        (CONTROLS, r"a\u0000b\u001b[31m\ud800", CONTROLS),
        (date(2026, 11, 23), "2026-11-23", "2026-11-23"),  # YAML has dates and sets, JSON has not
        ({"z", "a", "m", "c"}, "a; c; m; z", ["a", "c", "m", "z"]),
    ],
)
def test_an_odd_value_has_a_cell_and_a_value_of_json(value: object, cell: str, read: object) -> None:
    assert csv_text(["a"], [{"a": value}]) == f"a\r\n{cell}\r\n"
    assert read_json(json_text({1: value})) == {"1": read}


@given(st.lists(TEXTS | st.sampled_from(["a\nb", "\r\n", 'a"b', ",", "'", "''=", "\t", "a;b", " a "]), min_size=1))
def test_any_text_reads_back_from_csv(texts: list[str]) -> None:
    columns = [f"c{number}" for number in range(len(texts) + 1)]  # the first one keeps pandas from blank lines
    record = dict(zip(columns, ["x", *texts], strict=True))
    for end in ("\r\n", "\n"):
        text = csv_text(columns, [record], end)
        assert {key: cell.removeprefix("'") for key, cell in row_of(text).items()} == record
        frame = pandas.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False)
        assert [cell.removeprefix("'") for cell in frame.iloc[0]] == ["x", *texts]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_value_reads_back_from_json(value: object) -> None:
    assert read_json(json_text([{"a": value}])) == [{"a": value}]


@given(st.floats())
def test_any_number_reads_back_exactly(number: float) -> None:
    for found in (row_of(csv_text(["a"], [{"a": number}]))["a"], read_json(json_text(number))):
        assert math.isnan(float(found)) if math.isnan(number) else float(found) == number

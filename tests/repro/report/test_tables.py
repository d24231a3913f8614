"""The tables of the report, read back by csv and json."""

import csv
import io
import json
from pathlib import Path

import pytest

from repro.records.run_folder import read_run
from repro.records.schema import Run
from repro.report.exports.files import export_files
from repro.report.tables import report_tables
from tests.support.folders import TINY, eval_run, tiny_train_run, train_run
from tests.support.reports import claims_of

NAMES = ("results", "runs", "epochs", "seeds", "classes", "confusions")


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def as_cell(value: object) -> str:
    """How the documentation says that a value of the JSON file stands in the CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("name", NAMES)
def test_csv_and_json_of_a_table_hold_the_same(name: str, kept: list[Run], of_seeds: list[Run]) -> None:
    runs = [*kept, *of_seeds]
    found = export_files(claims_of(*runs), runs)
    of_csv, of_json = cells(found[f"tables/{name}.csv"]), json.loads(found[f"tables/{name}.json"])
    assert [{key: cell.removeprefix("'") for key, cell in row.items()} for row in of_csv] == [
        {key: as_cell(value) for key, value in row.items()} for row in of_json
    ]


def test_a_match_has_its_difference_without_the_noise_of_binary_fractions(tmp_path: Path) -> None:
    runs = [read_run(train_run(tmp_path)), read_run(eval_run(tmp_path, correct=37700))]
    results = {row["key"]: row for row in report_tables(claims_of(*runs), runs)["results"].records}
    assert results["eval_gpu_accuracy"]["verdict"] == "match"
    assert results["eval_gpu_accuracy"]["difference"] == -0.088
    assert results["train_accuracy_last"]["measured"] == 75.502


def test_a_table_without_a_row_has_its_columns_all_the_same() -> None:
    found = export_files([], [])
    assert set(found) == {f"tables/{name}.{kind}" for name in NAMES for kind in ("csv", "json")}
    for name in NAMES:
        assert found[f"tables/{name}.csv"].count("\r\n") == 1
        assert json.loads(found[f"tables/{name}.json"]) == []


def test_no_path_of_the_machine_is_in_any_file(tmp_path: Path) -> None:
    places = {"max_epoch": 1, "dataset_path": str(tmp_path), "data_url": "s3://x/y"}
    run = read_run(tiny_train_run(tmp_path, config=places, env={"started": "2026-11-23T08:00:00Z"}))
    found = export_files(claims_of(run), [run])
    assert [path for path in found if "dllogger" in path]
    for text in found.values():
        assert str(tmp_path) not in text
        assert "s3://" not in text
    assert TINY["train"]["hash"] in found["tables/runs.csv"]

"""The tables of the report, read back by others: csv, json and pandas."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_the_kept_runs_stand_in_the_tables_with_their_numbers(kept: list[Run]) -> None:
    found = {name: table.records for name, table in report_tables(claims_of(*kept), kept).items()}
    step = next(row for row in found["results"] if row["key"] == "train_step_time")
    assert (step["published"], step["measured"], step["difference"]) == (373, 746.35, None)
    assert step["verdict"] == "incomparable"
    assert "hardware" in step["topics"]
    assert "1 x CPU (AMD EPYC), published 8 x Ascend 910" in step["reasons"]
    assert step["run"] == "20261123T084003Z_tiny_cpux1_4b71f366"
    train, evaluation = found["runs"]
    assert (train["kind"], train["seed"], train["parameters"], train["best_top1_pct"]) == ("train", 1, 5612330, 92.8125)
    assert (train["compile_time_s"], train["eval_time_s"]) == (26.39, None)
    assert (evaluation["eval_top1_pct"], evaluation["top5_pct"], evaluation["training_time_s"]) == (92.8125, 100, None)
    assert [row["epoch"] for row in found["epochs"]] == [0, 1, 2, 3, 4, 5]
    assert found["epochs"][-1]["top1_pct"] == train["last_top1_pct"]
    assert found["seeds"] == ()


def test_the_kept_seeds_stand_in_their_table(of_seeds: list[Run]) -> None:
    row = report_tables([], of_seeds)["seeds"].records[1]
    assert row["title"] == "Top-1 accuracy, last epoch"
    assert (row["seeds"], row["n"], len(row["runs"])) == ([1, 2, 3], 3, 3)
    assert (row["minimum"], row["mean"], row["maximum"]) == (92.8125, 94.7916666667, 96.25)


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


def test_pandas_reads_numbers_as_numbers_and_texts_as_texts(kept: list[Run]) -> None:
    files = export_files(claims_of(*kept), kept)
    frames = {name: pandas.read_csv(io.StringIO(files[f"tables/{name}.csv"], newline="")) for name in NAMES}
    assert frames["runs"]["step_time_ms"].tolist()[0] == 746.35
    assert (frames["runs"]["parameters"].dtype, frames["runs"]["dirty"].dtype) == ("int64", "bool")
    epochs = frames["epochs"]
    assert epochs.select_dtypes("number").columns.tolist() == epochs.columns.tolist()[1:]
    assert epochs["top1_pct"].max() == frames["runs"]["best_top1_pct"].max()
    assert frames["results"]["published"].tolist()[:2] == [75.618, 75.502]
    assert frames["results"]["difference"].isna().all()
    assert list(frames["seeds"].columns)[:2] == ["group", "recipe"]


def test_what_is_not_finite_is_nan_in_csv_and_a_text_in_json(tmp_path: Path) -> None:
    run = read_run(tiny_train_run(tmp_path, loss=math.nan, step_time_s=math.nan, fps=math.inf))
    found = export_files(claims_of(run), [run])
    row = cells(found["tables/epochs.csv"])[0]
    assert (row["loss"], row["step_time_ms"], row["images_per_s"]) == ("nan", "nan", "inf")
    of_json = json.loads(found["tables/epochs.json"])[0]
    assert (of_json["loss"], of_json["images_per_s"]) == ("nan", "inf")
    assert pandas.read_csv(io.StringIO(found["tables/epochs.csv"]))["images_per_s"].tolist() == [math.inf] * 10


@given(st.text(), st.text())
def test_any_text_in_a_run_reads_back_from_its_table(trained: Run, device: str, missing: str) -> None:
    run = replace(trained, env=replace(trained.env, cpu=device, missing=(missing,)))
    found = export_files([], [run])
    row = json.loads(found["tables/runs.json"])[0]
    assert (row["cpu"], row["missing"]) == (device, [missing])
    assert len(cells(found["tables/runs.csv"])) == 1
    assert all(text.encode() for text in found.values())


def test_no_path_of_the_machine_is_in_any_file(tmp_path: Path) -> None:
    places = {"max_epoch": 1, "dataset_path": str(tmp_path), "data_url": "s3://x/y"}
    run = read_run(tiny_train_run(tmp_path, config=places, env={"started": "2026-11-23T08:00:00Z"}))
    found = export_files(claims_of(run), [run])
    assert [path for path in found if "dllogger" in path]
    for text in found.values():
        assert str(tmp_path) not in text
        assert "s3://" not in text
    assert TINY["train"]["hash"] in found["tables/runs.csv"]

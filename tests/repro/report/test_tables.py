"""The tables of the report, read back by others: csv, json and pandas."""

import csv
import io
import json
import math
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.published.compare import compare_runs
from repro.published.figures import read_published
from repro.published.schema import Claim
from repro.records.run_folder import read_run, read_runs
from repro.records.schema import Run
from repro.report.exports.csv_json import csv_text, json_text
from repro.report.exports.files import export_files
from repro.report.tables import report_tables
from tests.support import ROOT
from tests.support.folders import TINY, eval_run, tiny_train_run, train_run
from tests.support.processes import run_command

NAMES = ("results", "runs", "epochs", "seeds", "classes", "confusions")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(i) for i in (*range(32), 127)]))
FIXED = "tests/repro/fixtures/runs"  # those of results/kept of an earlier day, which are renewed


def read_kept(folder: str) -> tuple[list[Claim], list[Run]]:
    runs, _ = read_runs(ROOT / folder)
    return compare_runs(read_published(), runs), runs


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def records(text: str) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, list)
    return found


def of_cell(cell: str) -> str:
    """The text that a cell stands for, as the documentation says."""
    return cell[1:] if cell.startswith("'") else cell


def as_cell(value: object) -> str:
    """How the documentation says that a value of the JSON file stands in the CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("folder", [FIXED, "results/seeds"])
@pytest.mark.parametrize("name", NAMES)
def test_csv_and_json_of_a_table_hold_the_same(name: str, folder: str) -> None:
    found = export_files(*read_kept(folder))
    of_csv, of_json = cells(found[f"tables/{name}.csv"]), records(found[f"tables/{name}.json"])
    assert [{key: of_cell(cell) for key, cell in row.items()} for row in of_csv] == [
        {key: as_cell(value) for key, value in row.items()} for row in of_json
    ]


def test_the_kept_runs_stand_in_the_tables_with_their_numbers() -> None:
    found = {name: table.records for name, table in report_tables(*read_kept(FIXED)).items()}
    results = {row["key"]: row for row in found["results"]}
    assert results["train_step_time"]["published"] == 373
    assert results["train_step_time"]["measured"] == 746.35
    assert results["train_step_time"]["verdict"] == "incomparable"
    assert results["train_step_time"]["difference"] is None
    assert "hardware" in results["train_step_time"]["topics"]
    assert "1 x CPU (AMD EPYC), published 8 x Ascend 910" in results["train_step_time"]["reasons"]
    assert results["train_step_time"]["run"] == "20261123T084003Z_tiny_cpux1_4b71f366"
    train, evaluation = found["runs"]
    assert (train["kind"], train["seed"], train["parameters"], train["best_top1_pct"]) == ("train", 1, 5612330, 92.8125)
    assert (train["compile_time_s"], train["eval_time_s"]) == (26.39, None)
    assert (evaluation["eval_top1_pct"], evaluation["top5_pct"], evaluation["training_time_s"]) == (92.8125, 100, None)
    assert [row["epoch"] for row in found["epochs"]] == [0, 1, 2, 3, 4, 5]
    assert found["epochs"][-1]["top1_pct"] == train["last_top1_pct"]
    assert found["seeds"] == ()


def test_the_kept_seeds_stand_in_their_table() -> None:
    rows = report_tables(*read_kept("results/seeds"))["seeds"].records
    assert rows[1]["title"] == "Top-1 accuracy, last epoch"
    assert rows[1]["seeds"] == [1, 2, 3]
    assert len(rows[1]["runs"]) == rows[1]["n"] == 3
    assert (rows[1]["minimum"], rows[1]["mean"], rows[1]["maximum"]) == (92.8125, 94.7916666667, 96.25)


def test_a_match_has_its_difference_without_the_noise_of_binary_fractions(tmp_path: Path) -> None:
    runs = [read_run(train_run(tmp_path)), read_run(eval_run(tmp_path, correct=37700))]
    results = {row["key"]: row for row in report_tables(compare_runs(read_published(), runs), runs)["results"].records}
    assert results["eval_gpu_accuracy"]["verdict"] == "match"
    assert results["eval_gpu_accuracy"]["difference"] == -0.088
    assert results["train_accuracy_last"]["measured"] == 75.502


def test_a_table_without_a_row_has_its_columns_all_the_same() -> None:
    found = export_files([], [])
    for name in NAMES:
        assert found[f"tables/{name}.csv"].count("\r\n") == 1
        assert records(found[f"tables/{name}.json"]) == []
    assert not [path for path in found if path.startswith("formats/")]


def test_pandas_reads_numbers_as_numbers_and_texts_as_texts(tmp_path: Path) -> None:
    for path, text in export_files(*read_kept(FIXED)).items():
        if path.startswith("tables/") and path.endswith(".csv"):
            (tmp_path / Path(path).name).write_bytes(text.encode())
    runs = pandas.read_csv(tmp_path / "runs.csv")
    assert runs["step_time_ms"].tolist()[0] == 746.35
    assert runs["parameters"].dtype == "int64"
    assert runs["dirty"].dtype == "bool"
    epochs = pandas.read_csv(tmp_path / "epochs.csv")
    assert epochs.select_dtypes("number").columns.tolist() == epochs.columns.tolist()[1:]
    assert epochs["top1_pct"].max() == runs["best_top1_pct"].max()
    results = pandas.read_csv(tmp_path / "results.csv")
    assert results["published"].tolist()[:2] == [75.618, 75.502]
    assert results["difference"].isna().all()
    assert list(pandas.read_csv(tmp_path / "seeds.csv").columns)[:2] == ["group", "recipe"]


def test_what_is_not_finite_is_nan_in_csv_and_a_text_in_json(tmp_path: Path) -> None:
    run = read_run(tiny_train_run(tmp_path, loss=math.nan, step_time_s=math.nan, fps=math.inf))
    found = export_files(compare_runs(read_published(), [run]), [run])
    row = cells(found["tables/epochs.csv"])[0]
    assert (row["loss"], row["step_time_ms"], row["images_per_s"]) == ("nan", "nan", "inf")
    of_json = records(found["tables/epochs.json"])[0]
    assert (of_json["loss"], of_json["images_per_s"]) == ("nan", "inf")
    assert pandas.read_csv(io.StringIO(found["tables/epochs.csv"]))["images_per_s"].tolist() == [math.inf] * 10


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", '=HYPERLINK("x")']
)
def test_no_text_acts_as_a_formula_in_a_spreadsheet(text: str) -> None:
    (row,) = cells(csv_text(["a", "b"], [{"a": text, "b": [text, "x"]}]))
    assert row["a"] == f"'{text}"
    assert row["b"] == f"'{text}; x"
    assert records(json_text([{"a": text}])) == [{"a": text}]


def test_a_negative_number_stays_a_number() -> None:
    assert csv_text(["a"], [{"a": -0.116}]) == "a\r\n-0.116\r\n"


def test_control_characters_and_halves_of_characters_are_shown_as_their_number() -> None:
    text = csv_text(["a"], [{"a": "a\x00b\x1b[31m\ud800"}])
    assert text == "a\r\na\\u0000b\\u001b[31m\\ud800\r\n"
    assert text.encode()
    assert records(json_text([{"a": "a\x00\ud800"}])) == [{"a": "a\x00\ud800"}]


@given(st.lists(TEXTS | st.sampled_from(["a\nb", "\r\n", 'a"b', ",", "'", "''=", "\t", "a;b", " a "]), min_size=1))
def test_any_text_reads_back_from_csv(texts: list[str]) -> None:
    columns = [f"c{number}" for number in range(len(texts) + 1)]  # the first one keeps pandas from blank lines
    record = dict(zip(columns, ["x", *texts], strict=True))
    for end in ("\r\n", "\n"):
        text = csv_text(columns, [record], end)
        (row,) = cells(text)
        assert {key: of_cell(cell) for key, cell in row.items()} == record
        frame = pandas.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False)
        assert [of_cell(cell) for cell in frame.iloc[0]] == ["x", *texts]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_value_reads_back_from_json(value: object) -> None:
    assert records(json_text([{"a": value}])) == [{"a": value}]


def test_what_yaml_has_beyond_json_is_text_and_a_set_has_an_order() -> None:
    value = {"b": {"z", "a", "m", "c"}, 1: date(2026, 11, 23)}
    assert records(json_text([value])) == [{"b": ["a", "c", "m", "z"], "1": "2026-11-23"}]
    assert csv_text(["a"], [{"a": date(2026, 11, 23)}]) == "a\r\n2026-11-23\r\n"


@given(st.floats())
def test_any_number_reads_back_exactly(number: float) -> None:
    (row,) = cells(csv_text(["a"], [{"a": number}]))
    of_json = records(json_text([number]))[0]
    for found in (row["a"], of_json):
        assert math.isnan(float(found)) if math.isnan(number) else float(found) == number


@given(st.text(), st.text())
def test_any_text_in_a_run_reads_back_from_its_table(device: str, missing: str) -> None:
    _, runs = read_kept_once()
    run = replace(runs[0], env=replace(runs[0].env, cpu=device, missing=(missing,)))
    found = export_files([], [run])
    row = records(found["tables/runs.json"])[0]
    assert (row["cpu"], row["missing"]) == (device, [missing])
    assert len(cells(found["tables/runs.csv"])) == 1
    assert all(text.encode() for text in found.values())


_KEPT: list[tuple[list[Claim], list[Run]]] = []


def read_kept_once() -> tuple[list[Claim], list[Run]]:
    if not _KEPT:
        _KEPT.append(read_kept(FIXED))
    return _KEPT[0]


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    read = "from tests.repro.report.test_tables import *; import sys; print(files(*read_kept('results/seeds')))"
    texts = {run_command(sys.executable, "-c", read, env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert len(texts) == 1


def test_no_path_of_the_machine_is_in_any_file(tmp_path: Path) -> None:
    run = read_run(
        tiny_train_run(tmp_path, config={"max_epoch": 1, "dataset_path": str(tmp_path), "data_url": "s3://x/y"})
    )
    run = replace(run, env=replace(run.env, facts={**run.env.facts, "started": "2026-11-23T08:00:00Z"}))
    found = export_files(compare_runs(read_published(), [run]), [run])
    assert [path for path in found if "dllogger" in path]
    for text in found.values():
        assert str(tmp_path) not in text
        assert "s3://" not in text
    assert TINY["train"]["hash"] in found["tables/runs.csv"]

"""Runs as rows of the tables of timm, MindCV and github-action-benchmark, and the files that hold them."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlg.data.augment import eval_resize_short
from repro.published.compare import compare_runs
from repro.published.figures import read_published
from repro.published.schema import Claim, Measured
from repro.records.run_folder import read_run, read_runs
from repro.records.schema import Run
from repro.report.exports import github_benchmark, mindcv, timm
from repro.report.exports.files import export_files, file_names
from tests.support import ROOT
from tests.support.folders import IMAGENET, eval_run, train_run

FIGURES = read_published()


@pytest.fixture(scope="module")
def kept() -> list[Run]:
    return read_runs(ROOT / "tests/repro/fixtures/runs")[0]


@pytest.fixture
def published(tmp_path: Path) -> list[Run]:
    """The published training and evaluation, as if they had been run here."""
    run = train_run(tmp_path, env={"recipe": "hlg_mobile"})
    return [read_run(run), read_run(eval_run(tmp_path))]


def claims(runs: list[Run]) -> list[Claim]:
    return compare_runs(FIGURES, runs)


# ------------------------------------------------------------------------------------------------- timm


def test_an_evaluation_is_a_row_of_timms_validation_results(kept: list[Run]) -> None:
    text = timm.timm_validation(kept)
    assert text
    header = "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation,"
    assert text.startswith(header)
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["model"], row["img_size"], row["param_count"]) == ("hlg_mobile", "112", "5.61")
    assert (row["top1"], row["top1_err"], row["top5"], row["top5_err"]) == ("92.812", "7.188", "100.0", "0.0")
    assert (row["crop_pct"], row["interpolation"]) == ("0.875", "bilinear")
    assert (row["images"], row["classes"], row["hardware"]) == ("320", "10", "1 x CPU (AMD EPYC)")


def test_a_training_is_a_row_of_timms_benchmark_of_training(published: list[Run]) -> None:
    text = timm.timm_training(published)
    assert text
    assert text.startswith("model,train_samples_per_sec,train_step_time,train_batch_size,train_img_size,param_count,")
    frame = pandas.read_csv(io.StringIO(text))
    assert frame.loc[0, ["train_samples_per_sec", "train_step_time", "train_batch_size"]].tolist() == [
        2744.82,
        373.1,
        1024,
    ]
    # Images of a step over its time are the images per second, as in timm's own files.
    assert frame.loc[0, "train_samples_per_sec"] == pytest.approx(1000 * 1024 / 373.1, rel=1e-3)


@pytest.mark.parametrize("size", range(16, 513, 16))
def test_crop_pct_is_what_the_evaluation_crops(size: int) -> None:
    assert timm.crop_pct(size) == round(size / eval_resize_short(size), 3)


def test_crop_pct_of_the_published_size_is_that_of_timm() -> None:
    assert timm.crop_pct(224) == 0.875


# ------------------------------------------------------------------------------------------------- MindCV


def rows(text: str) -> list[dict[str, str]]:
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_a_training_is_a_row_of_mindcvs_table(published: list[Run]) -> None:
    text = mindcv.mindcv_text(published)
    assert text
    assert (
        "| model name | params(M) | cards | batch size | resolution | jit level | graph compile | ms/step | img/s "
        "| acc@top1 | acc@top5 | recipe | weight |"
    ) in text
    (row,) = rows(text)
    assert row == {
        "model name": "hlg_mobile",
        "params(M)": "6.15",
        "cards": "8",
        "batch size": "128",
        "resolution": "224x224",
        "jit level": "-",
        "graph compile": "17s",
        "ms/step": "373.10",
        "img/s": "2744.82",
        "acc@top1": "75.50",
        "acc@top5": "-",
        "recipe": "hlg_mobile",
        "weight": "-",
    }


def test_mindcvs_table_says_of_what_its_rows_are(kept: list[Run]) -> None:
    text = mindcv.mindcv_text(kept)
    assert text
    assert "1. 20261123T084003Z_tiny_cpux1_4b71f366: 1 x CPU (AMD EPYC), MindSpore 2.10.0, train: 1,280 images" in text


def test_what_a_run_calls_itself_does_not_break_mindcvs_table(kept: list[Run]) -> None:
    run = replace(kept[0], config={**kept[0].config, "backbone": "a | b\n| c `<b>"})
    text = mindcv.mindcv_text([run])
    assert text
    assert "| a \\| b \\| c \\`&lt;b&gt; | 5.61 |" in text


# ------------------------------------------------------------------------------------------------- the benchmark action


def test_figures_are_parted_by_the_direction_that_is_better(kept: list[Run]) -> None:
    def names(better: str) -> set[str]:
        found = github_benchmark.benchmark_text(claims(kept), better)
        assert found
        return {entry["name"].partition(" (")[0] for entry in json.loads(found)}

    assert {"Time of a training step", "Evaluation time"} <= names("lower")
    assert {"Top-1 accuracy, last epoch", "Images per second, last epochs"} <= names("higher")
    assert not names("lower") & names("higher")
    assert "Parameters" not in names("lower") | names("higher")


def test_an_entry_says_what_was_published_and_that_it_cannot_be_compared(kept: list[Run]) -> None:
    entry = next(entry for entry in benchmark(claims(kept), "lower") if entry["name"].startswith("Time of a training"))
    assert entry["name"] == "Time of a training step (recipe not recorded, 1 x CPU (AMD EPYC))"
    assert (entry["unit"], entry["value"]) == ("ms", 746.35)
    lines = entry["extra"].split("\n")
    assert lines[0] == "published: 373 ms (8 x Ascend 910)"
    assert lines[1].startswith("verdict: incomparable: hardware, data, model")
    assert "run: 20261123T084003Z_tiny_cpux1_4b71f366" in lines


def test_the_range_is_the_spread_over_epochs(published: list[Run]) -> None:
    figure = next(figure for figure in FIGURES if figure.key == "train_step_time")
    (claim,) = compare_runs([figure], published)
    for spread, expected in ((1.234, {"range": "± 1.23"}), (None, {}), (math.nan, {})):
        (entry,) = benchmark([replace(claim, measured=Measured(373.1, "n = 1 run", spread, 4))], "lower")
        assert {key: value for key, value in entry.items() if key == "range"} == expected


def test_a_value_that_is_not_finite_is_left_out_since_the_action_refuses_it(tmp_path: Path) -> None:
    found = benchmark(claims([read_run(train_run(tmp_path, step_time_s=math.nan))]), "lower")
    assert found
    assert "Time of a training step" not in {entry["name"].partition(" (")[0] for entry in found}


def benchmark(found: list[Claim], better: str) -> list[dict[str, Any]]:
    text = github_benchmark.benchmark_text(found, better)
    assert text
    entries = json.loads(text)
    for entry in entries:
        assert {"name", "unit", "value", "extra"} <= set(entry) <= {"name", "unit", "value", "extra", "range"}
        assert isinstance(entry["value"], float)
        assert all(isinstance(entry[key], str) for key in entry if key != "value")
    assert len({entry["name"] for entry in entries}) == len(entries)
    return entries


# ------------------------------------------------------------------------------------------------- files
TABLES = ("results", "runs", "epochs", "seeds", "classes", "confusions")


def test_the_kept_runs_have_every_file(kept: list[Run]) -> None:
    names = {f"tables/{name}.{kind}" for name in TABLES for kind in ("csv", "json")}
    names |= {f"formats/{name}" for name in ("timm_validation.csv", "timm_train.csv", "mindcv.md")}
    names |= {f"formats/benchmark_{name}_is_better.json" for name in ("smaller", "bigger")}
    folder = "20261123T084003Z_tiny_cpux1_4b71f366"
    names |= {f"formats/mllog/{folder}.log", f"formats/dllogger/{folder}.json"}
    found = export_files(claims(kept), kept)
    assert set(found) == names
    assert all(found.values())


def test_the_kept_seeds_have_a_log_each() -> None:
    runs, _ = read_runs(ROOT / "results/seeds")
    found = export_files(claims(runs), runs)
    assert [path for path in found if "mllog" in path] == [f"formats/mllog/{run.folder.name}.log" for run in runs]
    assert "formats/timm_validation.csv" not in found  # no evaluation among them


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["a", "a", "A"], ["a", "a-2", "A-3"]),
        (["../../etc/passwd", "..", "", "."], ["_.._etc_passwd", "run", "run-2", "run-3"]),
        (["20261123T084003Z_tiny cpu\n<é>.log", "a/b", "a\\b"], ["20261123T084003Z_tiny_cpu____.log", "a_b", "a_b-2"]),
    ],
)
def test_folder_names_become_names_of_files(folders: list[str], expected: list[str]) -> None:
    assert list(file_names(folders)) == expected


@given(st.lists(st.text() | st.sampled_from(["..", "a", "A", "a-2", "x" * 300, "\ud800", "con\0"])))
def test_any_folder_name_gives_a_file_of_its_own_inside_the_folder(folders: list[str]) -> None:
    found = list(file_names(folders))
    assert len({name.lower() for name in found}) == len(folders)
    for name in found:
        assert PurePosixPath(name).name == name
        assert name not in ("", ".", "..")
        assert len(name.encode()) < 200


def test_runs_of_one_name_do_not_overwrite_each_other(kept: list[Run]) -> None:
    twins = [kept[0], replace(kept[0], folder=Path("elsewhere") / kept[0].folder.name)]
    found = export_files([], twins)
    assert len([path for path in found if "mllog" in path]) == 2


HOSTILE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.lists(st.text())
KEYS = ("backbone", "opt", "seed", "batch_size", "eval_batch_size", "train_image_size", "eval_image_size", "amp_level")
FACTS = ("recipe", "variables", "started")


@given(st.dictionaries(st.sampled_from(KEYS), HOSTILE), st.dictionaries(st.sampled_from(FACTS), HOSTILE), st.text())
def test_whatever_a_record_holds_its_files_can_be_written(
    config: dict[str, Any], facts: dict[str, Any], name: str
) -> None:
    for run in read_once():
        env = replace(run.env, facts={**run.env.facts, **facts})
        hostile = replace(run, config={**run.config, **config}, env=env, folder=Path("/") / name)
        for path, text in export_files(claims([hostile]), [hostile]).items():
            assert text.encode()
            if path.endswith(".json") and "dllogger" not in path:
                json.loads(text)


_RUNS: list[Run] = []


def read_once() -> list[Run]:
    _RUNS.extend([] if _RUNS else read_runs(ROOT / "tests/repro/fixtures/runs")[0])
    return _RUNS


def test_the_published_figures_themselves_are_a_match_in_every_table(published: list[Run]) -> None:
    assert IMAGENET["eval"]["images"] == 50000
    found = export_files(claims(published), published)
    assert {row["verdict"] for row in json.loads(found["tables/results.json"])} == {"match", "incomparable"}
    entries = json.loads(found["formats/benchmark_smaller_is_better.json"])
    assert any("verdict: match" in entry["extra"] for entry in entries)

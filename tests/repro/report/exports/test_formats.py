"""Runs as rows of the tables of timm, MindCV and github-action-benchmark, and the files that hold them."""

import json
import math
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlg.data.augment import eval_resize_short
from repro.published.schema import Claim, Measured
from repro.records.run_folder import read_run
from repro.records.schema import Run
from repro.report.exports.files import export_files, file_names
from repro.report.exports.github_benchmark import benchmark_text
from repro.report.exports.mindcv import mindcv_text
from repro.report.exports.timm import crop_pct
from tests.support.folders import eval_run, train_run
from tests.support.reports import claims_of


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """The published training and evaluation, as if they had been run here."""
    root = tmp_path_factory.mktemp("published")
    return [read_run(train_run(root, env={"recipe": "hlg_mobile"})), read_run(eval_run(root))]


def test_crop_pct_is_what_the_evaluation_crops_and_for_the_published_size_that_of_timm() -> None:
    for size in range(16, 513, 16):
        assert crop_pct(size) == round(size / eval_resize_short(size), 3)
    assert crop_pct(224) == 0.875


def test_mindcvs_table_says_of_what_its_rows_are_and_no_name_of_a_run_breaks_it(trained: Run) -> None:
    text = mindcv_text([replace(trained, config={**trained.config, "backbone": "a | b\n| c `<b>"})])
    assert text
    assert "1. 20261123T084003Z_tiny_cpux1_4b71f366: 1 x CPU (AMD EPYC), MindSpore 2.10.0, train: 1,280 images" in text
    assert "| a \\| b \\| c \\`&lt;b&gt; | 5.61 |" in text


def benchmark(claims: list[Claim], better: str) -> dict[str, dict[str, Any]]:
    """The entries for the action by their figures, after what the action asks of them."""
    entries = json.loads(benchmark_text(claims, better) or "[]")
    for entry in entries:
        assert {"name", "unit", "value", "extra"} <= set(entry) <= {"name", "unit", "value", "extra", "range"}
        assert isinstance(entry["value"], float)
        assert all(isinstance(entry[key], str) for key in entry if key != "value")
    found = {entry["name"].partition(" (")[0]: entry for entry in entries}
    assert len(found) == len(entries) > 0
    return found


def test_an_entry_says_that_no_recipe_is_known_and_that_a_figure_matches(kept: list[Run], published: list[Run]) -> None:
    entry = benchmark(claims_of(*kept), "lower")["Time of a training step"]
    assert entry["name"] == "Time of a training step (recipe not recorded, 1 x CPU (AMD EPYC))"
    assert "Top-1 accuracy, evaluation" in benchmark(claims_of(*kept), "higher")  # on no GPU
    assert "verdict: match\n" in benchmark(claims_of(*published), "lower")["Time of a training step"]["extra"]


@pytest.mark.parametrize(("spread", "expected"), [(1.234, "± 1.23"), (None, None), (math.nan, None)])
def test_the_range_is_the_spread_over_epochs(published: list[Run], spread: float | None, expected: str | None) -> None:
    claim = next(claim for claim in claims_of(*published) if claim.figure.key == "train_step_time")
    found = benchmark([replace(claim, measured=Measured(373.1, "n = 1 run", spread, 4))], "lower")
    assert found["Time of a training step"].get("range") == expected


def test_a_value_that_is_not_finite_is_left_out_since_the_action_refuses_it(tmp_path: Path) -> None:
    run = read_run(train_run(tmp_path, step_time_s=math.nan))
    assert "Time of a training step" not in benchmark(claims_of(run), "lower")


@given(st.lists(st.text() | st.sampled_from(["..", "../a", "a", "A", "a-2", "x" * 300, "\ud800", "con\0"])))
def test_any_folder_name_gives_a_file_of_its_own_inside_the_folder(folders: list[str]) -> None:
    found = list(file_names(folders))
    assert len({name.lower() for name in found}) == len(folders)
    for name in found:
        assert PurePosixPath(name).name == name
        assert name not in ("", ".", "..")
        assert len(name.encode()) < 200


HOSTILE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.lists(st.text())
KEYS = ("backbone", "opt", "seed", "batch_size", "eval_batch_size", "train_image_size", "eval_image_size", "amp_level")
FACTS = ("recipe", "variables", "started")


@given(st.dictionaries(st.sampled_from(KEYS), HOSTILE), st.dictionaries(st.sampled_from(FACTS), HOSTILE), st.text())
def test_any_record_can_be_written(kept: list[Run], config: dict[str, Any], facts: dict[str, Any], name: str) -> None:
    for run in kept:
        env = replace(run.env, facts={**run.env.facts, **facts})
        hostile = replace(run, config={**run.config, **config}, env=env, folder=Path("/") / name)
        for path, text in export_files(claims_of(hostile), [hostile]).items():
            assert text.encode()
            if path.endswith(".json") and "dllogger" not in path:
                json.loads(text)

"""A training in the formats of MLPerf and DLLogger, read back by MLPerf's own parser and checker."""

import json
import re
from array import array
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlperf_logging.compliance_checker import mlp_compliance, mlp_parser

from repro.records.run_folder import read_run, read_runs
from repro.records.schema import ResumeEvent, Run, Steps
from repro.report.exports import dllogger, mllog
from repro.report.exports.clock import training_clock
from tests.support import ROOT
from tests.support.folders import eval_run, resume, tiny_train_run

TRAINED = [*(ROOT / "tests/repro/fixtures/runs").glob("*084003Z*"), *sorted((ROOT / "results/seeds").glob("2*"))]
STARTED = {"started": "2026-11-23T08:00:00Z"}


@pytest.fixture(scope="module")
def kept() -> Run:
    return read_run(TRAINED[0])


def parse(text: str, ruleset: str = "5.1.0") -> list[Any]:
    """The lines, as MLPerf's parser has them."""
    lines, errors = getattr(mlp_parser, f"ruleset_{ruleset.replace('.', '')}").parse_generator(text.splitlines(True))
    assert errors == []
    assert len(lines) == text.count("\n")
    return lines


def values(text: str, key: str) -> list[Any]:
    return [line.value["value"] for line in parse(text) if line.key == key]


def events(text: str, kind: str = "LOG") -> list[dict[str, Any]]:
    found = []
    for line in text.splitlines():
        assert line.startswith("DLLL {")
        found.append(json.loads(line.removeprefix("DLLL ")))
    return [event for event in found if event["type"] == kind]


# ------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize("folder", TRAINED, ids=lambda folder: folder.name)
def test_the_times_of_a_kept_run_are_those_that_its_log_was_stamped_with(folder: Path) -> None:
    run = read_run(folder)
    times = training_clock(run)
    assert times
    log = (folder / "train.log").read_text().splitlines()

    def stamp(line: int) -> float:
        return datetime.fromisoformat(log[line - 1][:19]).replace(tzinfo=UTC).timestamp()  # made where it is UTC

    apart = [end - stamp(epoch.line) for end, epoch in zip(times.ends, run.log.epochs, strict=True)]
    assert max(map(abs, apart)) < 3  # seconds, of six to ten minutes
    assert abs(times.finished - stamp(len(log))) < 3
    assert times.finished - times.compiled == pytest.approx(run.log.training_time_s, abs=0.01)


def test_times_go_on_where_a_run_was_resumed(tmp_path: Path) -> None:
    changes = {"config": {"max_epoch": 4}, "resumed": [resume(2, time="2026-11-23T12:00:00Z")], "env": STARTED}
    run = read_run(tiny_train_run(tmp_path, **changes, step_time_s=0.5))
    times = training_clock(run)
    assert times
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    assert times.started == noon - 4 * 3600
    assert times.ends[1] < noon - 3 * 3600
    assert times.begins[2] == noon
    assert times.ends[2] - noon == pytest.approx(0.5 + 0.0001 + 7.99, abs=1e-5)  # step, wait and evaluation
    assert times.finished == times.ends[3]


def test_an_epoch_that_was_interrupted_ends_after_its_second_part(kept: Run) -> None:
    event = ResumeEvent("2026-11-23T10:00:00Z", 200, 2, "hlg_mobile-0002+00040.ckpt", 3, (), 20.0)
    times, before = training_clock(replace(kept, resumptions=(event,))), training_clock(kept)
    assert times
    assert before
    at = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()
    assert times.begins[2] == before.begins[2]
    assert times.steps[199] == before.steps[199]
    rest = before.steps[239] - before.steps[199]
    assert times.steps[239] - at == pytest.approx(rest, abs=1e-5)
    text = mllog.mllog_text(replace(kept, resumptions=(event,)))
    assert text
    assert values(text, "resumed") == [200]
    stamps = [line.timestamp for line in parse(text)]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    "facts", [{}, {"started": None}, {"started": "yesterday"}, {"started": 3}, {"started": "2026-11-23 08:00:00"}]
)
def test_without_the_time_of_the_start_there_is_no_log(kept: Run, facts: dict[str, Any]) -> None:
    run = replace(kept, env=replace(kept.env, facts=facts))
    assert mllog.mllog_text(run) is None
    assert dllogger.dllogger_text(run) is None


@pytest.mark.parametrize("time_ms", [float("nan"), float("inf"), -1e300, 1e300])
def test_times_that_cannot_be_are_no_times(kept: Run, time_ms: float) -> None:
    times = array("d", [time_ms, *kept.steps.step_time_ms[1:]])
    assert training_clock(replace(kept, steps=replace(kept.steps, step_time_ms=times))) is None


def test_an_evaluation_has_no_training_log(tmp_path: Path) -> None:
    run = read_run(eval_run(tmp_path, env=STARTED))
    assert mllog.mllog_text(run) is None
    assert dllogger.dllogger_text(run) is None


# ------------------------------------------------------------------------------------------------- MLPerf


def test_mlperfs_parser_reads_every_line_of_a_kept_run_and_finds_its_values(kept: Run) -> None:
    text = mllog.mllog_text(kept)
    assert text
    assert values(text, "seed") == [1]
    assert values(text, "global_batch_size") == [16]
    assert values(text, "train_samples") == [1280]
    assert values(text, "eval_samples") == [320]
    assert values(text, "opt_name") == ["adamw"]
    assert values(text, "opt_base_learning_rate") == [0.001]
    assert values(text, "opt_learning_rate_warmup_epochs") == [1]
    assert values(text, "opt_adamw_beta_2") == [0.98]
    assert values(text, "eval_accuracy") == [epoch.accuracy for epoch in kept.log.epochs]
    metadata = [line.value["metadata"] for line in parse(text) if line.key == "eval_accuracy"]
    assert [found["epoch_num"] for found in metadata] == [1, 2, 3, 4, 5, 6]
    assert [found["lineno"] for found in metadata] == [epoch.line for epoch in kept.log.epochs]
    start, stop = (line for line in parse(text) if line.key in ("run_start", "run_stop"))
    assert stop.timestamp - start.timestamp == 389_680  # milliseconds
    assert stop.value["metadata"]["status"] == "success"
    stamps = [line.timestamp for line in parse(text)]
    assert stamps == sorted(stamps)


def test_it_does_not_pass_for_a_submission(kept: Run) -> None:
    text = mllog.mllog_text(kept)
    assert text
    claimed = {line.key for line in parse(text) if line.key.startswith("submission_")}
    assert claimed == {"submission_benchmark", "submission_platform"}
    assert values(text, "submission_benchmark") == ["hlg_mobile"]
    assert values(text, "submission_platform") == ["1 x CPU (AMD EPYC)"]


@pytest.mark.parametrize("ruleset", ["1.0.0", "5.1.0"])
def test_mlperfs_checker_misses_nothing_but_what_only_a_submission_has(
    kept: Run, ruleset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = mllog.mllog_text(kept)
    assert text
    (tmp_path / "run.log").write_text(text)
    monkeypatch.setattr(mlp_compliance, "enqueued_configs", [])
    checker = mlp_compliance.make_checker("training", ruleset, quiet=True, werror=False)
    checker.check_file(str(tmp_path / "run.log"), f"training_{ruleset}/common.yaml")
    assert checker.not_overwritable == []
    missed = {"submission_org", "submission_division", "cache_clear"}
    # The time that init may take is that of the division.
    missed |= {"1.0.0": {"submission_status"}, "5.1.0": {"init_stop"}}[ruleset]
    assert set(checker.overwritable) == missed


def test_an_epoch_that_was_not_evaluated_has_no_accuracy(kept: Run) -> None:
    epochs = (replace(kept.log.epochs[0], accuracy=None, eval_cost_s=None), *kept.log.epochs[1:])
    text = mllog.mllog_text(replace(kept, log=replace(kept.log, epochs=epochs)))
    assert text
    assert len(values(text, "eval_accuracy")) == len(values(text, "eval_start")) == 5
    assert len(values(text, "epoch_stop")) == 6


@given(st.text() | st.sampled_from([":::MLLOG ", "x:::MLLOG {}", "::::MLLOG ", '\\:::MLLOG "', "\n:::MLLOG {}"]))
def test_any_text_of_a_run_reads_back_through_mlperfs_parser(text: str) -> None:
    run = read_once()
    found = mllog.mllog_text(replace(run, config={**run.config, "lr_decay_mode": text}))
    assert found
    assert values(found, "opt_learning_rate_decay_schedule") == ([text] if text else [])


# ------------------------------------------------------------------------------------------------- DLLogger


def test_dllogger_lines_have_the_fields_of_its_own_file(kept: Run) -> None:
    text = dllogger.dllogger_text(kept)
    assert text
    for event in events(text):
        assert list(event) == ["timestamp", "datetime", "elapsedtime", "type", "step", "data"]
        time = datetime.fromisoformat(event["datetime"])
        assert time.timestamp() == float(event["timestamp"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?\+00:00", event["datetime"])
    elapsed = [float(event["elapsedtime"]) for event in events(text)]
    assert elapsed == sorted(elapsed)
    assert elapsed[-1] == pytest.approx(26.39 + 389.68)


def test_dllogger_has_parameters_steps_epochs_and_a_summary(kept: Run) -> None:
    text = dllogger.dllogger_text(kept)
    assert text
    parameters, *steps, summary = events(text)
    assert parameters["step"] == "PARAMETER"
    assert parameters["data"]["lr_max"] == 0.001
    assert parameters["data"]["parameters"] == 5612330
    single = [event for event in steps if len(event["step"]) == 2]
    assert len(single) == kept.log.step_lines  # as many as the log has
    assert [event["step"] for event in single[:9]] == [*([0, n] for n in range(10, 81, 10)), [1, 10]]
    assert single[-1]["data"]["train.loss"] == kept.steps.loss[-1]
    epochs = [event for event in steps if len(event["step"]) == 1]
    assert [event["step"] for event in epochs] == [[n] for n in range(6)]
    assert epochs[-1]["data"]["val.top1_pct"] == 92.8125
    assert summary["step"] == []
    assert summary["data"]["train.training_time_s"] == 389.68
    units = {event["metric"]: event["metadata"]["unit"] for event in events(text, "METADATA")}
    assert units["train.step_time_ms"] == "ms"
    named = {name for event in (*steps, summary) for name in event["data"]}
    assert named - set(units) == {"train.loss", "train.lr"}  # which have none


def test_a_run_of_hundreds_of_thousands_of_steps_has_a_line_an_epoch_of_them(kept: Run) -> None:
    numbers = array("d", [0.3]) * 375_000
    run = replace(
        kept,
        steps=Steps(numbers, numbers, numbers, numbers),
        config={**kept.config, "log_interval": 1},
        log=replace(kept.log, epochs=kept.log.epochs[:1] * 300),
    )
    text = dllogger.dllogger_text(run)
    assert text
    assert len([event for event in events(text) if len(event["step"]) == 2]) == 300


def test_what_is_not_finite_is_a_text_in_dllogger(kept: Run) -> None:
    loss = array("d", [float("nan")]) * len(kept.steps.loss)
    text = dllogger.dllogger_text(replace(kept, steps=replace(kept.steps, loss=loss)))
    assert text
    assert "NaN" not in text
    assert events(text)[1]["data"]["train.loss"] == "nan"


@given(st.text(), st.dictionaries(st.text(), st.none() | st.integers() | st.floats() | st.text() | st.dates()))
def test_any_configuration_gives_lines_that_can_be_read(text: str, config: dict[str, Any]) -> None:
    run = read_once()
    found = dllogger.dllogger_text(replace(run, config={**config, "log_interval": text}))
    assert found
    assert events(found)[0]["step"] == "PARAMETER"
    assert mllog.mllog_text(replace(run, config=config))


_RUNS: list[Run] = []


def read_once() -> Run:
    if not _RUNS:
        _RUNS.extend(run for run in read_runs(ROOT / "tests/repro/fixtures/runs")[0] if run.kind == "train")
    return _RUNS[0]

"""A training in the formats of MLPerf and DLLogger, read back by MLPerf's own parser and checker."""

import json
from array import array
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlperf_logging.compliance_checker import mlp_compliance, mlp_parser

from repro.records.run_folder import read_run
from repro.records.schema import ResumeEvent, Run, Steps
from repro.report.exports.clock import Clock, training_clock
from repro.report.exports.dllogger import dllogger_text
from repro.report.exports.mllog import mllog_text
from tests.support.folders import resume, tiny_train_run

STARTED = {"started": "2026-11-23T08:00:00Z"}


def parsed(run: Run) -> list[Any]:
    """The lines of its MLPerf log, as MLPerf's parser has them."""
    text = mllog_text(run)
    assert text
    lines, errors = mlp_parser.ruleset_510.parse_generator(text.splitlines(True))
    assert errors == []
    assert len(lines) == text.count("\n")
    return lines


def values(run: Run, key: str) -> list[Any]:
    return [line.value["value"] for line in parsed(run) if line.key == key]


def events(run: Run, kind: str = "LOG") -> list[dict[str, Any]]:
    """Those of its DLLogger file."""
    text = dllogger_text(run)
    assert text
    assert all(line.startswith("DLLL {") for line in text.splitlines())
    found = [json.loads(line.removeprefix("DLLL ")) for line in text.splitlines()]
    return [event for event in found if event["type"] == kind]


def clock_of(run: Run) -> Clock:
    times = training_clock(run)
    assert times
    return times


def at(hour: int) -> float:
    return datetime(2026, 11, 23, hour, tzinfo=UTC).timestamp()


def test_the_times_of_a_kept_run_are_those_that_its_log_was_stamped_with(trained: Run, of_seeds: list[Run]) -> None:
    for run in (trained, *of_seeds):
        times, log = clock_of(run), run.log.path.read_text().splitlines()
        stamps = [datetime.fromisoformat(line[:19]).replace(tzinfo=UTC).timestamp() for line in log]  # made in UTC
        apart = [end - stamps[epoch.line - 1] for end, epoch in zip(times.ends, run.log.epochs, strict=True)]
        assert max(map(abs, [*apart, times.finished - stamps[-1]])) < 3  # seconds, of six to ten minutes
        assert times.finished - times.compiled == pytest.approx(run.log.training_time_s, abs=0.01)


def test_times_go_on_where_a_run_was_resumed(tmp_path: Path) -> None:
    changes = {"config": {"max_epoch": 4}, "resumed": [resume(2, time="2026-11-23T12:00:00Z")], "env": STARTED}
    times = clock_of(read_run(tiny_train_run(tmp_path, **changes, step_time_s=0.5)))
    assert (times.started, times.begins[2], times.finished) == (at(8), at(12), times.ends[3])
    assert times.ends[1] < at(9)
    assert times.ends[2] - at(12) == pytest.approx(0.5 + 0.0001 + 7.99, abs=1e-5)  # step, wait and evaluation


def test_an_epoch_that_was_interrupted_ends_after_its_second_part(trained: Run) -> None:
    event = ResumeEvent("2026-11-23T10:00:00Z", 200, 2, "hlg_mobile-0002+00040.ckpt", 3, (), 20.0)
    resumed = replace(trained, resumptions=(event,))
    times, before = clock_of(resumed), clock_of(trained)
    assert (times.begins[2], times.steps[199]) == (before.begins[2], before.steps[199])
    assert times.steps[239] - at(10) == pytest.approx(before.steps[239] - before.steps[199], abs=1e-5)
    assert values(resumed, "resumed") == [200]
    stamps = [line.timestamp for line in parsed(resumed)]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("started", [None, "yesterday", 3, "2026-11-23 08:00:00"])
def test_without_a_start_time_there_is_no_log_and_none_of_an_evaluation(kept: list[Run], started: object) -> None:
    trained, evaluated = kept
    for run in (replace(trained, env=replace(trained.env, facts={"started": started})), evaluated):
        assert (mllog_text(run), dllogger_text(run)) == (None, None)


@pytest.mark.parametrize("time_ms", [float("nan"), float("inf"), -1e300, 1e300])
def test_times_that_cannot_be_are_no_times(trained: Run, time_ms: float) -> None:
    times = array("d", [time_ms, *trained.steps.step_time_ms[1:]])
    assert training_clock(replace(trained, steps=replace(trained.steps, step_time_ms=times))) is None


@pytest.mark.parametrize("ruleset", ["1.0.0", "5.1.0"])
def test_mlperfs_checker_misses_nothing_but_what_only_a_submission_has(
    trained: Run, ruleset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.log").write_text(mllog_text(trained) or "")
    monkeypatch.setattr(mlp_compliance, "enqueued_configs", [])
    checker = mlp_compliance.make_checker("training", ruleset, quiet=True, werror=False)
    checker.check_file(str(tmp_path / "run.log"), f"training_{ruleset}/common.yaml")
    assert checker.not_overwritable == []
    missed = {"submission_org", "submission_division", "cache_clear"}
    # The time that init may take is that of the division.
    assert set(checker.overwritable) == missed | {"submission_status" if ruleset == "1.0.0" else "init_stop"}


def test_an_epoch_that_was_not_evaluated_has_no_accuracy(trained: Run) -> None:
    epochs = (replace(trained.log.epochs[0], accuracy=None, eval_cost_s=None), *trained.log.epochs[1:])
    run = replace(trained, log=replace(trained.log, epochs=epochs))
    assert [len(values(run, key)) for key in ("eval_accuracy", "eval_start", "epoch_stop")] == [5, 5, 6]


@given(st.text() | st.sampled_from([":::MLLOG ", "x:::MLLOG {}", "::::MLLOG ", '\\:::MLLOG "', "\n:::MLLOG {}"]))
def test_any_text_of_a_run_reads_back_through_mlperfs_parser(trained: Run, text: str) -> None:
    run = replace(trained, config={**trained.config, "lr_decay_mode": text})
    assert values(run, "opt_learning_rate_decay_schedule") == ([text] if text else [])


def test_a_run_of_hundreds_of_thousands_of_steps_has_a_line_an_epoch_of_them(trained: Run) -> None:
    numbers = array("d", [0.3]) * 375_000
    run = replace(
        trained,
        steps=Steps(numbers, numbers, numbers, numbers),
        config={**trained.config, "log_interval": 1},
        log=replace(trained.log, epochs=trained.log.epochs[:1] * 300),
    )
    assert len([event for event in events(run) if len(event["step"]) == 2]) == 300


def test_what_is_not_finite_is_a_text_in_dllogger(trained: Run) -> None:
    loss = array("d", [float("nan")]) * len(trained.steps.loss)
    assert events(replace(trained, steps=replace(trained.steps, loss=loss)))[1]["data"]["train.loss"] == "nan"


@given(st.text(), st.dictionaries(st.text(), st.none() | st.integers() | st.floats() | st.text() | st.dates()))
def test_any_configuration_gives_lines_that_can_be_read(trained: Run, text: str, config: dict[str, Any]) -> None:
    assert events(replace(trained, config={**config, "log_interval": text}))[0]["step"] == "PARAMETER"
    assert mllog_text(replace(trained, config=config))


def test_a_run_with_a_target_ends_as_mlperfs_do_with_the_evaluation_that_reached_it(trained: Run) -> None:
    reached = replace(trained, config={**trained.config, "target_top1": 80.0})
    *_, last = parsed(reached)
    assert (last.key, last.value["metadata"]["status"]) == ("run_stop", "success")
    accuracies = values(reached, "eval_accuracy")
    assert accuracies[-1] >= 0.8 > max(accuracies[:-1])
    *_, last = parsed(replace(trained, config={**trained.config, "target_top1": 99.9}))
    assert last.value["metadata"]["status"] == "aborted"

"""What benchmarks note beside their times: the software, and ratios that hold on other machines too."""

from typing import Any

import pytest

from hlg.record.environment import environment_facts
from repro.markdown import columns

NOTES = pytest.StashKey[list[tuple[str, ...]]]()


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["packages"] = environment_facts({})["packages"]


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    config.stash[NOTES] = [("what", "median s", "beside it")]
    for run in output_json["benchmarks"]:
        notes = ", ".join(f"{name} {value:.4g}" for name, value in run["extra_info"].items())
        what = run["param"] or run["name"].removeprefix("test_").replace("_", " ")
        config.stash[NOTES].append((what, f"{run['stats']['median']:.4g}", notes))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if NOTES in config.stash:
        terminalreporter.write_sep("-", "rates and ratios")
        terminalreporter.write_line(columns(config.stash[NOTES]))

"""What benchmarks note beside their times: the software, and ratios that hold on other machines too."""

from typing import Any

import pytest

from hlg.record.environment import environment_facts
from repro.markdown import columns

NOTES = pytest.StashKey[list[tuple[str, ...]]]()


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["packages"] = environment_facts({})["packages"]


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    config.stash[NOTES] = [
        (
            run["name"].removeprefix("test_").replace("_", " "),
            f"{run['stats']['median']:.4g}",
            _notes(run["extra_info"]),
        )
        for run in output_json["benchmarks"]
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if rows := config.stash.get(NOTES, []):
        terminalreporter.write_sep("-", "rates and ratios")
        terminalreporter.write_line(columns([("what", "median s", "beside it"), *rows]))


def _notes(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in found.items())

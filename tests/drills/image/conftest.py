from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runs", type=Path, default=Path("results/runs"), help="where make tiny CONTAINER=1 left runs")
    parser.addoption("--twice", action="store_true", help="also build the image a second time, from nothing")

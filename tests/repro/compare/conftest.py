"""A training that a CPU made, and variants of it on disk."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from repro.records.run_folder import read_run
from repro.records.schema import Run
from tests.support import ROOT
from tests.support.folders import seal

TRAINED = ROOT / "tests/repro/fixtures/runs/20261123T084003Z_tiny_cpux1_4b71f366"
Vary = Callable[..., Path]


@pytest.fixture(scope="session")
def trained() -> Run:
    """Six epochs of 80 steps."""
    return read_run(TRAINED)


@pytest.fixture
def vary(tmp_path: Path) -> Vary:
    """Copies that training under another time, with these keys and facts; sealed, unless it shall be unfinished."""

    def call(hour: int = 9, *, unfinished: int = 0, env: dict[str, Any] | None = None, **keys: object) -> Path:
        folder = tmp_path / "runs" / TRAINED.name.replace("T08", f"T{hour:02}")
        shutil.copytree(TRAINED, folder)
        config = folder / "config.yml"
        config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **keys}))
        facts = json.loads((folder / "env.json").read_text())
        (folder / "env.json").write_text(json.dumps({**facts, **(env or {})}))
        if unfinished:  # so many lines, and half of the next one
            lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
            (folder / "metrics.jsonl").write_text("".join(lines[:unfinished]) + lines[unfinished][:40])
            (folder / "train.log").write_text("")
            (folder / "SHA256SUMS").unlink()
            return folder
        return seal(folder)

    return call

"""The picture and the tables of the front page, where the kept results are not what they are made from."""

import shutil
from pathlib import Path

import pytest

from repro.report import overview
from tests.support import ROOT
from tests.support.folders import tiny_train_run
from tests.support.programs import Call


@pytest.mark.parametrize(
    ("own", "says"), [(False, "control: found no finished training"), (True, "expected the epochs and steps of ")]
)
def test_trainings_that_cannot_be_drawn_together_are_named(own: bool, says: str, tmp_path: Path, call: Call) -> None:
    for name in ("kept", "seeds"):
        shutil.copytree(ROOT / "results" / name, tmp_path / name)
    (tmp_path / "control").mkdir()
    if own:
        tiny_train_run(tmp_path / "control")
    assert says in call(overview.main, "--results", tmp_path, "--out", tmp_path / "out", code=2).err
    assert not (tmp_path / "out").exists()

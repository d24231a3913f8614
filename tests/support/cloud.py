"""ModelArts' storage, by the stand-in for MoXing."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

STAND_INS = ROOT / "tests/support/stand_ins"


@pytest.fixture
def buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of buckets of a storage that this process can use; it is empty."""
    folder = tmp_path / "buckets"
    folder.mkdir()
    monkeypatch.setenv("STAND_IN_BUCKETS", str(folder))
    monkeypatch.syspath_prepend(str(STAND_INS))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "moxing"]:
        del sys.modules[name]

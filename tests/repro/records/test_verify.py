"""`make verify`: any change of a sealed run folder is found."""

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.records import verify
from repro.records.seal import SEAL
from tests.support import ROOT
from tests.support.programs import Call

RUN = next((ROOT / "tests/repro/fixtures/runs").glob("*T084003Z*"))
FILES = sorted(path.name for path in RUN.iterdir() if path.name != SEAL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(RUN, tmp_path_factory.mktemp("runs") / RUN.name))


def test_a_kept_run_is_as_it_was_sealed_and_a_broken_one_beside_it_is_named(tmp_path: Path, call: Call) -> None:
    said = call(verify.main, RUN).out
    assert "as it was sealed, 1 checkpoints are not kept" in said
    assert f"seal {hashlib.sha256((RUN / SEAL).read_bytes()).hexdigest()}" in said
    both = call(verify.main, tmp_path / "nowhere", RUN, code=2)
    assert "no such folder" in both.err
    assert both.out == said


@given(file=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_bit_that_is_changed_anywhere_is_found(copy: Path, file: str, place: float, bit: int) -> None:
    content = bytearray((RUN / file).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (copy / file).write_bytes(content)
    assert verify.main([str(copy)]) == 2
    shutil.copy(RUN / file, copy / file)


def test_an_unfinished_run_is_no_changed_one(tmp_path: Path, call: Call) -> None:
    copy = Path(shutil.copytree(RUN, tmp_path / RUN.name))
    (copy / SEAL).unlink()
    assert "unfinished" in call(verify.main, RUN, copy, code=1).out

"""Any change of a sealed run folder is found."""

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.records import verify
from repro.records.seal import SEAL
from tests.support import ROOT

RUN = next((ROOT / "tests/repro/fixtures/runs").glob("*T084003Z*"))
FILES = sorted(path.name for path in RUN.iterdir() if path.name != SEAL)


def test_a_kept_run_is_as_it_was_sealed(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(RUN)]) == 0
    said = capsys.readouterr().out
    assert "as it was sealed, 1 checkpoints are not kept" in said
    assert f"seal {hashlib.sha256((RUN / SEAL).read_bytes()).hexdigest()}" in said


def test_a_run_that_was_changed_and_sealed_again_shows_by_the_seals_own_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / RUN.name
    shutil.copytree(RUN, copy)
    environment = (copy / "env.json").read_text().replace("AMD EPYC", "Ascend 910")
    was, now = (hashlib.sha256(text.encode()).hexdigest() for text in ((RUN / "env.json").read_text(), environment))
    (copy / "env.json").write_text(environment)
    (copy / SEAL).write_text((copy / SEAL).read_text().replace(was, now))
    assert verify.main([str(RUN), str(copy)]) == 0
    first, second = (line.split("seal ")[1] for line in capsys.readouterr().out.splitlines())
    assert first != second


@given(file=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_bit_that_is_changed_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, file: str, place: float, bit: int
) -> None:
    copy = tmp_path_factory.mktemp("run") / RUN.name
    shutil.copytree(RUN, copy)
    content = bytearray((copy / file).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (copy / file).write_bytes(content)
    assert verify.main([str(copy)]) == 2
    shutil.rmtree(copy.parent)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_a_file_too_many_or_too_few_is_found(tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / RUN.name
    shutil.copytree(RUN, copy)
    if change == "missing":
        (copy / "train.log").unlink()
    else:
        (copy / "notes.txt").write_text("mine")
    assert verify.main([str(copy)]) == 2
    assert f"the seal is broken: {change}" in capsys.readouterr().err


def test_an_unfinished_run_is_no_changed_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / RUN.name
    shutil.copytree(RUN, copy)
    (copy / "SHA256SUMS").unlink()
    assert verify.main([str(RUN), str(copy)]) == 1
    assert "unfinished" in capsys.readouterr().out


def test_one_that_is_broken_keeps_no_other_from_being_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.main([str(tmp_path / "nowhere"), str(RUN)]) == 2
    said = capsys.readouterr()
    assert "no such folder" in said.err
    assert "as it was sealed" in said.out

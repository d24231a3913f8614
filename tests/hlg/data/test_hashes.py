"""Images that were replaced are noticed, by every byte of a small set and a sample of a large one; each says which."""

import hashlib
import os
from itertools import pairwise
from pathlib import Path

import pytest

from hlg.data import hashes
from hlg.data.hashes import SAMPLE, dataset_hash, sample_positions
from hlg.data.index import scan
from hlg.errors import UserError
from tests.hlg.data.test_index import make_files


@pytest.fixture(params=["content", "files-sizes-sample"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of hash that a set of three small images has."""
    monkeypatch.setattr(hashes, "WHOLE_FILES", 3 if request.param == "content" else 2)
    return str(request.param)


def current(root: Path) -> str:
    return dataset_hash(scan(root, class_num=2))


def test_a_hash_covers_paths_sizes_and_contents_wherever_the_folder_lies(kind: str, tmp_path: Path) -> None:
    here, there = (make_files(tmp_path / name, "a/1.JPEG", "a/2.JPEG", "b/2.JPEG") for name in ("here", "there"))
    first = current(here)
    assert first.startswith(f"{kind}:sha256:")
    assert current(there) == first
    (here / "a/1.JPEG").write_bytes(b"87654321")  # as long as before
    replaced = current(here)
    (here / "a/1.JPEG").write_bytes(b"longer than before")
    resized = current(here)
    (here / "a/1.JPEG").rename(here / "a/3.JPEG")
    assert len({first, replaced, resized, current(here)}) == 4


def test_a_large_set_is_known_by_sizes_and_a_few_whole_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "WHOLE_BYTES", 8)
    monkeypatch.setattr(hashes, "SAMPLE", 2)
    data = make_files(tmp_path, *(f"a/{i}.JPEG" for i in range(9)))
    first, inside = current(data), sample_positions(9)
    for i in range(9):
        (data / f"a/{i}.JPEG").write_bytes(b"87654321")
        assert (current(data) != first) == (i in inside)
        (data / f"a/{i}.JPEG").write_bytes(b"12345678")
    names_sizes = hashlib.sha256(b"".join(b"8  a/%d.JPEG\n" % i for i in range(9))).hexdigest()
    assert hashes.split_facts(scan(data, 1))["files_sizes"] == f"files-sizes:sha256:{names_sizes}"


@pytest.mark.parametrize("count", [1, 1023, 1024, 1025, 50_000, 1_281_167])
def test_a_sample_has_one_image_of_each_stretch_at_every_start(count: int) -> None:
    chosen = sample_positions(count)
    assert len(chosen) == min(SAMPLE, count)
    assert 0 <= chosen[0] < chosen[-1] + 1 <= count
    assert all(0 < b - a <= 2 * -(-count // SAMPLE) for a, b in pairwise(chosen))
    assert sum(chosen) == {50_000: 25_599_478, 1_281_167: 655_972_179}.get(count, sum(chosen))


@pytest.mark.parametrize("refused", [os.stat, open])
def test_a_file_that_went_away_after_the_scan_is_an_error_that_names_it(
    refused: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = scan(make_files(tmp_path, "a/1.JPEG"), class_num=1)
    if refused is open:
        monkeypatch.setattr(hashes.os, "stat", lambda path: os.stat_result(range(10)))
    (tmp_path / "a/1.JPEG").unlink()
    with pytest.raises(UserError, match=r"a/1\.JPEG: cannot be read: No such file"):
        dataset_hash(index)

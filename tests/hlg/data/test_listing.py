"""The cached list of files: used while nothing has changed, made again as soon as anything has."""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from hlg.data import listing
from hlg.data.hashes import dataset_hash
from hlg.data.index import scan
from hlg.data.listing import ClassFolders, list_class_folders
from tests.hlg.data.test_index import make_files


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, in which a list of any length is kept, of folders however new."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(listing, "WORTH_CACHING", 1)
    monkeypatch.setattr(listing, "SETTLED_S", 0)
    return tmp_path / "cache" / "hlg-repro"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = make_files(tmp_path / "data", "a/1.JPEG", "a/2.JPEG", "a/notes.txt", "b/3.png", "stray.csv")
    wait_for_the_clock()
    return made


def wait_for_the_clock() -> None:
    """A file system's clock ticks every few milliseconds; a change within a tick leaves no trace."""
    time.sleep(0.03)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were read so far."""
    folders: list[str] = []
    original = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (folders.append(str(folder)), original(folder))[1])
    return folders


def kept_file(cache: Path) -> Path:
    (file,) = cache.iterdir()
    return file


def test_the_second_time_no_folder_is_read(data: Path, read: list[str]) -> None:
    not_utf_8 = Path(os.fsdecode(os.fsencode(data / "a") + b"/\xff.JPEG"))
    not_utf_8.write_bytes(b"")
    wait_for_the_clock()
    first = list_class_folders(data)
    images = ["1.JPEG", "2.JPEG", not_utf_8.name]
    assert first == ClassFolders({"a": (images, ["notes.txt"]), "b": (["3.png"], [])}, ["stray.csv"])
    read.clear()
    assert (list_class_folders(data), read) == (first, [])


def test_sizes_never_come_from_the_cache(data: Path) -> None:
    before = dataset_hash(scan(data, class_num=2))
    (data / "a/1.JPEG").write_bytes(b"longer than before")  # in place: no folder knows of it
    assert dataset_hash(scan(data, class_num=2)) != before


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is added": lambda data: (data / "b/4.JPEG").write_bytes(b""),
    "a class is added": lambda data: shutil.copytree(data / "a", data / "c"),
    "two classes change places": lambda data: (
        (data / "a").rename(data / "c"),
        (data / "b").rename(data / "a"),
        (data / "c").rename(data / "b"),
    ),
    "a file is replaced by another of its name": lambda data: (
        shutil.copy(data / "a/1.JPEG", data.with_name("new")),
        data.with_name("new").rename(data / "a/1.JPEG"),
    ),
    "a class's time is set back": lambda data: os.utime(data / "a", ns=(0, (data / "a").stat().st_mtime_ns)),
    "another folder takes its place": lambda data: (
        shutil.copytree(data, data.with_name("copy"), copy_function=shutil.copy2),
        shutil.rmtree(data),
        data.with_name("copy").rename(data),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_is_listed_again_when(data: Path, cache: Path, read: list[str], change: str) -> None:
    list_class_folders(data)
    CHANGES[change](data)
    read.clear()
    after = list_class_folders(data)
    assert str(data) in read
    kept_file(cache).unlink()
    assert after == list_class_folders(data)


@pytest.mark.parametrize(("setting", "value"), [("SETTLED_S", 60), ("WORTH_CACHING", 4)])
def test_a_short_list_and_one_of_folders_that_changed_just_now_are_not_kept(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: int
) -> None:
    monkeypatch.setattr(listing, setting, value)
    list_class_folders(data)
    assert not cache.exists()


def test_a_damaged_list_is_made_again(data: Path, cache: Path) -> None:
    first = list_class_folders(data)
    whole = kept_file(cache).read_bytes()
    kept_file(cache).write_bytes(whole.replace(b"1.JPEG", b"9.JPEG"))
    assert list_class_folders(data) == first
    assert kept_file(cache).read_bytes() == whole


def test_where_no_cache_can_be_written_there_is_none(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert list_class_folders(data) == list_class_folders(data)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("Could not determine home directory.")))
    assert list_class_folders(data) == list_class_folders(data)


def test_several_ranks_may_keep_the_list_at_once_and_write_nothing_beside_it(data: Path, cache: Path) -> None:
    before = sorted(data.rglob("*"))
    with ThreadPoolExecutor(8) as ranks:
        found = list(ranks.map(list_class_folders, [data] * 32))
    assert all(one == found[0] for one in found)
    kept_file(cache)  # one file, and nothing half-written beside it
    assert sorted(data.rglob("*")) == before

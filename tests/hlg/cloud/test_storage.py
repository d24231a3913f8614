"""The storage by its stand-in: only documented calls, and whatever moment it is cut off at, a run can be resumed."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from hlg.cloud.storage import Outbox, Storage, StorageError, fetch_run
from tests.support.archives import files_in


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The results of a run that has a checkpoint."""
    checkpoints = tmp_path / "out/run/checkpoints"
    checkpoints.mkdir(parents=True)
    (tmp_path / "out/run/metrics.jsonl").write_text("1\n")
    (tmp_path / "out/run/.config.yml").write_text("under way")
    (tmp_path / "out/latest").symlink_to("run")
    save(checkpoints, 1)
    return tmp_path / "out"


def save(checkpoints: Path, step: int) -> None:
    (checkpoints / f"c{step}.ckpt").write_text(f"weights {step}")
    (checkpoints / f"c{step}.json").write_text("{}")
    (checkpoints / "last.ckpt").unlink(missing_ok=True)
    (checkpoints / "last.ckpt").symlink_to(f"c{step}.ckpt")


def calls(buckets: Path) -> list[list[str]]:
    record = buckets / "calls.jsonl"
    found = [json.loads(line)[1:] for line in record.read_text().splitlines()] if record.exists() else []
    record.unlink(missing_ok=True)
    return found


ALL = {
    "run/metrics.jsonl": b"1\n",
    "run/checkpoints/c1.ckpt": b"weights 1",
    "run/checkpoints/c1.json": b"{}",
    "run.links.json": b'{\n "checkpoints/last.ckpt": "c1.ckpt"\n}\n',
}


def outbox(out: Path) -> Outbox:
    """As on a node on which nothing was yet."""
    results = shutil.move(out, out.with_name("results"))
    box = Outbox(Storage(), out, "s3://b/train/")
    shutil.copytree(results, out, symlinks=True, dirs_exist_ok=True)
    return box


def test_a_folder_and_a_file_come_to_where_they_are_wanted(buckets: Path, tmp_path: Path) -> None:
    (buckets / "b/data/train").mkdir(parents=True)
    (buckets / "b/data/train/x").write_text("x")
    (buckets / "b/empty").mkdir()
    storage = Storage()
    assert storage.download("s3://b/data/", tmp_path / "data") == tmp_path / "data"
    assert storage.download("obs://b/data/train/x", tmp_path / "one") == tmp_path / "one/x"
    assert storage.download(str(buckets / "b/data"), tmp_path / "local") == tmp_path / "local"  # as newer jobs have it
    storage.download("s3://b/empty", tmp_path / "none")
    assert files_in(tmp_path / "data") == files_in(tmp_path / "local") == {"train/x": b"x"}
    assert (files_in(tmp_path / "one"), files_in(tmp_path / "none")) == ({"x": b"x"}, {})
    with pytest.raises(StorageError, match="s3://b/none: no such file or folder in the storage"):
        storage.download("s3://b/none", tmp_path / "data")


def test_without_moxing_it_is_said_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "moxing", None)
    with pytest.raises(StorageError, match=r"is not here .* run `pip install /home/ma-user/.*whl` first"):
        Storage()
    (tmp_path / "moxing.py").write_text("")  # as the package on PyPI
    monkeypatch.delitem(sys.modules, "moxing")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StorageError, match=r"is not here \(module 'moxing' has no attribute 'file'\)"):
        Storage()
    del sys.modules["moxing"]


def test_what_is_new_is_sent_once_records_before_checkpoints_before_links(buckets: Path, out: Path) -> None:
    box = outbox(out)
    box.send()
    assert files_in(buckets / "b/train") == ALL
    sent = [Path(source).name for name, source, *_ in calls(buckets) if name == "copy_parallel"]
    assert sent == ["records", "checkpoints", "links"]
    assert not list(out.glob(".sending-*"))
    box.send()
    assert calls(buckets) == []
    with (out / "run/metrics.jsonl").open("a") as file:
        file.write("2\n")
    box.send()
    assert files_in(buckets / "b/train") == {**ALL, "run/metrics.jsonl": b"1\n2\n"}
    assert [Path(source).name for _, source, _ in calls(buckets)] == ["records"]


def test_what_was_pruned_is_deleted_and_nothing_else(buckets: Path, out: Path) -> None:
    box = outbox(out)
    box.send()
    (buckets / "b/train/another run").write_text("")
    save(out / "run/checkpoints", 2)
    for name in ("c1.ckpt", "c1.json"):
        (out / "run/checkpoints" / name).unlink()
    box.send()
    expected = {name.replace("c1", "c2") for name in ALL} | {"another run"}
    assert set(files_in(buckets / "b/train")) == expected


def test_what_was_not_sent_is_sent_the_next_time(buckets: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = outbox(out)
    monkeypatch.setenv("STAND_IN_FAILS", "copy_parallel .*/checkpoints ")
    with pytest.raises(StorageError, match="AccessDenied"):
        box.send()
    assert set(files_in(buckets / "b/train")) == {"run/metrics.jsonl"}  # never a link or checkpoint without its records
    monkeypatch.delenv("STAND_IN_FAILS")
    box.send()
    assert files_in(buckets / "b/train") == ALL


def test_a_run_comes_back_with_its_links_and_is_not_sent_again(buckets: Path, out: Path, tmp_path: Path) -> None:
    outbox(out).send()
    back = tmp_path / "back"
    fetch_run(Storage(), "s3://b/train", back, "run")
    assert (back / "run/checkpoints/last.ckpt").readlink() == Path("c1.ckpt")
    (out / "run/.config.yml").unlink()
    assert files_in(back / "run") == files_in(out / "run")
    calls(buckets)
    Outbox(Storage(), back, "s3://b/train").send()
    assert calls(buckets) == []


def test_links_that_lead_elsewhere_are_not_made(buckets: Path, out: Path, tmp_path: Path) -> None:
    outbox(out).send()
    links = {"checkpoints/last.ckpt": "/etc/passwd", "../outside": "c1.ckpt", "checkpoints/best.ckpt": "c1.ckpt"}
    (buckets / "b/train/run.links.json").write_text(json.dumps(links))
    fetch_run(Storage(), "s3://b/train", tmp_path / "back", "run")
    made = [path.name for path in (tmp_path / "back").rglob("*") if path.is_symlink()]
    assert made == ["best.ckpt"]

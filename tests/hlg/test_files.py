"""Files that are written whole or not at all, and links on any storage."""

import os
import threading
from pathlib import Path

import pytest

from hlg import files
from hlg.files import PARTIAL, follow_links, link_or_point, link_target, write_atomic
from repro.files import pointed_path, replace_file
from tests.support.disks import full_disk


@pytest.mark.parametrize("write", [write_atomic, replace_file])
def test_two_writers_at_once_leave_the_whole_file_of_one_and_no_other(write: object, tmp_path: Path) -> None:
    contents = [letter * 100_000 for letter in "ab"]

    def work(content: str) -> None:
        for _ in range(50):
            write(tmp_path / "file", content)  # type: ignore[operator]
            assert (tmp_path / "file").read_text() in contents

    failed: list[object] = []
    monitor, threading.excepthook = threading.excepthook, failed.append
    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    threading.excepthook = monitor
    assert failed == []
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


@pytest.mark.parametrize("write", [write_atomic, replace_file])
def test_a_file_that_cannot_be_written_is_named_and_the_older_one_stays(
    write: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("older")
    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left") as error:
        write(tmp_path / "file", "newer")  # type: ignore[operator]
    assert error.value.filename == str(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "older"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


@pytest.mark.parametrize("write", [write_atomic, replace_file])
def test_a_planted_link_is_not_followed(write: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_text("kept")
    monkeypatch.setattr("secrets.token_hex", lambda _: "foreseen")
    (tmp_path / f"{PARTIAL}foreseen").symlink_to("precious")
    with pytest.raises(FileExistsError):
        write(tmp_path / "file", "new")  # type: ignore[operator]
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.usefixtures("any_storage")
def test_links_lead_to_their_targets_on_any_storage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files.note_once.cache_clear()
    for name in ("one", "two"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints/x.ckpt").write_text(name)
        link_or_point(tmp_path / "latest", name)
        link_or_point(tmp_path / name / "checkpoints/last.ckpt", "x.ckpt")
    assert link_target(tmp_path / "latest") == "two"
    assert link_target(tmp_path / "one") is None
    for follow in (follow_links, pointed_path):
        assert follow(tmp_path / "latest/checkpoints/last.ckpt").read_text() == "two"
        assert follow(tmp_path / "latest").is_dir()
        assert follow(tmp_path / "none/x") == tmp_path / "none/x"
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))
    notes = capsys.readouterr().err.count("note: this storage has no symbolic links")
    assert notes == (0 if (tmp_path / "latest").is_symlink() else 1)


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "..", ""])
def test_a_file_that_stands_for_a_link_leads_nowhere_else(target: str, tmp_path: Path) -> None:
    (tmp_path / "latest").write_bytes(files.POINTER + os.fsencode(target) + b"\n")
    assert follow_links(tmp_path / "latest") == pointed_path(tmp_path / "latest") == tmp_path / "latest"

"""Archives: what is whole is unpacked and removed; what is damaged or hostile is one line that names it."""

import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from hlg.data.imagenet.archives import unpack_archives
from hlg.errors import UserError


def tar_of(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


IMAGES = {"n01/n01_0.JPEG": b"a" * 700, "n01/n01_1.JPEG": b"b", "n02/n02_0.JPEG": b"c" * 1024}


@pytest.mark.parametrize(
    ("name", "mode"), [("imagenet_train.tar", "w"), ("imagenet.tar.gz", "w:gz"), ("imagenet.tgz", "w:gz")]
)
def test_an_archive_of_class_folders_is_unpacked_where_it_lies_and_removed(
    name: str, mode: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(tar_of({f"./{image}": content for image, content in IMAGES.items()}, mode))
    assert unpack_archives(tmp_path) == 1
    assert files_in(tmp_path) == IMAGES


def test_an_archive_of_archives_as_imagenet_is_published_becomes_a_folder_a_class(tmp_path: Path) -> None:
    classes = {
        f"{c}.tar": tar_of({k.split("/")[1]: v for k, v in IMAGES.items() if k.startswith(c)}) for c in ("n01", "n02")
    }
    (tmp_path / "imagenet_train.tar").write_bytes(tar_of(classes))
    assert unpack_archives(tmp_path) == 3
    assert files_in(tmp_path) == IMAGES


def test_archives_of_classes_may_lie_there_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "n01.tar").write_bytes(tar_of({"x.JPEG": b"x"}))
    (tmp_path / "n02.tar.gz").write_bytes(tar_of({"y.JPEG": b"y"}, "w:gz"))
    assert unpack_archives(tmp_path) == 2
    assert files_in(tmp_path) == {"n01/x.JPEG": b"x", "n02/y.JPEG": b"y"}


def test_a_folder_without_archives_or_none_at_all_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.JPEG").write_bytes(b"a")
    assert unpack_archives(tmp_path) == unpack_archives(tmp_path / "train") == 0
    assert files_in(tmp_path) == {"a.JPEG": b"a"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.8])
def test_an_archive_cut_off_anywhere_is_damaged(mode: str, part: float, tmp_path: Path) -> None:
    whole = tar_of({f"n01/{i}.JPEG": bytes([i]) * 3000 for i in range(20)}, mode)
    archive = tmp_path / "imagenet_train.tar"
    archive.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(UserError, match=r"imagenet_train\.tar: damaged or no tar archive \(.+\); upload it anew"):
        unpack_archives(tmp_path)
    assert archive.exists()


def test_an_archive_cut_off_between_two_files_is_damaged_too(tmp_path: Path) -> None:
    one, two = tar_of({"n01/0.JPEG": b"0" * 512}), tar_of({"n01/0.JPEG": b"0" * 512, "n01/1.JPEG": b"1"})
    assert one[:1024] == two[:1024]
    (tmp_path / "a.tar").write_bytes(two[:1024])  # a header and its file
    with pytest.raises(UserError, match=r"a\.tar: damaged .*its end is missing"):
        unpack_archives(tmp_path)


def test_a_header_that_was_altered_in_the_middle_does_not_end_an_archive_unnoticed(tmp_path: Path) -> None:
    content = bytearray(tar_of({"n01/0.JPEG": b"0" * 512, "n01/1.JPEG": b"1"}))
    content[1024] ^= 1  # in the name of the second file, against the checksum of its header
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tar: damaged"):
        unpack_archives(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>" * 100])
def test_what_is_no_archive_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tar: damaged or no tar archive"):
        unpack_archives(tmp_path)


def test_a_name_that_leads_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.tar").write_bytes(tar_of({"n01/0.JPEG": b"0", "../outside": b"evil"}))
    with pytest.raises(UserError, match=r"a\.tar: refused \('\.\./outside' would be extracted to .*outside"):
        unpack_archives(tmp_path / "data")
    assert not (tmp_path / "outside").exists()


def test_a_link_that_leads_outside_and_a_device_are_refused(tmp_path: Path) -> None:
    for kind, target in ((tarfile.SYMTYPE, "/etc"), (tarfile.LNKTYPE, "../../x"), (tarfile.CHRTYPE, "")):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            entry = tarfile.TarInfo("n01/link")
            entry.type, entry.linkname = kind, target
            tar.addfile(entry)
        with pytest.raises(UserError, match=r"a\.tar: refused"):
            unpack_archives(tmp_path)


def test_an_absolute_name_stays_inside(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of({"/n01/0.JPEG": b"0"}))
    unpack_archives(tmp_path)
    assert files_in(tmp_path) == {"n01/0.JPEG": b"0"}


def test_too_little_room_is_said_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(IMAGES))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"a\.tar: can't be unpacked, it has 0\.0 GB and the disk 0\.0 GB left"):
        unpack_archives(tmp_path)
    assert list(files_in(tmp_path)) == ["a.tar"]

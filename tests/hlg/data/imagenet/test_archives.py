"""Archives unpacked in place: whole ones are unpacked and removed, damaged and hostile ones named in one line."""

import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from hlg.data.imagenet.archives import unpack_archives
from hlg.errors import UserError
from tests.support.archives import files_in, tar_of

IMAGES = {"n01/n01_0.JPEG": b"a" * 700, "n01/n01_1.JPEG": b"b", "n02/n02_0.JPEG": b"c" * 1024}


def of_class(name: str, mode: str = "w") -> bytes:
    return tar_of({k.split("/")[1]: v for k, v in IMAGES.items() if k.startswith(name)}, mode)


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"imagenet_train.tar": tar_of({f"./{name}": content for name, content in IMAGES.items()})}, 1),
        ({"imagenet.tar.gz": tar_of(IMAGES, "w:gz")}, 1),
        ({"imagenet.tgz": tar_of({f"/{name}": content for name, content in IMAGES.items()}, "w:gz")}, 1),
        ({"imagenet_train.tar": tar_of({f"{name}.tar": of_class(name) for name in ("n01", "n02")})}, 3),
        ({"n01.tar": of_class("n01"), "n02.tar.gz": of_class("n02", "w:gz")}, 2),
        (IMAGES, 0),
    ],
    ids=["of class folders", "gzip", "absolute names", "of archives, as published", "classes", "none"],
)
def test_archives_are_unpacked_where_they_lie_and_removed(files: dict[str, bytes], count: int, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert unpack_archives(tmp_path) == count
    assert files_in(tmp_path) == IMAGES
    assert unpack_archives(tmp_path / "no such folder") == 0


TWO, GZIPPED = tar_of({"n01/0.JPEG": b"0" * 512, "n01/1.JPEG": b"1"}), tar_of(IMAGES, "w:gz")


@pytest.mark.parametrize(
    "content",
    [
        TWO[:800],  # in a file
        GZIPPED[: len(GZIPPED) // 2],
        GZIPPED[:-4],  # in the checksum
        TWO[:1024],  # cut off between two files
        TWO[:1024] + bytes([TWO[1024] ^ 1]) + TWO[1025:],  # in the name of the second, against its header's checksum
        b"",
        b"<html>404</html>" * 100,
    ],
)
def test_what_is_cut_off_damaged_or_no_archive_is_named_and_stays(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tar: damaged or no tar archive \(.+\); upload it anew"):
        unpack_archives(tmp_path)
    assert (tmp_path / "a.tar").exists()


def test_what_leads_outside_and_a_device_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    archive = tmp_path / "data/a.tar"
    archive.write_bytes(tar_of({"n01/0.JPEG": b"0", "../outside": b"evil"}))
    with pytest.raises(UserError, match=r"a\.tar: refused \('\.\./outside' would be extracted to .*outside"):
        unpack_archives(tmp_path / "data")
    assert not (tmp_path / "outside").exists()
    for kind, target in ((tarfile.SYMTYPE, "/etc"), (tarfile.LNKTYPE, "../../x"), (tarfile.CHRTYPE, "")):
        with tarfile.open(archive, "w") as tar:
            entry = tarfile.TarInfo("n01/link")
            entry.type, entry.linkname = kind, target
            tar.addfile(entry)
        with pytest.raises(UserError, match=r"a\.tar: refused"):
            unpack_archives(tmp_path / "data")


def test_too_little_room_is_said_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(IMAGES))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"a\.tar: can't be unpacked, it has 0\.0 GB and the disk 0\.0 GB left"):
        unpack_archives(tmp_path)
    assert list(files_in(tmp_path)) == ["a.tar"]

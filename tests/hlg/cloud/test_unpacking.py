"""Archives unpacked in place: whole ones are unpacked and removed, damaged and hostile ones named in one line."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from hlg.cloud.unpacking import unpack_archives
from hlg.data.imagenet.labels import KIT
from hlg.errors import UserError
from tests.support.archives import files_in, tar_of

IMAGES = {"n01440764/0.JPEG": b"a" * 700, "n01440764/1.JPEG": b"b", "n02085620/0.JPEG": b"c" * 1024}
CLASSES = ("n01440764", "n02085620")


def of_class(name: str, compressed: bool = False) -> bytes:
    return tar_of({k.split("/")[1]: v for k, v in IMAGES.items() if k.startswith(name)}, compressed)


LAYOUTS = {
    "of class folders": ({"imagenet_train.tar": tar_of({f"./{name}": content for name, content in IMAGES.items()})}, 1),
    "gzip": ({"imagenet.tar.gz": tar_of(IMAGES, compressed=True)}, 1),
    "of a set that the suite has made": ({"tiny.tgz": tar_of({**IMAGES, "manifest.json": b"{}"}, compressed=True)}, 1),
    "of archives, as published": ({"train.tar": tar_of({f"{name}.tar": of_class(name) for name in CLASSES})}, 3),
    "classes": ({f"{name}.tar.gz": of_class(name, compressed=True) for name in CLASSES}, 2),
    "none": ({**IMAGES, KIT: b"no images"}, 0),
}


@pytest.mark.parametrize(("files", "count"), LAYOUTS.values(), ids=LAYOUTS)
def test_archives_are_unpacked_where_they_lie_and_removed(files: dict[str, bytes], count: int, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert unpack_archives(tmp_path) == count
    assert {name: content for name, content in files_in(tmp_path).items() if "/" in name} == IMAGES
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tar", ".gz", ".tgz") and path.name != KIT]
    assert unpack_archives(tmp_path / "no such folder") == 0


TWO, GZIPPED = tar_of({"n01440764/0.JPEG": b"0" * 512, "n01440764/1.JPEG": b"1"}), tar_of(IMAGES, compressed=True)


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
    with pytest.raises(UserError, match=r"a\.tar: (damaged.* \(.+\): compare|'.+': refused, it is cut off)"):
        unpack_archives(tmp_path)
    assert (tmp_path / "a.tar").exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"n01440764/0.JPEG": b"0", "../outside": b"evil"}, "'../outside': refused, its name leads out of the folder"),
        ({"0.JPEG": b"0"}, "'0.JPEG' lies in no class folder, so its class is unknown: sort the images with make"),
        ({"val/0.JPEG": b"0"}, "'val/0.JPEG' lies in no class folder"),
    ],
)
def test_what_is_refused_or_has_no_class_is_not_written(files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.tar").write_bytes(tar_of(files))
    with pytest.raises(UserError, match=r"a\.tar: ") as error:
        unpack_archives(tmp_path / "data")
    assert said in str(error.value)
    assert list(files_in(tmp_path)) == ["data/a.tar"]


def test_an_image_that_is_in_two_archives_is_written_once(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        (tmp_path / name).write_bytes(tar_of({"n01440764/0.JPEG": name.encode()}))
    with pytest.raises(UserError, match=r"b\.tar: refused, .*n01440764/0\.JPEG is there already: is it in two"):
        unpack_archives(tmp_path)
    assert (tmp_path / "n01440764/0.JPEG").read_bytes() == b"a.tar"


def test_too_little_room_is_said_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(IMAGES))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"a\.tar: can't be unpacked, it has 0\.0 GB and the disk 0\.0 GB left"):
        unpack_archives(tmp_path)
    assert list(files_in(tmp_path)) == ["a.tar"]

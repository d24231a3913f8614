"""Archives unpacked in place: whole ones are unpacked and removed, damaged and hostile ones named in one line."""

import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from hlg.cloud.unpacking import unpack_archives
from hlg.data.imagenet.labels import KIT
from hlg.errors import UserError
from tests.support.archives import files_in, tar_of

IMAGES = {
    "n01440764/n01440764_0.JPEG": b"a" * 700,
    "n01440764/n01440764_1.JPEG": b"b",
    "n02085620/n02085620_0.JPEG": b"c" * 1024,
}


def of_class(name: str, mode: str = "w") -> bytes:
    return tar_of({k.split("/")[1]: v for k, v in IMAGES.items() if k.startswith(name)}, mode)


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"imagenet_train.tar": tar_of({f"./{name}": content for name, content in IMAGES.items()})}, 1),
        ({"imagenet.tar.gz": tar_of(IMAGES, "w:gz")}, 1),
        ({"imagenet.tgz": tar_of({**IMAGES, "manifest.json": b"{}"}, "w:gz")}, 1),
        ({"imagenet_train.tar": tar_of({f"{name}.tar": of_class(name) for name in ("n01440764", "n02085620")})}, 3),
        ({"n01440764.tar": of_class("n01440764"), "n02085620.tar.gz": of_class("n02085620", "w:gz")}, 2),
        ({**IMAGES, KIT: b"no images"}, 0),
    ],
    ids=[
        "of class folders",
        "gzip",
        "of a set that the suite has made",
        "of archives, as published",
        "classes",
        "none",
    ],
)
def test_archives_are_unpacked_where_they_lie_and_removed(files: dict[str, bytes], count: int, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert unpack_archives(tmp_path) == count
    assert {name: content for name, content in files_in(tmp_path).items() if "/" in name} == IMAGES
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tar", ".gz", ".tgz") and path.name != KIT]
    assert unpack_archives(tmp_path / "no such folder") == 0


TWO, GZIPPED = tar_of({"n01440764/0.JPEG": b"0" * 512, "n01440764/1.JPEG": b"1"}), tar_of(IMAGES, "w:gz")


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
        (
            {"n01440764/0.JPEG": b"0", "n01440764/run.sh": b"evil"},
            "'n01440764/run.sh': refused, it is neither an image",
        ),
        ({"n01440764/0.JPEG": b"0", "./n01440764/0.JPEG": b"1"}, "the name is there twice"),
        ({"0.JPEG": b"0"}, "'0.JPEG' lies in no class folder, so nothing says what it shows: sort the images by make"),
        ({"val/0.JPEG": b"0"}, "'val/0.JPEG' lies in no class folder"),
    ],
)
def test_nothing_is_written_of_what_make_imagenet_refuses_or_has_no_class(
    files: dict[str, bytes], said: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.tar").write_bytes(tar_of(files))
    with pytest.raises(UserError, match=r"a\.tar: ") as error:
        unpack_archives(tmp_path / "data")
    assert said in str(error.value)
    assert list(files_in(tmp_path)) == ["data/a.tar"]


def test_links_are_refused_however_they_lead_outside(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    for kind, target in ((tarfile.SYMTYPE, "/etc"), (tarfile.LNKTYPE, "../../x"), (tarfile.CHRTYPE, "")):
        with tarfile.open(archive, "w") as tar:
            entry = tarfile.TarInfo("n01440764/link")
            entry.type, entry.linkname = kind, target
            tar.addfile(entry)
        with pytest.raises(UserError, match=r"a\.tar: 'n01440764/link': refused, it is a (link|device)"):
            unpack_archives(tmp_path)


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

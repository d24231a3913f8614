"""ImageNet's archives into class folders: straight out of them, whole or not at all, and nothing hostile."""

import io
import json
import os
import random
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import savemat

from hlg.data.class_names import class_names_beside
from hlg.data.imagenet import devkit, unpack
from hlg.data.imagenet.__main__ import main
from hlg.data.index import scan
from hlg.errors import UserError
from hlg.files import PARTIAL
from tests.support.archives import files_in, tar_of
from tests.support.processes import run_module

CLASSES = ("n01440764", "n01443537", "n02085620")
NAMES = ("tench, Tinca tinca", "goldfish, Carassius auratus", "Chihuahua")
BYTES = random.Random(0)  # no image is decoded, so any bytes will do
TRAIN = {f"{wnid}/{wnid}_{i}.JPEG": BYTES.randbytes(20_000) for wnid in CLASSES for i in range(3)}
VAL = {f"ILSVRC2012_val_{i + 1:08d}.JPEG": BYTES.randbytes(1000) for i in range(6)}
VAL_CLASSES = [CLASSES[i % 3] for i in range(6)]
VAL_FOLDERS = {f"{wnid}/{name}": VAL[name] for wnid, name in zip(VAL_CLASSES, VAL, strict=True)}
TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
CLASS_TARS = {
    f"{wnid}.tar": tar_of({name.split("/")[1]: content for name, content in TRAIN.items() if name.startswith(wnid)})
    for wnid in CLASSES
}
PUBLISHED = tar_of(CLASS_TARS)  # an archive of archives


def kit() -> bytes:
    """The development kit: its ids follow another order than the classes' names, and not all are leaves."""
    ids = {CLASSES[2]: 1, CLASSES[0]: 2, CLASSES[1]: 3}
    rows = [(ids[wnid], wnid, name, 0) for wnid, name in zip(CLASSES, NAMES, strict=True)]
    columns = [(key, object) for key in ("ILSVRC2012_ID", "WNID", "words", "num_children")]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array([*rows, (4, "n00001740", "entity", 3)], columns)})
    truth = "".join(f"{ids[wnid]}\n" for wnid in VAL_CLASSES).encode()
    return tar_of({"kit/data/meta.mat": meta.getvalue(), f"kit/data/{devkit.TRUTH}": truth}, "w:gz")


KIT = kit()


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    folder = tmp_path / "archives"
    folder.mkdir()
    for name, content in ((TRAIN_TAR, PUBLISHED), (VAL_TAR, tar_of(VAL)), (devkit.DEVKIT, KIT)):
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "imagenet"


def images_in(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_in(folder).items() if not Path(name).name.startswith(".")}


def error_of(archives: Path, out: Path) -> str:
    with pytest.raises(UserError) as raised:
        unpack.unpack_imagenet(archives, out, 2)
    return str(raised.value)


# What comes out


def test_the_published_archives_become_class_folders_with_names_once(
    archives: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(archives)
    unpack.unpack_imagenet(archives, out, 2)
    assert (images_in(out / "train"), images_in(out / "val")) == (TRAIN, VAL_FOLDERS)
    assert files_in(archives) == before
    assert scan(out / "train", 1001).classes == scan(out / "val", 1001).classes == CLASSES
    assert {path.name for path in out.iterdir()} == {"train", "val", "classes.txt"}
    assert class_names_beside(out / "val") == dict(zip(CLASSES, NAMES, strict=True))
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.JPEG")}
    unpack.unpack_imagenet(archives, out, 2)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.JPEG")} == times
    assert capsys.readouterr().out.count("(already there)") == 2


def test_one_split_is_made_without_the_others_archive_and_a_list_of_classes_does_instead_of_the_kit(
    archives: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (archives / TRAIN_TAR).unlink()
    (archives / devkit.DEVKIT).unlink()
    (archives / "val_wnids.txt").write_text("\n".join(VAL_CLASSES) + "\n")
    (archives / "LOC_synset_mapping.txt").write_text(f"{CLASSES[0]} {NAMES[0]}\n")
    unpack.unpack_imagenet(archives, out, 2)
    assert not (out / "train").exists()
    assert "train: not made, for" in capsys.readouterr().out
    assert images_in(out / "val") == VAL_FOLDERS
    assert class_names_beside(out / "val") == {CLASSES[0]: NAMES[0]}


def test_the_archives_that_are_usual_in_clouds_do_as_well(tmp_path: Path, out: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/imagenet_train.tar").write_bytes(tar_of({f"./train/{k}": v for k, v in TRAIN.items()}))
    (tmp_path / "imagenet_val.tar").write_bytes(tar_of(VAL_FOLDERS))
    unpack.unpack_imagenet(tmp_path, out, 2)
    assert (images_in(out / "train"), images_in(out / "val")) == (TRAIN, VAL_FOLDERS)


# Killed, and resumed


def test_a_killed_run_leaves_no_split_and_is_resumed_without_mindspore(archives: Path, out: Path) -> None:
    many = {f"n{c:08d}.tar": tar_of({f"n{c:08d}_{i}.JPEG": os.urandom(4000) for i in range(40)}) for c in range(100)}
    (archives / TRAIN_TAR).write_bytes(tar_of(many))
    options = ("--archives", archives, "--out", out)
    command = [sys.executable, "-m", "hlg.data.imagenet", *map(str, options), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not list(out.glob(".train.partial/n*")) and process.poll() is None:
            time.sleep(0.001)
        process.kill()
    assert process.returncode < 0, "it was done before it could be killed"
    assert not (out / "train").exists()
    finished = {path: path.stat().st_mtime_ns for path in out.glob(".train.partial/n*/*")}
    (archives / "mindspore.py").write_text("raise ImportError('not here')")
    done = run_module("hlg.data.imagenet", *options, env={"PYTHONPATH": str(archives)})
    assert (done.returncode, done.stderr) == (0, "")  # no progress where nobody watches
    assert f"{out / 'train'}: 4,000 images of 100 classes" in done.stdout
    assert len(images_in(out / "train")) == 4000
    again = {out / "train" / path.parent.name / path.name: time_ for path, time_ in finished.items()}
    assert {path: path.stat().st_mtime_ns for path in again} == again
    assert not [path for path in out.rglob("*") if path.name.startswith(PARTIAL)]


def test_half_a_file_is_never_taken_for_a_whole_one(archives: Path, out: Path) -> None:
    half = out / ".train.partial" / f"{PARTIAL}{CLASSES[0]}"
    half.mkdir(parents=True)
    (half / f"{CLASSES[0]}_0.JPEG").write_bytes(b"half")
    (half / f"{PARTIAL}{CLASSES[0]}_1.JPEG").write_bytes(b"half")
    unpack.unpack_imagenet(archives, out, 2)
    assert files_in(out / "train").keys() == {*TRAIN, unpack.RECORD}
    assert images_in(out / "train") == TRAIN


def test_what_is_not_of_this_archive_is_not_touched(archives: Path, out: Path) -> None:
    (out / ".train.partial").mkdir(parents=True)
    (out / ".train.partial" / unpack.RECORD).write_text(json.dumps({"archive": "other.tar", "archive_bytes": 1}))
    assert "holds a part of another archive" in error_of(archives, out)
    (out / ".train.partial").rename(out / "train")
    before = files_in(out)
    assert "train: is there already, and was not made of" in error_of(archives, out)
    assert files_in(out) == before


def test_two_processes_do_not_make_the_same_folder(archives: Path, out: Path) -> None:
    out.mkdir()
    with unpack._alone(out):
        assert "another process is making this data set" in error_of(archives, out)


def test_too_little_room_is_said_before_anything_is_written(
    archives: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    assert "GB more, and its disk has 0.0 GB left" in error_of(archives, out)
    assert images_in(out) == {}


# What is missing, or does not fit


def test_a_folder_without_archives_is_told_what_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--archives", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in (TRAIN_TAR, VAL_TAR, "imagenet_train.tar", devkit.DEVKIT, devkit.WNIDS))
    assert not (tmp_path / "out").exists()


NO_TABLE = {"x/data/meta.mat": b"no table"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (devkit.DEVKIT, None, f"{VAL_TAR}: its images lie in no class folder, and nothing beside it says what they"),
        (devkit.WNIDS, "\n".join([*VAL_CLASSES, CLASSES[0]]).encode(), "holds 6 images in no class folder, but "),
        (devkit.WNIDS, b"tench\nn01440764", "val_wnids.txt:1: found 'tench'"),
        (devkit.DEVKIT, KIT[:200], f"{devkit.DEVKIT}: damaged or no archive"),
        (devkit.DEVKIT, tar_of({**NO_TABLE, f"x/data/{devkit.TRUTH}": b"1\n"}, "w:gz"), "meta.mat is not the kit's"),
        (devkit.DEVKIT, tar_of(NO_TABLE, "w:gz"), f"{devkit.DEVKIT}: holds no data/{devkit.TRUTH}"),
    ],
)
def test_classes_of_validation_images_that_are_missing_or_do_not_fit_are_named(
    archives: Path, out: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is None:
        (archives / name).unlink()
    else:
        (archives / name).write_bytes(content)
    assert said in error_of(archives, out)
    assert not (out / "val").exists()


# Damaged and hostile


def with_zeros_in_the_middle() -> bytes:
    """An archive of four classes, of which the second's header is zeros, as at an archive's end."""
    files = {f"{i}.tar": tar_of({f"{i}.JPEG": bytes(600_000)}) for i in range(4)}
    start = 512 + len(files["0.tar"])
    content = tar_of(files)
    return content[:start] + bytes(512) + content[start + 512 :]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PUBLISHED[: len(PUBLISHED) // 2], ": 'n0"),
        (tar_of({"n0.tar": CLASS_TARS[f"{CLASSES[1]}.tar"][:-12000]}), f": n0.tar: '{CLASSES[1]}_"),
        (with_zeros_in_the_middle(), ": damaged after '0.tar' (it ends 1,"),
    ],
    ids=["cut off", "cut off in a class", "zeros in the middle"],
)
def test_a_damaged_archive_is_named_with_the_member(archives: Path, out: Path, content: bytes, said: str) -> None:
    (archives / TRAIN_TAR).write_bytes(content)
    assert f"{TRAIN_TAR}{said}" in error_of(archives, out)
    assert not (out / "train").exists()


def hostile(name: str = "n01440764/x.JPEG", size: int = 4, **facts: object) -> bytes:
    """A member of an archive, with four bytes of content."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    for key, value in facts.items():
        setattr(entry, key, value)
    return entry.tobuf() + b"1234".ljust(512)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (hostile("../x.JPEG"), "leads out"),
        (hostile("n01/../../x.JPEG"), "leads out"),
        (hostile("/etc/x.JPEG"), "leads out"),
        (hostile(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link"),
        (hostile(type=tarfile.LNKTYPE, linkname="other"), "a link"),
        (hostile(type=tarfile.CHRTYPE), "a device"),
        (hostile(type=tarfile.BLKTYPE), "a device"),
        (hostile(type=tarfile.FIFOTYPE), "a pipe"),
        (hostile(size=1 << 40), "is cut off"),
        (hostile(size=0), "is empty"),
        (hostile("n01\n/x.JPEG"), "none for a file"),
        (hostile("n01/..\\x.JPEG"), "none for a file"),
        (hostile("n01/" + "x" * 300), "none for a file"),
        (hostile(".train/x.JPEG"), "would be hidden"),
        (hostile("n01/x.sh"), "neither an image nor the archive of a class"),
        (hostile("././@LongLink", 1 << 30, type=tarfile.GNUTYPE_LONGNAME), "(a header of 1,073,741,824 bytes)"),
        (hostile("n01/x.JPEG") + hostile("./n01/x.JPEG"), "'./n01/x.JPEG': refused, the name is there twice"),
        (hostile("a/n01/x.JPEG") + hostile("b/n01/x.JPEG"), "'n01/x.JPEG': refused, it would be written twice"),
        (
            tar_of({"n01.tar": hostile("x.JPEG", type=tarfile.SYMTYPE, linkname="/etc/passwd")}),
            "n01.tar: 'x.JPEG': refused, it is a link",
        ),
        (tar_of({"n01.tar": tar_of({"x.sh": b"1"})}), "n01.tar: 'x.sh': refused, it is no image of a class"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_archive_of_images_holds_is_refused_by_name(
    archives: Path, out: Path, members: bytes, said: str
) -> None:
    (archives / TRAIN_TAR).write_bytes(members + bytes(4096))
    error = error_of(archives, out)
    assert f"{TRAIN_TAR}: " in error
    assert said in error
    assert not images_in(out)

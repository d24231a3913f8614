"""ImageNet's folders of its archives: straight out of them, whole or not at all, and nothing hostile."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import savemat

from hlg.data.class_names import class_names_beside
from hlg.data.imagenet import devkit, unpack
from hlg.data.imagenet.__main__ import main
from hlg.data.imagenet.archives import list_members
from hlg.data.index import scan
from hlg.data.tiny import drawing
from hlg.errors import UserError
from hlg.files import PARTIAL
from tests.hlg.data.imagenet.test_archives import files_in, tar_of
from tests.support.processes import run_module

CLASSES = ("n01440764", "n01443537", "n02085620")
NAMES = ("tench, Tinca tinca", "goldfish, Carassius auratus", "Chihuahua")


def image(label: int, i: int) -> bytes:
    """A drawn photograph, another one for each (label, i)."""
    rng = np.random.default_rng([label, i])
    return drawing.encode_image(drawing.draw_image(label, rng), rng, "JPEG")


TRAIN = {f"{wnid}/{wnid}_{i}.JPEG": image(label, i) for label, wnid in enumerate(CLASSES) for i in range(3)}
VAL = {f"ILSVRC2012_val_{i + 1:08d}.JPEG": image(i % 3, 10 + i) for i in range(6)}
VAL_CLASSES = [CLASSES[i % 3] for i in range(6)]
VAL_FOLDERS = {f"{wnid}/{name}": VAL[name] for wnid, name in zip(VAL_CLASSES, VAL, strict=True)}


def of_class(wnid: str, files: Mapping[str, bytes] = TRAIN) -> bytes:
    return tar_of({name.split("/")[1]: content for name, content in files.items() if name.startswith(wnid)})


def train_tar() -> bytes:
    """As ImageNet is published: an archive of archives."""
    return tar_of({f"{wnid}.tar": of_class(wnid) for wnid in CLASSES})


def kit() -> bytes:
    """The development kit: its ids follow another order than the classes' names, and not all are leaves."""
    synsets = np.zeros(4, [(key, object) for key in ("ILSVRC2012_ID", "WNID", "words", "num_children")])
    rows = [(1, CLASSES[2], NAMES[2], 0), (2, CLASSES[0], NAMES[0], 0), (3, CLASSES[1], NAMES[1], 0)]
    for i, row in enumerate([*rows, (4, "n00001740", "entity", 3)]):
        synsets[i] = row
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    ids = {CLASSES[2]: 1, CLASSES[0]: 2, CLASSES[1]: 3}
    truth = "".join(f"{ids[wnid]}\n" for wnid in VAL_CLASSES).encode()
    folder = "ILSVRC2012_devkit_t12"
    return tar_of({f"{folder}/data/meta.mat": meta.getvalue(), f"{folder}/data/{devkit.TRUTH}": truth}, "w:gz")


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    folder = tmp_path / "archives"
    folder.mkdir()
    (folder / "ILSVRC2012_img_train.tar").write_bytes(train_tar())
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar_of(VAL))
    (folder / devkit.DEVKIT).write_bytes(kit())
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


# ------------------------------------------------------------------------------------------- what it makes


def test_the_published_archives_become_a_folder_a_class(archives: Path, out: Path) -> None:
    before = files_in(archives)
    unpack.unpack_imagenet(archives, out, 2)
    assert images_in(out / "train") == TRAIN
    assert images_in(out / "val") == VAL_FOLDERS
    assert files_in(archives) == before
    assert scan(out / "train", 1001).classes == scan(out / "val", 1001).classes == CLASSES
    assert {path.name for path in out.iterdir()} == {"train", "val", "classes.txt"}


def test_the_names_of_the_classes_come_from_the_kit_and_stay_with_the_data(archives: Path, out: Path) -> None:
    unpack.unpack_imagenet(archives, out, 2)
    assert class_names_beside(out / "val") == dict(zip(CLASSES, NAMES, strict=True))


def test_a_plain_list_of_classes_does_instead_of_the_kit(archives: Path, out: Path) -> None:
    (archives / devkit.DEVKIT).unlink()
    (archives / "val_wnids.txt").write_text("\n".join(VAL_CLASSES) + "\n")
    (archives / "LOC_synset_mapping.txt").write_text(f"{CLASSES[0]} {NAMES[0]}\n")
    unpack.unpack_imagenet(archives, out, 2)
    assert images_in(out / "val") == VAL_FOLDERS
    assert class_names_beside(out / "train") == {CLASSES[0]: NAMES[0]}


def test_the_archives_that_are_usual_in_clouds_do_as_well(archives: Path, out: Path) -> None:
    for path in archives.iterdir():
        path.unlink()
    (archives / "train").mkdir()
    (archives / "train/imagenet_train.tar").write_bytes(tar_of({f"./train/{k}": v for k, v in TRAIN.items()}))
    (archives / "imagenet_val.tar").write_bytes(tar_of(VAL_FOLDERS))
    unpack.unpack_imagenet(archives, out, 2)
    assert images_in(out / "train") == TRAIN
    assert images_in(out / "val") == VAL_FOLDERS


def test_one_split_is_made_when_the_other_ones_archive_is_not_there(
    archives: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (archives / "ILSVRC2012_img_train.tar").unlink()
    unpack.unpack_imagenet(archives, out, 2)
    assert not (out / "train").exists()
    assert "train: not made, for" in capsys.readouterr().out
    assert images_in(out / "val") == VAL_FOLDERS


def test_it_needs_no_mindspore(archives: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "mindspore.py").write_text("raise ImportError('not here')")
    done = run_module("hlg.data.imagenet", "--archives", archives, "--out", out, env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")  # no progress where nobody watches
    assert f"{out / 'train'}: 9 images of 3 classes" in done.stdout


def test_a_second_call_writes_nothing(archives: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpack.unpack_imagenet(archives, out, 2)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.JPEG")}
    unpack.unpack_imagenet(archives, out, 2)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.JPEG")} == times
    assert capsys.readouterr().out.count("(already there)") == 2


# ------------------------------------------------------------------------------------------- killed, and gone on with


def test_a_killed_run_leaves_no_split_and_is_gone_on_with(archives: Path, out: Path) -> None:
    many = {f"n{c:08d}.tar": tar_of({f"n{c:08d}_{i}.JPEG": os.urandom(4000) for i in range(40)}) for c in range(100)}
    (archives / "ILSVRC2012_img_train.tar").write_bytes(tar_of(many))
    command = [sys.executable, "-m", "hlg.data.imagenet", "--archives", str(archives), "--out", str(out)]
    with subprocess.Popen([*command, "--workers", "1"], stdout=subprocess.DEVNULL) as process:
        while not list(out.glob(".train.partial/n*")) and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
    assert not (out / "train").exists()
    finished = {path: path.stat().st_mtime_ns for path in out.glob(".train.partial/n*/*")}
    unpack.unpack_imagenet(archives, out, 2)
    assert len(images_in(out / "train")) == 4000
    again = {out / "train" / path.parent.name / path.name: time_ for path, time_ in finished.items()}
    assert {path: path.stat().st_mtime_ns for path in again} == again
    assert not [path for path in out.rglob("*") if path.name.startswith(PARTIAL)]


def test_half_a_file_is_never_taken_for_a_whole_one(archives: Path, out: Path) -> None:
    jobs = unpack.plan_jobs(archives / "ILSVRC2012_img_train.tar", None)
    out.mkdir()
    half = out / f"{PARTIAL}{CLASSES[0]}"
    half.mkdir()
    (half / f"{CLASSES[0]}_0.JPEG").write_bytes(b"half")
    (half / f"{PARTIAL}{CLASSES[0]}_1.JPEG").write_bytes(b"half")
    unpack.unpack_job(jobs[0], out, threading.Event())
    assert files_in(out) == {name: content for name, content in TRAIN.items() if name.startswith(CLASSES[0])}


def test_a_split_that_is_something_else_is_not_touched(archives: Path, out: Path) -> None:
    (out / "train").mkdir(parents=True)
    (out / "train/mine").write_text("mine")
    assert "train: is there already, and was not made of" in error_of(archives, out)
    assert files_in(out) == {"train/mine": b"mine"}


def test_half_of_another_archive_is_not_gone_on_with(archives: Path, out: Path) -> None:
    (out / ".train.partial").mkdir(parents=True)
    (out / ".train.partial" / unpack.RECORD).write_text(json.dumps({"archive": "other.tar", "archive_bytes": 1}))
    assert "holds a part of another archive" in error_of(archives, out)


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


# ------------------------------------------------------------------------------------------- what is missing


def test_a_folder_without_archives_is_told_what_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--archives", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    for name in (
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
        "imagenet_train.tar",
        devkit.DEVKIT,
        devkit.WNIDS,
    ):
        assert name in said
    assert not (tmp_path / "out").exists()


def test_validation_images_whose_classes_nobody_knows_are_not_unpacked(archives: Path, out: Path) -> None:
    (archives / devkit.DEVKIT).unlink()
    assert "lie in no class folder, and nothing beside it says what they show" in error_of(archives, out)
    assert not (out / "val").exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([*VAL_CLASSES, CLASSES[0]], "holds 6 images in no class folder, but .*val_wnids.txt knows 7"),
        (["tench", *VAL_CLASSES[1:]], r"val_wnids\.txt:1: found 'tench'"),
    ],
)
def test_a_list_that_does_not_fit_is_named(archives: Path, out: Path, lines: list[str], said: str) -> None:
    (archives / "val_wnids.txt").write_text("\n".join(lines))
    with pytest.raises(UserError, match=said):
        unpack.unpack_imagenet(archives, out, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no archive", "damaged or no archive"),
        (kit()[:200], "damaged or no archive"),
        (
            tar_of({"x/data/meta.mat": b"no table", f"x/data/{devkit.TRUTH}": b"1\n"}, "w:gz"),
            "meta.mat is not the kit's",
        ),
        (tar_of({"x/data/meta.mat": b"no table"}, "w:gz"), f"holds no data/{devkit.TRUTH}"),
    ],
)
def test_a_kit_that_cannot_be_read_is_named(archives: Path, out: Path, content: bytes, said: str) -> None:
    (archives / devkit.DEVKIT).write_bytes(content)
    assert f"{devkit.DEVKIT}: " in error_of(archives, out)
    assert said in error_of(archives, out)


# ------------------------------------------------------------------------------------------- damaged and hostile


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_an_archive_that_is_cut_off_is_named_with_its_member(archives: Path, out: Path, part: float) -> None:
    whole = train_tar()
    (archives / "ILSVRC2012_img_train.tar").write_bytes(whole[: int(part * len(whole))])
    said = error_of(archives, out)
    assert "ILSVRC2012_img_train.tar: 'n0" in said
    assert "is cut off" in said


def test_a_class_that_is_cut_off_is_named_with_its_image(archives: Path, out: Path) -> None:
    cut = of_class(CLASSES[1])[:-12000]
    (archives / "ILSVRC2012_img_train.tar").write_bytes(tar_of({f"{CLASSES[1]}.tar": cut}))
    assert f"ILSVRC2012_img_train.tar: {CLASSES[1]}.tar: '{CLASSES[1]}_" in error_of(archives, out)
    assert not (out / "train").exists()


def test_a_damaged_header_is_named_by_what_stands_before_it(archives: Path, out: Path) -> None:
    content = bytearray(train_tar())
    second = next(
        piece for piece in list_members(archives / "ILSVRC2012_img_train.tar") if piece.name.startswith(CLASSES[1])
    )
    content[second.start - 512 : second.start - 500] = b"\xff" * 12
    (archives / "ILSVRC2012_img_train.tar").write_bytes(content)
    assert f"ILSVRC2012_img_train.tar: damaged after '{CLASSES[0]}.tar'" in error_of(archives, out)


def test_zeros_in_the_middle_are_no_end(archives: Path, out: Path) -> None:
    large = {f"{i}.tar": tar_of({f"{i}.JPEG": os.urandom(600_000)}) for i in range(4)}
    path = archives / "ILSVRC2012_img_train.tar"
    path.write_bytes(tar_of(large))
    content = bytearray(path.read_bytes())
    start = list(list_members(path))[1].start
    content[start - 512 : start] = bytes(512)
    path.write_bytes(content)
    assert "damaged after '0.tar' (it ends 1," in error_of(archives, out)


def hostile(**facts: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo("n01440764/x.JPEG")
    for key, value in facts.items():
        setattr(entry, key, value)
    return entry


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (hostile(name="../x.JPEG"), "leads out"),
        (hostile(name="n01/../../x.JPEG"), "leads out"),
        (hostile(name="/etc/x.JPEG"), "leads out"),
        (hostile(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link"),
        (hostile(type=tarfile.LNKTYPE, linkname="other"), "a link"),
        (hostile(type=tarfile.CHRTYPE), "a device"),
        (hostile(type=tarfile.BLKTYPE), "a device"),
        (hostile(type=tarfile.FIFOTYPE), "a pipe"),
        (hostile(size=1 << 40), "is cut off"),
        (hostile(size=0), "is empty"),
        (hostile(name="n01\n/x.JPEG"), "none for a file"),
        (hostile(name="n01/..\\x.JPEG"), "none for a file"),
        (hostile(name="n01/" + "x" * 300), "none for a file"),
        (hostile(name=".train/x.JPEG", size=4), "would be hidden"),
        (hostile(name="n01/x.sh", size=4), "neither an image nor the archive of a class"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_archive_of_images_holds_is_refused_by_name(
    archives: Path, out: Path, entry: tarfile.TarInfo, said: str
) -> None:
    (archives / "ILSVRC2012_img_train.tar").write_bytes(entry.tobuf() + b"1234".ljust(512) + bytes(4096))
    error = error_of(archives, out)
    assert "ILSVRC2012_img_train.tar: '" in error
    assert said in error
    assert not images_in(out)


def test_a_link_within_the_archive_of_a_class_is_refused_too(archives: Path, out: Path) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        tar.addfile(hostile(name="x.JPEG", type=tarfile.SYMTYPE, linkname="/etc/passwd"))
    (archives / "ILSVRC2012_img_train.tar").write_bytes(tar_of({"n01440764.tar": inner.getvalue()}))
    assert "ILSVRC2012_img_train.tar: n01440764.tar: 'x.JPEG': refused, it is a link" in error_of(archives, out)
    assert not (out / "train").exists()


def test_a_name_that_is_there_twice_is_refused(archives: Path, out: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("n01/x.JPEG", "./n01/x.JPEG"):
            tar.addfile(hostile(name=name, size=4), io.BytesIO(b"1234"))
    (archives / "ILSVRC2012_img_train.tar").write_bytes(buffer.getvalue())
    assert "refused, the name is there twice" in error_of(archives, out)
    (archives / "ILSVRC2012_img_train.tar").write_bytes(tar_of({"a/n01/x.JPEG": b"1", "b/n01/x.JPEG": b"2"}))
    assert "'n01/x.JPEG': refused, it would be written twice" in error_of(archives, out)


def test_a_name_as_large_as_the_memory_is_not_read(archives: Path, out: Path) -> None:
    entry = hostile(name="././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=1 << 30)
    (archives / "ILSVRC2012_img_train.tar").write_bytes(entry.tobuf() + bytes(4096))
    assert "damaged after 'its start' (a header of 1,073,741,824 bytes)" in error_of(archives, out)

"""ImageNet into class folders, as people have it: straight out of archives, whole or not at all, nothing hostile."""

import io
import json
import os
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import savemat

from hlg.data.class_names import find_class_list
from hlg.data.classes import label_order
from hlg.data.imagenet import labels, layout, unpack
from hlg.data.imagenet.__main__ import main
from hlg.data.index import scan
from hlg.errors import UserError
from hlg.files import PARTIAL
from tests.support.archives import files_in, tar_of
from tests.support.processes import run_module
from tests.support.programs import Call

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


WNIDS = "".join(f"{wnid}\n" for wnid in VAL_CLASSES)
MAPPING = "".join(f"{wnid} {name}\n" for wnid, name in zip(CLASSES, NAMES, strict=True))


def kit(root: str) -> dict[str, bytes]:
    """The development kit: its ids follow another order than the classes' names, and not all are leaves."""
    ids = {CLASSES[2]: 1, CLASSES[0]: 2, CLASSES[1]: 3}
    rows = [(ids[wnid], wnid, name, 0) for wnid, name in zip(CLASSES, NAMES, strict=True)]
    columns = [(key, object) for key in ("ILSVRC2012_ID", "WNID", "words", "num_children")]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array([*rows, (4, "n00001740", "entity", 3)], columns)})
    truth = "".join(f"{ids[wnid]}\n" for wnid in VAL_CLASSES).encode()
    return {f"{root}{labels.META}": meta.getvalue(), f"{root}{labels.TRUTH}": truth}


packed = partial(tar_of, compressed=True)
KIT = packed({**kit("kit/data/"), "kit/readme.txt": b""})


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    folder = tmp_path / "archives"
    folder.mkdir()
    write(folder, {TRAIN_TAR: PUBLISHED, VAL_TAR: tar_of(VAL), labels.WNIDS: WNIDS.encode()})
    return folder


def write(folder: Path, files: Mapping[str, bytes | bytearray]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "imagenet"


def images_in(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_in(folder).items() if not Path(name).name.startswith(".")}


def error_of(archives: Path, out: Path) -> str:
    with pytest.raises(UserError) as raised:
        unpack.unpack_imagenet(archives, out, 2)
    return str(raised.value)


@pytest.mark.usefixtures("any_storage")
def test_published_archives_are_unpacked_once(archives: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (archives / labels.WNIDS).unlink()
    (archives / labels.KIT).write_bytes(KIT)
    before = files_in(archives)
    unpack.unpack_imagenet(archives, out, 2)
    assert (images_in(out / "train"), images_in(out / "val")) == (TRAIN, VAL_FOLDERS)
    assert files_in(archives) == before
    assert scan(out / "train", 1001).classes == scan(out / "val", 1001).classes == CLASSES
    assert {path.name for path in out.iterdir()} == {"train", "val", "classes.txt"}
    assert find_class_list("", out / "val").by_folder() == dict(zip(CLASSES, NAMES, strict=True))
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.JPEG")}
    unpack.unpack_imagenet(archives, out, 2)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.JPEG")} == times
    assert capsys.readouterr().out.count("(already there)") == 2


def test_a_split_needs_no_archive_of_the_other(archives: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (archives / TRAIN_TAR).unlink()
    (archives / "LOC_synset_mapping.txt").write_text(MAPPING.splitlines()[0])
    unpack.unpack_imagenet(archives, out, 2)
    assert not (out / "train").exists()
    assert "train: not made, for" in capsys.readouterr().out
    assert images_in(out / "val") == VAL_FOLDERS
    assert find_class_list("", out / "val").by_folder() == {CLASSES[0]: NAMES[0]}


def under(root: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{root}/{name}": content for name, content in files.items()}


FLAT = under("val", VAL)
LIST = {labels.WNIDS: WNIDS.encode()}
BOXES = "".join(f"{name[:-5]},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n" for name, wnid in zip(VAL, VAL_CLASSES, strict=True))
KAGGLE = {labels.SOLUTION: f"ImageId,PredictionString\n{BOXES}".encode()}
HUGGING = {
    f"train_images_{i}.tar.gz": packed(
        {f"{name.split('/')[1][:-5]}_{name.split('/')[0]}.JPEG": TRAIN[name] for name in sorted(TRAIN)[i::5]}
    )
    for i in range(5)
}
HUGGING_VAL = {f"{path.split('/')[1][:-5]}_{path.split('/')[0]}.JPEG": image for path, image in VAL_FOLDERS.items()}


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        pytest.param({"train/imagenet_train.tar": tar_of(under("./train", TRAIN))}, ["train"], id="a cloud's train"),
        pytest.param({"imagenet_val.tar": tar_of(VAL_FOLDERS)}, ["val"], id="a cloud's val"),
        pytest.param({"imagenet_val.tar": tar_of(FLAT), **LIST}, ["val"], id="all images in one folder of an archive"),
        pytest.param({**FLAT, **kit("")}, ["val"], id="flat, with the kit's files"),
        pytest.param({**FLAT, **kit("ILSVRC2012_devkit_t12/data/")}, ["val"], id="flat, with the kit unpacked"),
        pytest.param({**FLAT, "val/val_wnids.txt": b"\xef\xbb\xbf" + WNIDS.replace("\n", "\r\n").encode() + b"\r\n"},
                     ["val"], id="flat, with a list that Windows wrote"),
        pytest.param({**CLASS_TARS, **FLAT, **KAGGLE}, ["train", "val"], id="loose archives of classes"),
        pytest.param(under("train", CLASS_TARS), ["train"], id="archives of classes in train"),
        pytest.param({**under("ILSVRC/Data/CLS-LOC", {**under("train", TRAIN), **FLAT, "test/1.JPEG": b"1"}),
                      **KAGGLE, "ILSVRC/ImageSets/CLS-LOC/val.txt": b"ILSVRC2012_val_00000001 1\n"},
                     ["train", "val"], id="Kaggle"),
        pytest.param({**under("data", HUGGING), "data/val_images.tar.gz": packed(HUGGING_VAL)},
                     ["train", "val"], id="Hugging Face"),
    ],
)  # fmt: skip
def test_layouts_become_class_folders(files: dict[str, bytes], splits: list[str], tmp_path: Path, out: Path) -> None:
    write(tmp_path, files)
    unpack.unpack_imagenet(tmp_path, out, 2)
    made = {split: images_in(out / split) for split in splits}
    assert made == {split: {"train": TRAIN, "val": VAL_FOLDERS}[split] for split in splits}
    assert files_in(tmp_path).items() >= files.items()


def test_the_numbers_of_imagenet_v2_are_its_labels(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"imagenetv2-x-format-val/{label}/{name}": image for label in range(3) for name, image in VAL.items()}
    (tmp_path / "imagenetv2-x.tar.gz").write_bytes(packed(files))
    (tmp_path / "LOC_synset_mapping.txt").write_text(MAPPING)  # of three classes, so not ImageNet's
    assert "/0/ILSVRC2012_val_00000001.JPEG' lies in the folder of a label, and nothing says" in error_of(tmp_path, out)
    monkeypatch.setattr(layout, "IMAGENET_ORDER", label_order(CLASSES))
    unpack.unpack_imagenet(tmp_path, out, 2)
    assert images_in(out / "val") == {f"{wnid}/{name}": VAL[name] for wnid in CLASSES for name in VAL}


def test_images_that_lie_unpacked_are_linked_where_asked(archives: Path, out: Path, call: Call) -> None:
    (archives / VAL_TAR).unlink()
    write(archives, FLAT)
    said = call(main, "--archives", archives, "--out", out, "--link").out
    assert images_in(out / "val") == VAL_FOLDERS
    assert {path.readlink() for path in out.rglob("ILSVRC*")} == {archives / name for name in FLAT}
    assert "0.0 GB, linked" in said
    assert f"{TRAIN_TAR}: written out, for only images that lie unpacked can be linked" in said
    assert not [path for path in (out / "train").rglob("*") if path.is_symlink()]


def test_a_data_set_is_not_sorted_into_itself(tmp_path: Path) -> None:
    write(tmp_path, {**FLAT, **LIST})
    assert "val: is there already, and was not made of" in error_of(tmp_path, tmp_path)


def test_a_killed_run_leaves_no_split_and_is_resumed_without_mindspore(archives: Path, out: Path) -> None:
    (archives / VAL_TAR).unlink()
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


PLANTED = (".train.partial", f".train.partial/{PARTIAL}{CLASSES[0]}", f".val.partial/{CLASSES[0]}")


@pytest.mark.parametrize("place", PLANTED)
def test_nothing_is_written_or_removed_behind_a_link_that_was_planted(place: str, archives: Path, out: Path) -> None:
    write(out, {"elsewhere/precious": b"kept"})
    (out / place).parent.mkdir(exist_ok=True)
    (out / place).symlink_to(out / "elsewhere")
    assert f"{out / place}: is a link, which this program has not made" in error_of(archives, out)
    assert images_in(out / "elsewhere") == {"precious": b"kept"}


def test_two_processes_do_not_make_the_same_folder(archives: Path, out: Path) -> None:
    out.mkdir()
    with unpack._alone(out):
        assert "another process is making this data set" in error_of(archives, out)


def test_too_little_room_is_said_at_once(archives: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    assert "GB more, and its disk has 0.0 GB left" in error_of(archives, out)
    assert images_in(out) == {}


def test_a_folder_without_archives_is_told_what_is_expected(tmp_path: Path, call: Call) -> None:
    said = call(main, "--archives", tmp_path, "--out", tmp_path / "out", code=2).err
    assert all(name in said for name in (TRAIN_TAR, VAL_TAR, "imagenet_train.tar", labels.KIT, labels.WNIDS))
    assert not (tmp_path / "out").exists()


NO_TABLE = {"x/data/meta.mat": b"no table"}
TRUTH = {f"x/data/{labels.TRUTH}": b"1\n"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (labels.WNIDS, "\n".join([*VAL_CLASSES, CLASSES[0]]), "holds 6 images in no class folder, but "),
        (labels.WNIDS, "tench\nn01440764", "val_wnids.txt:1: found 'tench'"),
        (labels.WNIDS, f"{CLASSES[0]}\n\n{CLASSES[0]}", "val_wnids.txt:2: found ''"),
        (labels.SOLUTION, BOXES.replace("00000006", "00000007"), "'ILSVRC2012_val_00000006.JPEG' is an image that "),
        (labels.SOLUTION, BOXES + BOXES, "LOC_val_solution.csv:7: found 'ILSVRC2012_val_00000001,n01440764"),
        (labels.SOLUTION, BOXES.replace("n01440764 5", "n01443537 5"), "LOC_val_solution.csv:1: found 'ILSVRC2012_val"),
        (labels.TRUTH, "1\n", f"{labels.TRUTH}: there is no data/meta.mat with it"),
        (labels.KIT, KIT[:200], f"{labels.KIT}: damaged after"),
        (labels.KIT, packed({**NO_TABLE, **TRUTH}), "data/meta.mat is not the kit's table of classes (Mat"),
        (labels.KIT, packed(NO_TABLE), f"{labels.KIT}: there is no data/{labels.TRUTH} with it"),
    ],
)
def test_classes_of_validation_images_that_are_missing_or_do_not_fit_are_named(
    archives: Path, out: Path, name: str, content: str | bytes, said: str
) -> None:
    (archives / labels.WNIDS).unlink()
    assert f"{VAL_TAR}: 'ILSVRC2012_val_00000001.JPEG' lies in no class folder, and nothing" in error_of(archives, out)
    (archives / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in error_of(archives, out)
    assert not (out / "val").exists()


@pytest.mark.parametrize(("place", "byte"), [(721, 3), (527, 196)], ids=["a segmentation fault", "all memory"])
def test_a_wrong_byte_in_the_kits_table_brings_down_its_reader_alone(place: int, byte: int, tmp_path: Path) -> None:
    files = kit("")
    table = bytearray(files[labels.META])
    table[place] = byte
    write(tmp_path, {**FLAT, labels.TRUTH: files[labels.TRUTH], labels.META: table})
    assert "data/meta.mat is not the kit's table of classes (" in error_of(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PUBLISHED[: len(PUBLISHED) // 2], ": 'n0"),
        (tar_of({"n01440764.tar": CLASS_TARS[f"{CLASSES[1]}.tar"][:-12000]}), f": n01440764.tar: '{CLASSES[1]}_"),
    ],
    ids=["cut off", "cut off in a class"],
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
        (hostile("/etc/x.JPEG"), "leads out"),
        (hostile(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link"),
        (hostile(type=tarfile.LNKTYPE, linkname="other"), "a link"),
        (hostile(type=tarfile.CHRTYPE), "a device"),
        (hostile(type=tarfile.BLKTYPE), "a device"),
        (hostile(type=tarfile.FIFOTYPE), "a pipe"),
        (hostile(size=5000), "is cut off"),
        (hostile(size=1 << 40), "it has 1,099,511,627,776 bytes, and no image more than"),
        (hostile(size=0), "is empty"),
        (hostile("n01440764\n/x.JPEG"), "none for a file"),
        (hostile("n01440764/..\\x.JPEG"), "none for a file"),
        (hostile("n01440764/" + "x" * 300), "none for a file"),
        (hostile(".train/x.JPEG"), "would be hidden"),
        (hostile("n01440764/x.sh"), "neither an image nor the archive of a class"),
        (hostile() + hostile("./n01440764/x.JPEG"), "'./n01440764/x.JPEG': refused, the name is there twice"),
        (hostile("a/n01440764/x.JPEG") + hostile(), "'n01440764/x.JPEG': refused, it would be written twice"),
        (hostile("n01440764.tar") + hostile(), "'n01440764.tar': refused, an archive of a class beside images"),
        (tar_of({"many.tar": b"1"}), "'many.tar': refused, it is an archive, but not that of a class"),
        (tar_of({"n01440764.tar": tar_of({"x.sh": b"1"})}), "n01440764.tar: 'x.sh': refused, it is neither an image"),
        (tar_of({"n01440764.tar": tar_of({"a/x.JPEG": b"1"})}), "'a/x.JPEG': refused, it is no image of a class"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_image_is_refused_by_name(archives: Path, out: Path, members: bytes, said: str) -> None:
    (archives / TRAIN_TAR).write_bytes(members + bytes(4096))
    error = error_of(archives, out)
    assert f"{TRAIN_TAR}: " in error
    assert said in error
    assert not images_in(out)

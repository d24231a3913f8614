"""Every image of a data set is looked at, and what was found stays with the data and is named by every run."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hlg.data.hashes import split_facts
from hlg.data.imagenet.verify.__main__ import main
from hlg.data.imagenet.verify.inspection import ORIENTATION, inspect_image, inspect_splits
from hlg.data.imagenet.verify.page import inspection_page
from hlg.data.index import REPORT, scan
from tests.support.photos import encoded, photo
from tests.support.programs import Call

CLASSES = ("n01440764", "n01443537")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three different images of each class in each split."""
    for i, folder in enumerate(f"{split}/{name}" for split in ("train", "val") for name in CLASSES):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for j in range(3):
            (tmp_path / "data" / folder / f"{j}.JPEG").write_bytes(encoded(photo(60, 40, 10 * i + j)))
    return tmp_path / "data"


def test_every_run_on_a_sound_subset_names_its_report(data: Path, call: Call) -> None:
    assert "report" not in split_facts(scan(data / "val", 10))
    said = call(main, "--imagenet", data).out
    assert "No fault." in said
    assert "- 6 images of 2 classes, 3 to 3 a class" in said
    kept = json.loads((data / REPORT).read_text())
    assert kept["splits"]["train"]["per_class"] == {"n01440764": 3, "n01443537": 3}
    assert inspection_page(kept) == (data / "verified.md").read_text()
    found = [split_facts(scan(data / split, 10)) for split in ("train", "val")]
    assert [facts["report"] for facts in found] == [said.split()[-1]] * 2
    assert [facts["verified_content"] for facts in found] == [facts["hash"] for facts in found]  # a small set's
    (data / "val/n01440764/3.JPEG").write_bytes(encoded(photo(60, 40, 7)))  # a report on other files is not named
    assert ["report" in split_facts(scan(data / split, 10)) for split in ("train", "val")] == [True, False]


def test_unreadable_images_are_a_fault_and_listed_by_name(data: Path) -> None:
    unreadable = {"0.JPEG": encoded(photo(60, 40, 1))[:-300], "1.JPEG": b"text", "2.JPEG": b""}
    for name, content in unreadable.items():
        (data / "val/n01443537" / name).write_bytes(content)
    assert main(["--imagenet", str(data)]) == 1
    report = json.loads((data / REPORT).read_text())
    why = report["splits"]["val"]["unreadable"]
    assert list(why) == [f"n01443537/{name}" for name in unreadable]
    assert "truncated" in why["n01443537/0.JPEG"]
    assert why["n01443537/1.JPEG"] == why["n01443537/2.JPEG"] == "no JPEG, PNG or BMP image"
    assert report["faults"][0].startswith("val: 3 images can't be read, such as n01443537/0.JPEG (")
    assert inspect_image(f"{data}/gone.JPEG").unreadable == "No such file or directory"


def test_an_image_in_train_and_in_val_and_other_classes_there_are_faults(data: Path) -> None:
    shutil.copy(data / "train/n01440764/0.JPEG", data / "val/n01443537/copy.JPEG")
    (data / "val/n01443537").rename(data / "val/n02085620")
    report = inspect_splits(data, 2)
    pair = ["train/n01440764/0.JPEG", "val/n02085620/copy.JPEG"]
    assert report["duplicates"] == {"across": [pair], "across_classes": [pair], "all": [pair]}
    other_classes, twice = report["faults"]
    assert "so their labels differ: n01443537, n02085620" in other_classes
    assert f"1 images are in train and in val, such as {' = '.join(pair)}" in twice


def test_what_imagenet_is_known_for_is_listed_and_no_fault(data: Path) -> None:
    folder = data / "train/n01440764"
    (folder / "cmyk.JPEG").write_bytes(encoded(photo(60, 40).convert("CMYK")))
    (folder / "png.JPEG").write_bytes(encoded(photo(60, 40), "PNG"))
    (folder / "gray.JPEG").write_bytes(encoded(photo(60, 40).convert("L")))
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    (folder / "turned.JPEG").write_bytes(encoded(photo(60, 40), exif=turned))
    report = inspect_splits(data, 2)
    assert report["faults"] == []
    assert report["splits"]["train"]["oddities"] == {
        "CMYK": ["n01440764/cmyk.JPEG"],
        "PNG named .jpeg": ["n01440764/png.JPEG"],
        "gray": ["n01440764/gray.JPEG"],
        "turned by EXIF, which is ignored": ["n01440764/turned.JPEG"],
    }


def test_a_thousand_classes_are_held_against_imagenet(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    for i in range(1000):
        (tmp_path / f"val/n{i:08d}").mkdir(parents=True)
        (tmp_path / f"val/n{i:08d}/0.png").write_bytes(content.getvalue())
    assert inspect_splits(tmp_path, 2)["faults"] == [
        "val: 1,000 images of 1,000 classes; ImageNet has 50,000",
        "val: 1,000 classes have not 50 images, such as n00000000 with 1",
    ]


def test_a_name_that_is_no_text_can_be_shown(data: Path) -> None:
    os.rename(data / "val/n01440764/0.JPEG", os.fsencode(data / "val/n01440764") + b"/\xff\n.JPEG")  # noqa: PTH104
    shutil.copy(data / "val/n01440764/1.JPEG", os.fsencode(data / "val/n01440764") + b"/\xfe.JPEG")
    assert main(["--imagenet", str(data)]) == 0
    assert "\\udcfe.JPEG" in (data / "verified.md").read_text()


def test_a_report_can_go_elsewhere(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    writable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != data and writable(path, mode))
    said = call(main, "--imagenet", data, code=2).err
    assert "can't be written, so name a folder for the report: --report=folder" in said
    call(main, "--imagenet", data, "--report", tmp_path / "new")
    assert (tmp_path / "new" / REPORT).exists()
    assert not (data / REPORT).exists()


@pytest.mark.parametrize("folder", ["val", "train/n01440764"])
def test_a_folder_that_is_linked_to_nothing_is_missing_and_named(data: Path, folder: str, call: Call) -> None:
    (data / folder).rename(data / "aside")
    (data / folder).symlink_to(data / "gone")
    assert f"error: {data / folder}: " in call(main, "--imagenet", data, code=2).err


def test_a_folder_without_splits_is_named(tmp_path: Path, call: Call) -> None:
    said = call(main, "--imagenet", tmp_path, code=2).err
    assert f"error: {tmp_path}: holds neither train/ nor val/" in said

"""Every image of a data set is looked at, and what was found stays with the data and is named by every run."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hlg.data.imagenet.verify.__main__ import main
from hlg.data.imagenet.verify.inspection import IMAGENET_ORDER, ORIENTATION, inspect_image, inspect_splits
from hlg.data.imagenet.verify.page import inspection_page
from hlg.data.index import REPORT, label_order, scan, split_facts
from hlg.data.tiny import drawing

CLASSES = ("n01440764", "n01443537")


def picture(seed: int, form: str = "JPEG") -> bytes:
    rng = np.random.default_rng(seed)
    return drawing.encode_image(drawing.draw_image(seed % 10, rng), rng, form)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split, first in (("train", 0), ("val", 100)):
        for label, name in enumerate(CLASSES):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(3):
                (tmp_path / split / name / f"{i}.JPEG").write_bytes(picture(first + 10 * label + i))
    return tmp_path


def test_a_sound_subset_has_no_fault_and_its_report_stays_with_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--imagenet", str(data)]) == 0
    said = capsys.readouterr().out
    assert "No fault." in said
    assert "- 6 images of 2 classes, 3 to 3 a class" in said
    kept = json.loads((data / REPORT).read_text())
    assert kept["splits"]["train"]["per_class"] == {"n01440764": 3, "n01443537": 3}
    assert inspection_page(kept) == (data / "verified.md").read_text()


def test_every_run_on_the_data_names_the_report_by_its_hash(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "report" not in split_facts(scan(data / "val", 10))
    main(["--imagenet", str(data)])
    digest = capsys.readouterr().out.split()[-1]
    assert split_facts(scan(data / "val", 10))["report"] == split_facts(scan(data / "train", 10))["report"] == digest


def test_a_report_on_other_files_is_not_named(data: Path) -> None:
    main(["--imagenet", str(data)])
    (data / "val/n01440764/3.JPEG").write_bytes(picture(7))
    assert "report" not in split_facts(scan(data / "val", 10))
    assert "report" in split_facts(scan(data / "train", 10))


@pytest.mark.parametrize(
    ("content", "why"), [(picture(1)[:-3000], "truncated"), (b"text", "no JPEG, PNG or BMP"), (b"", "no JPEG")]
)
def test_an_unreadable_image_is_a_fault_with_its_name(data: Path, content: bytes, why: str) -> None:
    (data / "val/n01443537/1.JPEG").write_bytes(content)
    assert main(["--imagenet", str(data)]) == 1
    report = json.loads((data / REPORT).read_text())
    assert list(report["splits"]["val"]["unreadable"]) == ["n01443537/1.JPEG"]
    assert report["faults"][0].startswith("val: 1 images can't be read, such as n01443537/1.JPEG (")
    assert why in report["faults"][0]


def test_an_image_in_train_and_in_val_is_a_fault(data: Path) -> None:
    shutil.copy(data / "train/n01440764/0.JPEG", data / "val/n01443537/copy.JPEG")
    report = inspect_splits(data, 2)
    assert report["duplicates"]["across"] == [["train/n01440764/0.JPEG", "val/n01443537/copy.JPEG"]]
    assert report["duplicates"]["across_classes"] == report["duplicates"]["across"]
    assert "1 images are in train and in val, such as train/n01440764/0.JPEG = val/" in report["faults"][0]


def test_other_classes_in_val_than_in_train_are_a_fault(data: Path) -> None:
    (data / "val/n01443537").rename(data / "val/n02085620")
    assert "so their labels differ: n01443537, n02085620" in inspect_splits(data, 1)["faults"][0]


def test_what_imagenet_is_known_for_is_listed_and_no_fault(data: Path) -> None:
    folder = data / "train/n01440764"
    (folder / "cmyk.JPEG").write_bytes(picture(1, "CMYK"))
    (folder / "png.JPEG").write_bytes(picture(2, "PNG"))
    Image.open(io.BytesIO(picture(3))).convert("L").save(folder / "grey.JPEG")
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    Image.open(io.BytesIO(picture(4))).save(folder / "turned.JPEG", exif=turned)
    report = inspect_splits(data, 2)
    assert report["faults"] == []
    assert report["splits"]["train"]["oddities"] == {
        "CMYK": ["n01440764/cmyk.JPEG"],
        "PNG named .jpeg": ["n01440764/png.JPEG"],
        "gray": ["n01440764/grey.JPEG"],
        "turned by EXIF, which is ignored": ["n01440764/turned.JPEG"],
    }


def test_a_thousand_classes_are_held_against_imagenet(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    for i in range(1000):
        (tmp_path / f"val/n{i:08d}").mkdir(parents=True)
        (tmp_path / f"val/n{i:08d}/0.png").write_bytes(content.getvalue())
    faults = inspect_splits(tmp_path, 2)["faults"]
    assert faults == [
        "val: 1,000 images of 1,000 classes; ImageNet has 50,000",
        "val: 1,000 classes have not 50 images, such as n00000000 with 1",
    ]


def test_the_order_of_the_labels_is_that_of_the_sorted_names_one_a_line() -> None:
    assert label_order(("a", "b")) == "sha256:" + __import__("hashlib").sha256(b"a\nb\n").hexdigest()
    assert label_order(("b", "a")) != label_order(("a", "b")) != IMAGENET_ORDER


def test_a_file_that_went_meanwhile_is_unreadable(tmp_path: Path) -> None:
    assert inspect_image(f"{tmp_path}/gone.JPEG").unreadable == "No such file or directory"


def test_a_name_that_is_no_text_can_be_shown(data: Path) -> None:
    os.rename(data / "val/n01440764/0.JPEG", os.fsencode(data / "val/n01440764") + b"/\xff\n.JPEG")  # noqa: PTH104
    shutil.copy(data / "val/n01440764/1.JPEG", os.fsencode(data / "val/n01440764") + b"/\xfe.JPEG")
    assert main(["--imagenet", str(data)]) == 0
    assert "\\udcfe.JPEG" in (data / "verified.md").read_text()


def test_a_report_goes_elsewhere_where_the_data_cannot_be_written(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != data and writable(path, mode))
    assert main(["--imagenet", str(data)]) == 2
    assert "can't be written, so say where the report is to go: REPORT=folder" in capsys.readouterr().err
    (tmp_path / "elsewhere").mkdir()
    assert main(["--imagenet", str(data), "--report", str(tmp_path / "elsewhere")]) == 0
    assert (tmp_path / "elsewhere" / REPORT).exists()
    assert not (data / REPORT).exists()


def test_a_folder_without_splits_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--imagenet", str(tmp_path)]) == 2
    assert f"error: {tmp_path}: holds neither train/ nor val/" in capsys.readouterr().err

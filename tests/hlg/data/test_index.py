"""The list of images under a folder, and what is said about a folder that is not as it should be."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from hlg.data.index import dataset_hash, scan
from hlg.errors import UserError


def make_files(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"12345678")
    return root


def test_labels_follow_the_sorted_folder_names_and_files_the_sorted_names(tmp_path: Path) -> None:
    make_files(tmp_path, "n02/b.JPEG", "n10/c.JPEG", "n02/a.JPEG", "N99/d.JPEG")

    index = scan(tmp_path, class_num=1001)

    assert index.classes == ("N99", "n02", "n10")  # by code point: capitals first
    assert index.files == ("N99/d.JPEG", "n02/a.JPEG", "n02/b.JPEG", "n10/c.JPEG")
    assert index.labels.tolist() == [0, 1, 1, 2]
    assert index.labels.dtype == "int32"
    assert index.warnings == ()


def test_images_are_told_by_their_extension_in_any_case(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.JPEG", "a/2.jpg", "a/3.JPG", "a/4.jpeg", "a/5.PNG", "a/6.gif", "a/7.txt", "a/JPEG")

    index = scan(tmp_path, class_num=1)

    assert index.files == ("a/1.JPEG", "a/2.jpg", "a/3.JPG", "a/4.jpeg", "a/5.PNG")


def test_stray_files_are_counted_and_named_in_a_warning(tmp_path: Path) -> None:
    make_files(tmp_path, "notes.txt", "list.csv", "a/1.JPEG", "a/readme.txt", "a/deeper/2.JPEG")

    index = scan(tmp_path, class_num=10)

    assert index.files == ("a/1.JPEG",)
    beside, inside = index.warnings
    assert "2 ignored beside the class folders, such as list.csv" in beside
    assert "2 ignored in class folders that are no images, such as a/deeper" in inside


def test_hidden_files_and_folders_are_passed_over_in_silence(tmp_path: Path) -> None:
    make_files(tmp_path, ".DS_Store", ".cache/1.JPEG", "a/1.JPEG", "a/._1.JPEG")

    index = scan(tmp_path, class_num=10)

    assert (index.classes, index.files, index.warnings) == (("a",), ("a/1.JPEG",), ())


def test_a_linked_class_folder_counts_like_any_other(tmp_path: Path) -> None:
    make_files(tmp_path, "elsewhere/1.JPEG", "root/b/2.JPEG")
    (tmp_path / "root/a").symlink_to(tmp_path / "elsewhere")

    assert scan(tmp_path / "root", class_num=2).files == ("a/1.JPEG", "b/2.JPEG")


def test_a_dangling_link_named_like_an_image_is_a_stray_file(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.JPEG")
    (tmp_path / "a/2.JPEG").symlink_to(tmp_path / "gone")

    index = scan(tmp_path, class_num=1)

    assert index.files == ("a/1.JPEG",)
    assert "a/2.JPEG" in index.warnings[0]


def test_fewer_classes_than_outputs_are_fine(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.JPEG", "b/2.JPEG")

    assert len(scan(tmp_path, class_num=1001).classes) == 2


def test_more_classes_than_outputs_are_an_error_that_names_both_numbers(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.JPEG", "b/2.JPEG", "c/3.JPEG")

    with pytest.raises(UserError, match="3 class folders, but the model has class_num=2 outputs"):
        scan(tmp_path, class_num=2)


def test_an_empty_class_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.JPEG", "c/notes.txt")
    (tmp_path / "b").mkdir()

    with pytest.raises(UserError, match=r"2 of 3 class folders hold no image .*: b, c;"):
        scan(tmp_path, class_num=10)


def test_the_folder_above_the_class_folders_is_told_apart(tmp_path: Path) -> None:
    make_files(tmp_path, "train/n01/1.JPEG", "val/n01/2.JPEG")

    with pytest.raises(UserError, match=r"train, val; .*point at the folder that holds the class folders"):
        scan(tmp_path, class_num=10)


def test_images_without_class_folders_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    make_files(tmp_path, "ILSVRC2012_val_00000001.JPEG")

    with pytest.raises(UserError, match="lie in it directly: sort them into one folder a class"):
        scan(tmp_path, class_num=10)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected one folder a class .*but it has none"):
        scan(tmp_path, class_num=10)


def test_a_missing_folder_and_a_file_in_its_place_are_errors_that_name_it(tmp_path: Path) -> None:
    make_files(tmp_path, "file")

    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        scan(tmp_path / "nowhere", class_num=10)
    with pytest.raises(UserError, match=r"file: is a file"):
        scan(tmp_path / "file", class_num=10)


def test_an_unreadable_folder_is_an_error_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)  # for root may read any folder

    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        scan(tmp_path, class_num=10)


def test_without_a_manifest_the_hash_covers_paths_and_sizes(tmp_path: Path) -> None:
    make_files(tmp_path, "val/a/1.JPEG", "val/b/2.JPEG")

    def current() -> str:
        return dataset_hash(scan(tmp_path / "val", class_num=2))

    first = current()
    assert first.startswith("files-sizes:sha256:")
    (tmp_path / "val/a/1.JPEG").write_bytes(b"87654321")
    assert current() == first  # as long as before: such a change goes unseen
    (tmp_path / "val/a/1.JPEG").write_bytes(b"longer than before")
    resized = current()
    assert resized != first
    (tmp_path / "val/a/1.JPEG").rename(tmp_path / "val/a/3.JPEG")
    assert current() not in (first, resized)


def test_the_hash_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    here, there = (make_files(tmp_path / name, "a/1.JPEG", "b/2.JPEG") for name in ("here", "there"))

    assert dataset_hash(scan(here, class_num=2)) == dataset_hash(scan(there, class_num=2))


def test_with_a_fitting_manifest_the_hash_is_the_one_of_the_content(tmp_path: Path) -> None:
    make_files(tmp_path, "val/a/1.JPEG")
    recorded = hashlib.sha256(b"content").hexdigest()
    manifest = {"splits": {"val": {"hash": recorded}}, "bytes": {"val/a/1.JPEG": 8, "train/a/0.JPEG": 5}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    assert dataset_hash(scan(tmp_path / "val", class_num=1)) == f"content:sha256:{recorded}"


@pytest.mark.parametrize(
    "manifest",
    [
        '{"splits": {"val": {"hash": "0"}}, "bytes": {"val/a/1.JPEG": 9}}',  # another size
        '{"splits": {"val": {"hash": "0"}}, "bytes": {"val/a/1.JPEG": 8, "val/a/2.JPEG": 8}}',  # a file more
        '{"manifest_version": 3, "icons": []}',
        "[]",
        "no JSON",
    ],
)
def test_a_manifest_that_does_not_fit_is_not_believed(tmp_path: Path, manifest: str) -> None:
    make_files(tmp_path, "val/a/1.JPEG")
    (tmp_path / "manifest.json").write_text(manifest)

    assert dataset_hash(scan(tmp_path / "val", class_num=1)).startswith("files-sizes:")


def test_a_file_that_went_away_after_the_scan_is_an_error_that_names_it(tmp_path: Path) -> None:
    index = scan(make_files(tmp_path, "a/1.JPEG"), class_num=1)
    (tmp_path / "a/1.JPEG").unlink()

    with pytest.raises(UserError, match=r"a/1\.JPEG: cannot be read"):
        dataset_hash(index)

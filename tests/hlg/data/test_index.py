"""The index of images under a folder, and what is said about a folder that is not as it should be."""

import os
from pathlib import Path

import pytest

from hlg.data.hashes import dataset_hash
from hlg.data.index import scan
from hlg.errors import UserError


def make_files(root: Path, *paths: str) -> Path:
    """Files of eight bytes; a path that ends in a slash is an empty folder."""
    for path in paths:
        (root / path if path.endswith("/") else (root / path).parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            (root / path).write_bytes(b"12345678")
    return root


def test_labels_follow_the_sorted_folder_names_and_files_the_sorted_names(tmp_path: Path) -> None:
    make_files(tmp_path, "n02/b.JPEG", "n10/c.JPEG", "n02/a.JPEG", "N99/d.JPEG")
    index = scan(tmp_path, class_num=1001)  # fewer classes than outputs are fine
    assert index.classes == ("N99", "n02", "n10")  # by code point: capitals first
    assert index.files == ("N99/d.JPEG", "n02/a.JPEG", "n02/b.JPEG", "n10/c.JPEG")
    assert index.labels.tolist() == [0, 1, 1, 2]
    assert index.labels.dtype == "int32"
    assert index.warnings == ()


def test_images_are_told_by_their_extension_in_any_case(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.JPEG", "a/2.jpg", "a/3.JPG", "a/4.jpeg", "a/5.PNG", "a/6.gif", "a/7.txt", "a/JPEG")
    assert scan(tmp_path, class_num=1).files == ("a/1.JPEG", "a/2.jpg", "a/3.JPG", "a/4.jpeg", "a/5.PNG")


def test_stray_files_are_counted_and_named_in_a_warning_but_for_hidden_ones(tmp_path: Path) -> None:
    make_files(tmp_path, "notes.txt", "list.csv", "b/1.JPEG", "a/1.JPEG", "a/readme.txt", "a/deeper/2.JPEG")
    make_files(tmp_path, ".DS_Store", ".cache/1.JPEG", "a/._1.JPEG")
    index = scan(tmp_path, class_num=10)
    assert (index.classes, index.files) == (("a", "b"), ("a/1.JPEG", "b/1.JPEG"))
    beside, inside = index.warnings
    assert "2 ignored beside the class folders, such as list.csv" in beside
    assert "2 ignored in class folders that are no images, such as a/deeper" in inside


def test_a_link_to_nothing_stands_for_what_is_missing_and_is_never_ignored(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.JPEG", "c/2.JPEG")
    (tmp_path / "a/3.JPEG").symlink_to(tmp_path / "gone")
    index = scan(tmp_path, class_num=3)
    assert (index.files, index.warnings) == (("a/1.JPEG", "a/3.JPEG", "c/2.JPEG"), ())
    with pytest.raises(UserError, match=r"a/3\.JPEG: cannot be read: No such file"):
        dataset_hash(index)
    (tmp_path / "b").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"/b: this link leads to nothing that can be read; .* labels behind it"):
        scan(tmp_path, class_num=3)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["0", "1", "2", "10"], "label 2 is the folder 10, for names are sorted, not numbers"),
        (["1", "2"], "label 0 is the folder 1, for"),
        (["val"], "has one class folder, val, so all images have label 0"),
    ],
)
def test_folders_that_are_hardly_the_expected_labels_are_named(folders: list[str], said: str, tmp_path: Path) -> None:
    make_files(tmp_path, *(f"{name}/1.JPEG" for name in folders))
    (warning,) = scan(tmp_path, class_num=10).warnings
    assert said in warning


def test_a_linked_class_folder_counts_like_any_other(tmp_path: Path) -> None:
    make_files(tmp_path, "elsewhere/1.JPEG", "root/b/2.JPEG")
    (tmp_path / "root/a").symlink_to(tmp_path / "elsewhere")
    assert scan(tmp_path / "root", class_num=2).files == ("a/1.JPEG", "b/2.JPEG")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a/1.JPEG", "b/2.JPEG", "c/3.JPEG"], "3 class folders, but the model has class_num=2 outputs"),
        (["a/1.JPEG", "b/"], r"1 of 2 class folders hold no image .*: b;"),
        (["train/n01/1.JPEG", "val/n01/2.JPEG"], r"train, val; .*point at the folder that holds the class folders"),
        (["ILSVRC2012_val_00000001.JPEG"], r"lie in it directly: sort them into one \(make imagenet\)"),
        (["a\udcff/1.JPEG"], r"'a\\udcff' is not UTF-8: rename it"),
        ([], r"expected one folder a class .*but it has none"),
    ],
)
def test_a_folder_that_is_no_data_set_says_what_to_do(tmp_path: Path, paths: list[str], message: str) -> None:
    make_files(tmp_path, *paths)
    with pytest.raises(UserError, match=message):
        scan(tmp_path, class_num=2)


def test_a_missing_folder_and_a_file_in_its_place_are_errors_that_name_it(tmp_path: Path) -> None:
    make_files(tmp_path, "file")
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        scan(tmp_path / "nowhere", class_num=10)
    with pytest.raises(UserError, match=r"file: is a file"):
        scan(tmp_path / "file", class_num=10)


@pytest.mark.parametrize("name", [".", "b"])
def test_an_unreadable_folder_is_named_and_why(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path, "a/1.JPEG", "b/2.JPEG", "c/3.JPEG")
    readable = os.scandir

    def refuse(folder: Path) -> object:
        if folder == tmp_path / name:
            raise PermissionError(13, "Permission denied", str(folder))
        return readable(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # for root may read any folder
    with pytest.raises(UserError, match=f"{tmp_path / name}: cannot be read: Permission denied"):
        scan(tmp_path, class_num=10)

"""Lists of classes: the forms that are known are read, by label where they have labels, and all else is refused."""

import json
from pathlib import Path

import pytest

from hlg.data.class_names import ClassList, find_class_list, read_class_list
from hlg.errors import UserError

WNIDS = tuple(f"n{i:08d}" for i in range(12))
NAMES = tuple(f"class {i}, or so" for i in range(12))
SHUFFLED = [*range(11, 1, -1), 0, 1]  # as json.dump leaves the keys of a dictionary that was filled in any order


def _write(folder: Path, name: str, content: object) -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("LOC_synset_mapping.txt", "".join(map("{} {}\n".format, WNIDS, NAMES)), ClassList(WNIDS, NAMES)),
        ("words.txt", "\n".join(map("{}\t{}".format, WNIDS, NAMES)), ClassList(WNIDS, NAMES)),
        ("synsets.txt", "\n".join(WNIDS), ClassList(WNIDS, ("",) * 12)),
        ("class_index.json", {str(i): [WNIDS[i], NAMES[i]] for i in SHUFFLED}, ClassList(WNIDS, NAMES)),
        ("id2label.json", {str(i): NAMES[i] for i in SHUFFLED}, ClassList(None, NAMES)),
        ("manifest.json", {"kind": "carved", "classes": {"cat": "cat"}, "splits": {}}, ClassList(("cat",), ("cat",))),
    ],
)
def test_each_form_is_read_in_order_of_labels(tmp_path: Path, file: str, content: object, expected: ClassList) -> None:
    assert read_class_list(_write(tmp_path, file, content)) == expected


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("x.json", {str(i + 1): [WNIDS[i], NAMES[i]] for i in range(12)}, "found the key '12' among 12"),
        ("x.json", {str(i): NAMES[i] for i in (0, 1, 3)}, "found the key '3' among 3"),
        ("x.json", {"00": "tench", "1": "goldfish"}, "found the key '00'"),
        ("x.json", {"tench": 0, "goldfish": 1}, "found the key 'tench'"),
        ("x.json", {WNIDS[0]: "tench"}, f"found the key '{WNIDS[0]}'"),
        ("x.json", {"0": ["tench", WNIDS[0]]}, '"0": found '),
        ("x.json", {"0": "tench", "1": [WNIDS[1], "goldfish"]}, '"0": found "tench"'),
        ("x.json", {"0": {"name": "tench"}}, '"0": found '),
        ("x.json", {"manifest_version": 3, "classes": ["tench"]}, "found the key 'manifest_version'"),
        ("x.json", ["tench"], "found list"),
        ("x.json", {}, "names no class"),
        ("x.json", '{"0": "tench", "0": "goldfish"}', "the key '0' is there twice"),
        ("x.json", "{", "is not valid JSON"),
        ("x.json", {"0": [WNIDS[0], "tench"], "1": [WNIDS[0], "tench"]}, f"has the class {WNIDS[0]} twice"),
        ("x.txt", f"{WNIDS[0]} tench\n0: goldfish\n", ":2: found '0: goldfish'"),
        ("x.txt", f"{WNIDS[0]} tench\n{WNIDS[0]} goldfish\n", f"has the class {WNIDS[0]} twice"),
        ("x.txt", "\n", "names no class"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, file: str, content: object, said: str) -> None:
    with pytest.raises(UserError, match=rf"{tmp_path}/{file}.*{said}"):
        read_class_list(_write(tmp_path, file, content))


def test_a_named_list_must_be_that_of_the_classes_and_one_beside_the_data_may_lack_some(tmp_path: Path) -> None:
    lines = _write(tmp_path, "classes.txt", f"{WNIDS[0]} tench\n")
    labels = _write(tmp_path, "id2label.json", {"0": "tench"})
    (tmp_path / "val").mkdir()
    assert find_class_list("", tmp_path / "val").names_of(WNIDS[:2]) == {WNIDS[0]: "tench"}
    assert find_class_list("", tmp_path) == ClassList()
    for file, said in ((lines, rf"has no class {WNIDS[1]} \(label 1\)"), (labels, "names 1 labels, not the 2 classes")):
        listed = find_class_list(str(file), tmp_path / "val")
        assert listed.names_of(WNIDS[:1]) == {WNIDS[0]: "tench"}
        with pytest.raises(UserError, match=f"class_names: {file} {said}"):
            listed.names_of(WNIDS[:2])

"""A label means the same class in a data set and in a checkpoint, or the two are not brought together."""

from pathlib import Path

import numpy as np
import pytest

from hlg.data.classes import OutputClasses, agree, classes_from_text, classes_to_text, label_images, label_order
from hlg.data.index import ImageIndex
from hlg.errors import UserError

TOLD = ("n01", "n02", "n03", "n04")
KNOWN = OutputClasses("the checkpoint x.ckpt", TOLD)
HASH_ALONE = OutputClasses("the checkpoint x.ckpt", label_order(TOLD))
NOTHING = OutputClasses("the checkpoint x.ckpt")
LACKING = ("n01", "n03", "n04")
RENAMED = ("1", "2", "3", "4")


@pytest.mark.parametrize("outputs", [KNOWN, HASH_ALONE])
@pytest.mark.parametrize("class_map", ["", "name", "order"])
def test_equal_classes_need_no_key(outputs: OutputClasses, class_map: str) -> None:
    assert agree(TOLD, "val", outputs, class_map) == (TOLD, "same", "")


@pytest.mark.parametrize(
    ("here", "outputs", "said"),
    [
        (LACKING, KNOWN, r"label 1 is n03 here and n02 there \(3 and 4 classes\)"),
        (TOLD[:3], KNOWN, r"label 3 is nothing here and n04 there \(3 and 4 classes\)"),
        ((*TOLD, "n05"), KNOWN, r"label 4 is n05 here and nothing there \(5 and 4 classes\)"),
        (("\u00e9",), OutputClasses(KNOWN.source, ("e\u0301",)), r"label 0 is '\\xe9' here and 'e\\u0301' there"),
        (RENAMED, KNOWN, r"label 0 is 1 here and n01 there \(4 and 4 classes\)"),
        (LACKING, HASH_ALONE, r"its 3 class folders are not the 1,000 of ImageNet"),
        (LACKING, HASH_ALONE.listed(TOLD), "label 1 is n03 here and n02 there"),
        (LACKING, HASH_ALONE.listed(RENAMED), "its 3 class folders are not"),  # another list tells nothing
    ],
)
def test_other_classes_are_refused_and_the_first_told(here: tuple[str, ...], outputs: OutputClasses, said: str) -> None:
    with pytest.raises(UserError, match=rf"^val: its labels are not those of the checkpoint x\.ckpt: {said}"):
        agree(here, "val", outputs, "")


def test_classes_taken_in_order_keep_their_own_names_and_a_warning_says_so() -> None:
    found = agree(RENAMED, "val", KNOWN, "order")
    assert (found.classes, found.how) == (RENAMED, "order")
    assert found.note.startswith("warning: val: the outputs are taken for its class folders in order (class_map=order)")


def test_a_checkpoint_that_says_nothing_gets_a_warning_unless_the_key_has_said_it() -> None:
    found = agree(RENAMED, "val", NOTHING, "")
    assert (found.classes, found.how) == (RENAMED, "unknown")
    assert found.note.startswith("warning: the checkpoint x.ckpt names no classes")
    assert agree(RENAMED, "val", NOTHING, "order") == (RENAMED, "order", "")
    for outputs, said in ((NOTHING, "names no classes; allowed here: order"), (HASH_ALONE, "give it as class_names")):
        with pytest.raises(UserError, match=said):
            agree(LACKING, "val", outputs, "name")


def test_some_of_the_classes_get_their_labels_by_name_and_a_foreign_one_is_refused() -> None:
    labels = np.array([0, 0, 1, 2], np.int32)
    index = ImageIndex(Path("val"), LACKING, ("n01/a", "n01/b", "n03/c", "n04/d"), labels, ())
    labeled, found = label_images(index, KNOWN, "name")
    assert (labeled.classes, labeled.labels.tolist(), found.how) == (TOLD, [0, 0, 2, 3], "name")
    assert labeled.labels.dtype == np.int32
    with pytest.raises(UserError, match=r"class_map=name, but the checkpoint x\.ckpt has no class n05"):
        agree(("n01", "n05"), "val", KNOWN, "name")


@pytest.mark.parametrize("told", [TOLD, (), ("käse", "\udcff", "a,b c"), label_order(TOLD)])
def test_what_a_checkpoint_carries_comes_back(told: tuple[str, ...] | str) -> None:
    assert classes_from_text(classes_to_text(told)) == told
    assert classes_to_text(told).isascii()


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", "n01 n02"])
def test_anything_else_that_a_file_carries_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        classes_from_text(text)


def test_the_order_of_the_labels_is_that_of_the_names_one_a_line() -> None:
    a_b = "sha256:911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2"  # printf 'a\nb\n' | sha256sum
    assert label_order(("a", "b")) == a_b != label_order(("b", "a"))

"""Batches: which images, in which order, augmented by which draws, whatever workers, ranks and restarts."""

import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hlg.data import loader
from hlg.data.augment import eval_image, train_image
from hlg.data.decode import open_rgb
from hlg.data.index import ImageIndex, scan
from hlg.data.loader import BATCHES_AHEAD, NEEDED, Batch, EvalLoader, TrainLoader
from hlg.data.streams import epoch_order, image_generator
from hlg.errors import UserError
from tests.support.photos import encoded, photo
from tests.support.processes import wait_for

CLASSES, PER_CLASS = 3, 5
COUNT = CLASSES * PER_CLASS


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ImageIndex:
    """15 files in 3 classes."""
    root = tmp_path_factory.mktemp("imagenet")
    for number in range(COUNT):
        shape = (500, 375) if number % 2 else (333, 500)
        folder = root / f"n{number // PER_CLASS:08}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:03}.JPEG").write_bytes(encoded(photo(*shape, seed=number)))
    return scan(root, CLASSES)


@pytest.fixture
def own_index(index: ImageIndex, tmp_path: Path) -> ImageIndex:
    """A copy that a test may damage."""
    shutil.copytree(index.root, tmp_path, dirs_exist_ok=True)
    return scan(tmp_path, CLASSES)


def train(index: ImageIndex, **changes: Any) -> TrainLoader:
    drawn = {"image_size": 32, "batch_size": 4, "crop_min": 0.05, "autoaugment": True, "seed": 1}
    return TrainLoader(index, **{**drawn, "workers": 2, "total_steps": 6, **changes})


def evaluate(index: ImageIndex, **changes: Any) -> EvalLoader:
    return EvalLoader(index, **{"image_size": 112, "batch_size": 4, "workers": 2, **changes})


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.indices, b.indices)
        np.testing.assert_array_equal(a.labels, b.labels)
        np.testing.assert_array_equal(a.images, b.images)


def joined(batches: Iterable[Batch]) -> Batch:
    return Batch(*(np.concatenate([getattr(b, part) for b in batches]) for part in ("images", "labels", "indices")))


def side_by_side(*shards: list[Batch]) -> list[Batch]:
    """The global batches of several ranks."""
    return [joined(step) for step in zip(*shards, strict=True)]


def test_a_restart_gives_the_remaining_batches(index: ImageIndex) -> None:
    whole = list(train(index))
    for start in (1, 3, 5):
        assert_same(list(train(index, start_step=start)), whole[start:])


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_shards_of_a_step_together_are_the_global_batch(index: ImageIndex, ranks: int) -> None:
    shards = [list(train(index, batch_size=8 // ranks, shard=(rank, ranks))) for rank in range(ranks)]
    assert_same(side_by_side(*shards), list(train(index, batch_size=8)))


def test_an_epoch_shows_no_image_twice_and_drops_the_remainder(index: ImageIndex) -> None:
    loader = train(index)
    assert (loader.steps_per_epoch, len(loader)) == (3, 6)
    shown = np.stack([batch.indices for batch in loader]).reshape(2, 12)
    for epoch in range(2):
        np.testing.assert_array_equal(shown[epoch], epoch_order(1, epoch, COUNT)[:12])
        assert len(set(shown[epoch])) == 12
    assert (shown[0] != shown[1]).any()


@pytest.mark.parametrize(("seed", "workers"), [(1, 1), (2, 4)])
def test_an_image_depends_on_seed_epoch_and_index_alone(index: ImageIndex, seed: int, workers: int) -> None:
    for step, batch in enumerate(train(index, seed=seed, workers=workers)):
        assert (batch.images.dtype, batch.labels.dtype, batch.indices.dtype) == (np.uint8, np.int32, np.int64)
        for image, label, i in zip(batch.images, batch.labels, batch.indices, strict=True):
            rng = image_generator(seed, step // 3, int(i))
            expected = train_image(open_rgb(index.root / index.files[i]), rng, 32, 0.05, autoaugment=True)
            np.testing.assert_array_equal(image, expected)
            assert label == index.labels[i] == i // PER_CLASS


def test_a_data_set_smaller_than_one_step_is_an_error_that_says_what_to_lower(index: ImageIndex) -> None:
    with pytest.raises(UserError, match=r"15 training images are fewer.* 16 .*lower batch_size to 7 or less"):
        train(index, batch_size=8, shard=(0, 2))


def test_evaluation_sees_every_image_once_in_order_and_pads_with_label_minus_one(index: ImageIndex) -> None:
    batches = list(evaluate(index))
    assert len(batches) == len(evaluate(index)) == 4
    whole = joined(batches)
    np.testing.assert_array_equal(whole.indices, [*range(COUNT), -1])
    np.testing.assert_array_equal(whole.labels, [*index.labels, -1])
    for image, file in zip(whole.images, index.files, strict=False):
        np.testing.assert_array_equal(image, eval_image(open_rgb(index.root / file), 112))
    assert not whole.images[-1].any()


def test_evaluation_shards_have_equally_many_batches_and_together_see_all(index: ImageIndex) -> None:
    shards = [list(evaluate(index, batch_size=3, shard=(rank, 4))) for rank in range(4)]
    assert [len(shard) for shard in shards] == [2, 2, 2, 2]
    assert_same(side_by_side(*shards), list(evaluate(index, batch_size=12)))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("make", [train, evaluate])
@pytest.mark.parametrize("damage", [truncate, Path.unlink], ids=["truncated", "vanished"])
def test_an_unreadable_file_is_an_error_that_names_it(own_index: ImageIndex, make: Any, damage: Any) -> None:
    damage(own_index.root / own_index.files[6])
    with pytest.raises(UserError, match=r"n00000001/006\.JPEG: cannot be read.*on_unreadable=skip"):
        list(make(own_index, batch_size=15))
    with pytest.raises(UserError, match=r"replace or remove the file$"):  # skipping is not offered where it can't be
        list(make(own_index, batch_size=15, on_unreadable=NEEDED))


def test_training_puts_the_next_readable_image_in_the_place_of_a_skipped_one(own_index: ImageIndex) -> None:
    (before,) = train(own_index, batch_size=COUNT, total_steps=1)
    for bad, damage in ((5, truncate), (6, Path.unlink), (14, truncate)):  # 7 follows on 5 and 6, and 0 on the last
        damage(own_index.root / own_index.files[bad])
    loader = train(own_index, batch_size=COUNT, total_steps=1, on_unreadable="skip", workers=4)
    assert loader.skipped == []
    (batch,) = loader
    slot_of = {int(i): slot for slot, i in enumerate(before.indices)}
    for slot, i in enumerate(before.indices):
        taken = {5: 7, 6: 7, 14: 0}.get(int(i), int(i))
        assert (batch.indices[slot], batch.labels[slot]) == (taken, own_index.labels[taken])
        np.testing.assert_array_equal(batch.images[slot], before.images[slot_of[taken]])
    assert loader.skipped == ["n00000001/005.JPEG", "n00000001/006.JPEG", "n00000002/014.JPEG"]


def test_evaluation_leaves_the_slot_of_a_skipped_file_without_a_label(own_index: ImageIndex) -> None:
    truncate(own_index.root / own_index.files[6])
    loader = evaluate(own_index, batch_size=COUNT, on_unreadable="skip")
    (batch,) = loader
    np.testing.assert_array_equal(batch.labels, [-1 if i == 6 else label for i, label in enumerate(own_index.labels)])
    np.testing.assert_array_equal(batch.indices, range(COUNT))
    assert not batch.images[6].any()
    assert loader.skipped == ["n00000001/006.JPEG"]


def test_a_data_set_without_any_readable_image_is_an_error(own_index: ImageIndex) -> None:
    for file in own_index.files:
        (own_index.root / file).unlink()
    with pytest.raises(UserError, match="none of its 15 images can be read"):
        list(train(own_index, on_unreadable="skip"))


def test_no_more_than_a_few_batches_are_under_way(index: ImageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(loader, "open_rgb", lambda file: (opened.append(file), open_rgb(file))[1])
    batches = iter(train(index, total_steps=100))
    next(batches)
    wait_for(lambda: len(opened) >= 4 * BATCHES_AHEAD, "what was submitted")
    time.sleep(0.1)
    assert len(opened) == 4 * BATCHES_AHEAD


def loader_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("images")]


def test_a_fault_appears_at_its_own_batch_and_not_before(own_index: ImageIndex) -> None:
    truncate(own_index.root / own_index.files[14])
    batches = iter(evaluate(own_index))
    for _ in range(3):
        assert (next(batches).labels >= 0).all()
    with pytest.raises(UserError, match="014"):
        next(batches)
    assert loader_threads() == []


def test_an_iteration_that_is_closed_early_leaves_no_thread(index: ImageIndex) -> None:
    batches = train(index).stream()
    next(batches)
    assert loader_threads() != []
    batches.close()
    assert loader_threads() == []

"""What a training run works with: the same numbers for any number of ranks, and what a resumed run starts from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hlg.checkpoint import store
from hlg.config import Config
from hlg.data.classes import OutputClasses
from hlg.data.index import ImageIndex
from hlg.data.loader import Batch
from hlg.errors import UserError
from hlg.model.network import build_network
from hlg.runtime.device import Device
from hlg.training.job import Job, describe_batch
from tests.hlg.checkpoint.test_store import STATE
from tests.support.narrow.network import narrow
from tests.support.small_runs import SMALL

IMAGES = 24
LABELS = np.zeros(IMAGES, np.int32)
INDEX = ImageIndex(Path("/nowhere"), ("a", "b", "c"), tuple(f"a/{i}" for i in range(IMAGES)), LABELS, ())
CONFIG = Config(**{**SMALL, "batch_size": 12, "max_epoch": 2, "mixup": 0.0, "on_unreadable": "skip"})


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlg.model.network.HLG", None)  # put back afterwards
    narrow()


def _job(config: Config, rank: int = 0, ranks: int = 1, evaluated: ImageIndex = INDEX, **resumed: Any) -> Job:
    return Job(config, Device("CPU", "x86_64", rank, ranks), INDEX, evaluated, **resumed)


def _blank(size: int) -> Batch:
    return Batch(np.zeros((size, 112, 112, 3), np.uint8), np.zeros(size, np.int32), np.zeros(size, np.int64))


@pytest.mark.parametrize("ranks", [2, 3])
def test_schedule_and_stochastic_depth_depend_on_the_global_batch_alone(ranks: int) -> None:
    alone, size = _job(CONFIG), 12 // ranks
    together = [_job(replace(CONFIG, batch_size=size), rank, ranks) for rank in range(ranks)]
    for step in (0, 3):
        whole = alone.inputs(step, _blank(12))
        parts = [job.inputs(step, _blank(size)) for job in together]
        scales = np.concatenate([part[4].asnumpy() for part in parts])
        np.testing.assert_array_equal(scales, whole[4].asnumpy())
        assert scales.min() == 0  # some branch of some image is dropped
        assert {part[5].asnumpy().item() for part in parts} == {whole[5].asnumpy().item()}


@pytest.mark.parametrize(
    ("batch", "ranks", "classes", "said"),
    [
        (8, 2, 10, "2 x 8 = 16 images"),
        (128, 8, 1000, "8 x 128 = 1,024 images, as published (8 x 128 = 1,024)"),
        (128, 4, 1000, "4 x 128 = 512 images; {}; batch_size=256 keeps that"),
        (128, 3, 1000, "3 x 128 = 384 images; {}; 1,024 does not divide by 3: batch_size=341 comes closest, 1,023"),
        (
            1,
            1500,
            1000,
            "1500 x 1 = 1,500 images; {}; 1,024 does not divide by 1500: batch_size=1 comes closest, 1,500",
        ),
    ],
)
def test_a_training_says_its_global_batch_and_the_key_that_keeps_the_published_one(
    batch: int, ranks: int, classes: int, said: str
) -> None:
    published = "published: 8 x 128 = 1,024, to which its learning rate belongs"
    assert describe_batch(batch, ranks, classes) == f"global batch: {said.format(published)}"


def test_files_that_an_earlier_part_of_the_run_left_out_are_still_counted() -> None:
    job = _job(CONFIG)
    assert job.skipped() == []
    job.train_loader.remember(["a/7", "gone/since.jpg"])
    assert job.skipped() == ["a/7"]


def test_a_resumed_run_does_not_ask_for_the_file_it_was_first_started_from() -> None:
    config = replace(CONFIG, pretrained="/gone.ckpt")
    with pytest.raises(UserError, match=r"/gone\.ckpt: no such file"):
        _job(config)
    assert _job(config, start=1).loaded is None


def test_training_starts_only_from_weights_whose_outputs_mean_its_classes(tmp_path: Path) -> None:
    network = build_network(3, 112, "O0")
    path = store.save_checkpoint(tmp_path / "hlg.ckpt", network.get_parameters(), STATE, ("a", "b", "d"))
    config = replace(CONFIG, pretrained=str(path))
    with pytest.raises(UserError, match=r"labels are not those of the checkpoint .*: label 2 is c here and d there"):
        _job(config)
    job = _job(replace(config, class_map="order"))
    assert job.train_loader.index.classes == INDEX.classes
    assert job.class_notes[0].startswith("warning: /nowhere: the outputs are taken for its class folders in order")


def test_the_images_to_evaluate_have_the_labels_of_those_to_train_on() -> None:
    lacking = replace(INDEX, classes=("a", "c"), labels=np.arange(IMAGES, dtype=np.int32) % 2)
    for class_map in ("", "order"):  # in order would shift the labels
        with pytest.raises(UserError, match=r"training images, /nowhere: label 1 is c here and b there"):
            _job(replace(CONFIG, class_map=class_map), evaluated=lacking)
    found = _job(replace(CONFIG, class_map="name"), evaluated=lacking).eval_loader.index
    assert (found.classes, found.labels[:2].tolist()) == (("a", "b", "c"), [0, 2])


def test_a_resumed_run_keeps_the_meaning_of_its_outputs() -> None:
    told = OutputClasses("the run x", ("a", "b", "c", "d"))
    with pytest.raises(UserError, match=r"not those of the run x: label 3 is nothing here and d there"):
        _job(CONFIG, start=1, classes=told)
    assert _job(replace(CONFIG, class_map="name"), start=1, classes=told).eval_loader.index.classes == told.folders

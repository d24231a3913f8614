"""What a training run works with: the same numbers for any number of ranks, and what a resumed run starts from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hlg.config import Config
from hlg.data.index import ImageIndex
from hlg.data.loader import Batch
from hlg.errors import UserError
from hlg.runtime.device import Device
from hlg.training.job import Job
from tests.support.narrow import narrow

IMAGES = 24
INDEX = ImageIndex(Path("/nowhere"), ("a", "b", "c"), tuple(f"a/{i}" for i in range(IMAGES)), np.zeros(IMAGES), ())
CONFIG = Config(
    class_num=3,
    train_image_size=112,
    eval_image_size=112,
    batch_size=12,
    max_epoch=2,
    warmup_epochs=0,
    mixup=0.0,
    on_unreadable="skip",
)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlg.model.network.HLG", None)  # put back afterwards
    narrow()


def _job(config: Config, rank: int = 0, ranks: int = 1, start: int = 0) -> Job:
    return Job(config, Device("CPU", "x86_64", rank, ranks), INDEX, INDEX, start)


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

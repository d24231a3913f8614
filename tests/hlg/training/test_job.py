"""What a training step is given, whatever the number of ranks; what may change when a run is resumed."""

import dataclasses
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
    class_num=3, train_image_size=112, eval_image_size=112, max_epoch=2, warmup_epochs=0, mixup=0.0, context_mode=1
)


def _job(batch_size: int, rank: int, ranks: int) -> Job:
    return Job(dataclasses.replace(CONFIG, batch_size=batch_size), Device("CPU", "x86_64", rank, ranks), INDEX, INDEX)


@pytest.mark.parametrize("ranks", [2, 3])
def test_schedule_and_stochastic_depth_depend_on_the_global_batch_alone(
    ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hlg.model.network.HLG", None)  # put back afterwards
    narrow()
    alone = _job(12, 0, 1)
    together = [_job(12 // ranks, rank, ranks) for rank in range(ranks)]
    for step in (0, 3):
        whole = alone.inputs(step, _blank(12))
        parts = [job.inputs(step, _blank(12 // ranks)) for job in together]
        scales = np.concatenate([part[4].asnumpy() for part in parts])
        np.testing.assert_array_equal(scales, whole[4].asnumpy())
        assert scales.min() == 0  # some branch of some image is dropped
        assert {part[5].asnumpy().item() for part in parts} == {whole[5].asnumpy().item()}


def _blank(size: int) -> Batch:
    return Batch(np.zeros((size, 112, 112, 3), np.uint8), np.zeros(size, np.int32), np.zeros(size, np.int64))


def test_files_that_an_earlier_part_of_the_run_left_out_are_still_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlg.model.network.HLG", None)
    narrow()
    job = Job(dataclasses.replace(CONFIG, batch_size=12, on_unreadable="skip"), Device("CPU", "x86_64"), INDEX, INDEX)
    assert job.skipped() == []
    job.train_loader.remember(["a/7", "gone/since.jpg"])
    assert job.skipped() == ["a/7"]


def test_a_run_that_goes_on_does_not_ask_for_the_file_it_once_started_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlg.model.network.HLG", None)
    narrow()
    config = dataclasses.replace(CONFIG, batch_size=12, pretrained="/gone.ckpt")
    with pytest.raises(UserError, match=r"/gone\.ckpt: no such file"):
        Job(config, Device("CPU", "x86_64"), INDEX, INDEX)
    assert Job(config, Device("CPU", "x86_64"), INDEX, INDEX, start=1).loaded is None

"""Accuracy counts real images exactly, whatever the size of the set and of the batch."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from hlg.data.loader import Batch
from hlg.errors import UserError
from hlg.model.normalize import MEAN, STD, Normalize
from hlg.training.confusion import Confusion
from hlg.training.evaluate import evaluate
from hlg.training.step import EvalStep

pytestmark = pytest.mark.usefixtures("pynative_mode")


class Fixed(nn.Cell):
    """A network whose logits are given: the gray value of image i is its row number."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.table = Tensor(logits, ms.float32)

    def construct(self, x: Tensor) -> Tensor:
        gray = x[:, 0, 0, 0] * STD[0] + MEAN[0]
        return self.table[(gray + 0.5).astype(ms.int32)]  # rounded


def _batches(labels: np.ndarray, size: int) -> list[Batch]:
    """Images of one pixel for :class:`Fixed`; the last batch is padded."""
    padded = np.pad(labels.astype(np.int32), (0, -len(labels) % size), constant_values=-1)
    rows = np.where(padded < 0, 0, np.arange(len(padded)))
    images = rows.astype(np.uint8).reshape(-1, size, 1, 1, 1).repeat(3, -1)
    return [Batch(*batch) for batch in zip(images, padded.reshape(-1, size), rows.reshape(-1, size), strict=True)]


@pytest.mark.parametrize("batch_size", [1, 7, 32, 100])
def test_top1_and_top5_are_exact_for_any_set_and_batch_size(batch_size: int) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((53, 11)), rng.integers(0, 11, 53)
    order = np.argsort(-logits, 1)
    result = evaluate(EvalStep(Fixed(logits)), _batches(labels, batch_size))
    assert result.images == 53
    assert result.correct_top1 == (order[:, 0] == labels).sum()
    assert result.correct_top5 == (order[:, :5] == labels[:, None]).any(1).sum()
    assert result.top1_pct == pytest.approx(100 * result.correct_top1 / 53)


def test_every_class_is_counted_and_what_it_is_mistaken_for() -> None:
    labels, taken = np.array([0, 0, 0, 2, 2, 6]), [0, 1, 1, 2, 7, 0]
    confusion = Confusion([f"n{i}" for i in range(7)], 8)  # an output more than there are classes
    evaluate(EvalStep(Fixed(np.eye(8)[taken])), _batches(labels, 4), confusion=confusion)
    facts = confusion.facts({"n2": "tench"})
    rows = [[row.get(key) for key in ("name", "images", "correct_top1", "correct_top5")] for row in facts["classes"]]
    nothing = [None, 0, 0, 0]
    assert rows == [[None, 3, 1, 3], nothing, ["tench", 2, 1, 2], nothing, nothing, nothing, [None, 1, 0, 0]]
    found = [(pair["class"], pair["taken_for"], pair["images"]) for pair in facts["confused"]]
    assert found[0] == ("n0", "n1", 2)  # the most frequent one first
    assert set(found[1:]) == {("n2", "output 7", 1), ("n6", "n0", 1)}


def test_scores_that_are_not_numbers_never_hit_and_no_class_is_mistaken_for_itself() -> None:
    logits = np.array([[np.nan] + 6 * [1.0], 7 * [np.nan]])
    confusion = Confusion([f"n{i}" for i in range(7)], 7)
    result = evaluate(EvalStep(Fixed(logits)), _batches(np.array([0, 6]), 2), confusion=confusion)
    assert (result.images, result.correct_top1, result.correct_top5) == (2, 0, 0)
    facts = confusion.facts({})
    assert (facts["classes"][0]["images"], facts["classes"][0]["correct_top1"]) == (1, 0)
    assert not any(pair["class"] == pair["taken_for"] for pair in facts["confused"])


def test_a_set_without_a_readable_image_is_an_error_and_not_an_accuracy() -> None:
    batches = _batches(np.array([0]), 1)
    batches[0].labels[0] = -1
    with pytest.raises(UserError, match="not one of its images"):
        evaluate(EvalStep(Fixed(np.eye(3))), batches)


def test_of_equal_scores_the_lower_class_wins_as_in_an_argmax() -> None:
    step = EvalStep(Fixed(np.zeros((2, 4))))
    images = np.zeros((2, 1, 1, 3), np.uint8)
    assert step(Tensor(images), Tensor(np.array([0, 3], np.int32)))[0].asnumpy().tolist() == [0, 3]


def test_normalization_takes_imagenets_mean_and_deviation_channel_by_channel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    expected = ((images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(Normalize()(Tensor(images)).asnumpy(), expected, atol=1e-5)

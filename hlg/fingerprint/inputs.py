"""From a JPEG to what the network is given: decode, crop, resize, normalise, mix."""

from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from hlg.data.augment import crop_box, eval_image, train_image
from hlg.data.decode import open_rgb
from hlg.data.streams import image_generator
from hlg.fingerprint import synthetic
from hlg.fingerprint.bounds import REFERENCE, Judge, Row, exact
from hlg.model.loss import build_loss
from hlg.model.normalize import Normalize
from hlg.model.optimizer import AdamW
from hlg.training.step import TrainStep

IMAGES = ("colour.jpg", "grey.jpg", "portrait.jpg")
CROP_MIN = 0.05
SEED, EPOCH = 1, 0
# Decoders, and fixed-point arithmetic beside float64, differ by one grey level here and there: half of one, root mean
# square, of white. Here it was none for the decoder and a third for resizing.
HALF_A_LEVEL = 0.5 / 255


def images(judge: Judge) -> Iterator[Row]:
    """What becomes of the images beside this module."""
    pixels = {name: open_rgb(REFERENCE / name) for name in IMAGES}
    boxes, training, evaluation = {}, {}, {}
    for i, (name, image) in enumerate(pixels.items()):
        height, width, _ = image.shape
        boxes[name] = np.array(crop_box(width, height, image_generator(SEED, EPOCH, i), CROP_MIN))
        training[name] = train_image(
            image, image_generator(SEED, EPOCH, i), synthetic.SIZE, CROP_MIN, autoaugment=False
        )
        evaluation[name] = eval_image(image, synthetic.SIZE)
    for name, key, arrays, bound in (
        ("decoded", "decoded", pixels, HALF_A_LEVEL),
        ("crop box", "crop", boxes, 0.0),
        ("resized for training", "resized/training", training, HALF_A_LEVEL),
        ("resized for evaluation", "resized/evaluation", evaluation, HALF_A_LEVEL),
    ):
        yield judge.against("input", "", name, {n: (f"input/{key}/{n}", v) for n, v in arrays.items()}, bound)


class Given(nn.Cell):
    """Takes the place of what trains, and hands back what it was given: images, and the labels of their partners."""

    def construct(self, x: Tensor, labels: Tensor, mixed: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        return x, mixed


def batches(judge: Judge) -> Iterator[Row]:
    """What a training step makes of a batch of grey levels before the network sees it."""
    pixels, (a, _) = Tensor(synthetic.pixels(judge.salt)), synthetic.labels(judge.salt)
    normal = Normalize()(pixels).asnumpy()
    yield judge.against("input", "", "normalised", {"": ("input/normalised", normal)})

    nothing = nn.Dense(1, 1)  # a training step must have something to train
    step = TrainStep(nothing, build_loss("ce_smooth_mixup", synthetic.CLASSES), AdamW(nothing.trainable_params()))
    step.update = Given()
    partner = np.arange(synthetic.BATCH, dtype=np.int32)[::-1].copy()
    zero = Tensor(0.0, ms.float32)
    mixed, labels, _ = step(pixels, Tensor(a), Tensor(partner), Tensor(synthetic.LAM, ms.float32), zero, zero, zero)
    yield judge.against("input", "", "mixed", {"": ("input/mixed", mixed.asnumpy())})
    wrong = [f"image {i}" for i in np.flatnonzero(labels.asnumpy() != a[partner])]
    yield exact("input", "", "labels of the mixture", wrong)

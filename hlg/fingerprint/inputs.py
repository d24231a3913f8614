"""Check the input: decode, crop, resize, normalize, mix."""

from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from hlg.data.augment import crop_box, eval_image, train_image
from hlg.data.decode import open_rgb
from hlg.data.streams import image_generator
from hlg.fingerprint import synthetic
from hlg.fingerprint.bounds import REFERENCE_FOLDER, ReferenceTensors
from hlg.fingerprint.rows import FingerprintRow, exact_row
from hlg.model.loss import build_loss
from hlg.model.normalize import Normalize
from hlg.model.optimizer import AdamW
from hlg.training.step import TrainStep

IMAGES = ("colour.jpg", "grey.jpg", "portrait.jpg")
CROP_MIN = 0.05
SEED, EPOCH = 1, 0
# Decoders, and fixed-point arithmetic beside float64, differ by one gray level here and there. The bound is half of
# one, root mean square, relative to white; here it was none for the decoder and a third for resizing.
HALF_A_LEVEL = 0.5 / 255


def check_images(reference: ReferenceTensors) -> Iterator[FingerprintRow]:
    """Decode, crop and resize the kept images."""
    pixels = {name: open_rgb(REFERENCE_FOLDER / name) for name in IMAGES}
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
        yield reference.compare("input", "", name, {n: (f"input/{key}/{n}", v) for n, v in arrays.items()}, bound)


class ReturnInputs(nn.Cell):
    """Takes the place of what trains, and returns the images and the partners' labels that it was given."""

    def construct(self, x: Tensor, labels: Tensor, mixed: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        return x, mixed


def check_batch(reference: ReferenceTensors) -> Iterator[FingerprintRow]:
    """Normalize and mix a batch of pixels as a training step does before the network sees it."""
    pixels, (a, _) = Tensor(synthetic.draw_pixels(reference.salt)), synthetic.draw_labels(reference.salt)
    normal = Normalize()(pixels).asnumpy()
    yield reference.compare("input", "", "normalised", {"": ("input/normalised", normal)})

    trained = nn.Dense(1, 1)  # a training step must have something to train
    step = TrainStep(trained, build_loss("ce_smooth_mixup", synthetic.CLASSES), AdamW(trained.trainable_params()))
    step.update = ReturnInputs()
    partner = np.arange(synthetic.BATCH, dtype=np.int32)[::-1].copy()
    zero = Tensor(0.0, ms.float32)
    mixed, labels, _ = step(pixels, Tensor(a), Tensor(partner), Tensor(synthetic.LAM, ms.float32), zero, zero, zero)
    yield reference.compare("input", "", "mixed", {"": ("input/mixed", mixed.asnumpy())})
    wrong = [f"image {i}" for i in np.flatnonzero(labels.asnumpy() != a[partner])]
    yield exact_row("input", "labels of the mixture", wrong)

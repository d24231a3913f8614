"""The three losses of the published code; each is called as (logits, labels, mixed, lam) -> mean loss, in float32.

Shapes: logits (B, C); labels (B,), the class of each image; mixed (B,), the class of the image it was mixed with;
lam (), the share of the first. Label smoothing is called s.
"""

from mindspore import Tensor, nn, ops

from hlg.errors import UserError


class CrossEntropy(nn.Cell):
    """Mean over the batch of ``-sum(target * log softmax(logits))``; each subclass has its own target."""

    def __init__(self, class_num: int, smoothing: float, ignore_label: int) -> None:
        super().__init__()
        self.class_num = class_num
        self.smoothing = smoothing
        self.ignore_label = ignore_label
        self.log_softmax = ops.LogSoftmax()

    def one_hot(self, labels: Tensor) -> Tensor:
        """One-hot rows, (B,) -> (B, C)."""
        return (labels.reshape(-1, 1) == ops.arange(self.class_num).reshape(1, -1)).astype("float32")

    def per_image(self, logits: Tensor, target: Tensor) -> Tensor:
        """The cross entropy of each image, (B, C), (B, C) -> (B,)."""
        return -(target * self.log_softmax(logits.astype("float32"))).sum(-1)


class CeSmooth(CrossEntropy):
    """Label smoothing: the target is 1-s for the label and s/(C-1) for every other class."""

    def construct(self, logits: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor) -> Tensor:
        other = self.smoothing / (self.class_num - 1)
        target = self.one_hot(labels) * (1 - self.smoothing - other) + other
        return self.per_image(logits, target).mean()


class CeSmoothMixup(CrossEntropy):
    """Label smoothing for mixup: (1-s) times the soft label, plus s/(C-2) for the classes that are in neither image."""

    def construct(self, logits: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor) -> Tensor:
        soft = self.one_hot(labels) * lam + self.one_hot(mixed) * (1 - lam)
        other = self.smoothing / (self.class_num - 2)
        target = soft * (1 - self.smoothing) + (soft == 0).astype("float32") * other
        return self.per_image(logits, target).mean()


class CeIgnore(CrossEntropy):
    """Plain cross entropy, averaged over the images whose label is not ``ignore_label``."""

    def construct(self, logits: Tensor, labels: Tensor, mixed: Tensor, lam: Tensor) -> Tensor:
        weight = (labels != self.ignore_label).astype("float32")
        return (weight * self.per_image(logits, self.one_hot(labels))).sum() / weight.sum()


LOSSES = {"ce_smooth": CeSmooth, "ce_smooth_mixup": CeSmoothMixup, "ce_ignore": CeIgnore}


def build_loss(name: str, class_num: int, smoothing: float = 0.1, ignore_label: int = 255) -> CrossEntropy:
    """Build the loss that the configuration calls ``name``.

    Raises:
        UserError: too few classes to spread the smoothing of this loss over.
    """
    fewest = 3 if name == "ce_smooth_mixup" else 2
    if class_num < fewest:
        raise UserError(f"class_num: {class_num} is too few for loss {name}, which needs at least {fewest} classes")
    return LOSSES[name](class_num, smoothing, ignore_label)

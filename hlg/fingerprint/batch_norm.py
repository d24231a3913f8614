"""Tell by which of two rules batch norm moves its variance, and read a moving variance by the other rule.

Over n values a channel the biased variance divides the sum of squares by n, the unbiased one by n - 1. MindSpore on a
CPU moves by the biased one up to 2.0.0 and by the unbiased one, the reference's, from 2.5.0 on.
"""

import re

import numpy as np
from mindspore import Tensor, nn

from hlg.fingerprint import synthetic
from hlg.fingerprint.rows import FingerprintRow
from hlg.model.layers import BATCH_NORM_MOMENTUM

UNBIASED, BIASED, NEITHER = "unbiased", "biased", "neither"
NEAR = 0.02  # of the way between the rules: how far from one of them still counts as it; rounding is 2e-6 in O3 too


class VarianceRule:
    """The rule that a batch norm of the training step follows, from a batch of eight values a channel.

    So few set the rules 14 % apart, which no precision hides; in the network's own step it is 0.1 % at most.
    """

    def __init__(self, norm: nn.Cell, salt: str) -> None:
        (variance,) = (p for p in norm.get_parameters() if p.name.endswith("moving_variance"))
        x = synthetic.draw_maps(variance.size, salt)
        n = x[:, 0].size
        kept = BATCH_NORM_MOMENTUM * variance.asnumpy().astype(np.float64)
        norm(Tensor(x)).asnumpy()
        moved_by = (variance.asnumpy() - kept) / (1 - BATCH_NORM_MOMENTUM)
        batch = x.astype(np.float64).var((0, 2, 3))
        self.factor = float(moved_by @ batch / (batch @ batch))  # what it moves by, over the biased variance
        self.unbiased = n / (n - 1)
        self.way = (self.unbiased - self.factor) / (self.unbiased - 1)  # 0: the unbiased rule, 1: the biased one
        self.name = UNBIASED if abs(self.way) <= NEAR else BIASED if abs(self.way - 1) <= NEAR else NEITHER

    def row(self) -> FingerprintRow:
        """Its row, whose error is 1 for the biased rule."""
        factors = f"by {self.factor:.4g} times the biased variance (unbiased: {self.unbiased:.4g}, biased: 1)"
        note = "" if self.name == UNBIASED else f"the moving variance moves {factors}"
        source = "0 is the unbiased rule, 1 the biased one"
        return FingerprintRow("training", "", "batch norm's rule", abs(self.way), NEAR, source, note=note)


def read_variance(
    published: str, moving: np.ndarray, made: str, wanted: str, batch: int, salt: str, steps: int = 1
) -> np.ndarray:
    """Read a moving variance that some steps made by one rule as the other rule would have made it.

    Training never reads moving statistics, so the variances of the batches are the same either way. Any other
    parameter, and a moving variance by neither rule, is returned as it is.
    """
    if not published.endswith("moving_variance") or NEITHER in (made, wanted) or made == wanted:
        return moving
    left = BATCH_NORM_MOMENTUM**steps * synthetic.draw_parameter(published, moving.shape, salt).astype(np.float64)
    n = batch * _pixels(published)
    return left + (moving - left) * (n / (n - 1) if wanted == UNBIASED else (n - 1) / n)


def _pixels(published: str) -> int:
    """The pixels of a batch norm's map: its side is half the image's in the stem, then a quarter to a 32nd."""
    if re.match(r"patch_embed1\.norm[12]\.", published):
        return (synthetic.SIZE // 2) ** 2
    match = re.match(r"(?:patch_embed|block)(\d)", published)
    if not match:
        raise KeyError(published)
    return (synthetic.SIZE >> (int(match[1]) + 1)) ** 2

"""Normalization of images by ImageNet's mean and standard deviation."""

import mindspore as ms
from mindspore import Tensor, nn

# Of each channel, R, G and B, in gray levels 0 to 255.
MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


class Normalize(nn.Cell):
    """Images as a decoder gives them, uint8 (B, S, S, 3) -> normalized float32 (B, 3, S, S)."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.mean = Tensor(MEAN, ms.float32)
        self.scale = Tensor([1 / s for s in STD], ms.float32)

    def construct(self, images: Tensor) -> Tensor:
        x = (images.astype(ms.float32) - self.mean) * self.scale
        return x.transpose(0, 3, 1, 2)  # (B, S, S, 3) -> (B, 3, S, S)

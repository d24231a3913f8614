"""Augment a training image, or crop one for evaluation; every random choice comes from a generator that is given.

The published run cropped and resized with MindSpore's C++ operators. What those do is done here by OpenCV and Pillow,
which release the interpreter lock and need no MindSpore:

- the crop's box follows `RandomCropDecodeResize`: area uniform, logarithm of the aspect ratio uniform;
- the crop is resized bilinearly *without* antialiasing, in OpenCV's fixed-point arithmetic. (That operator
  decodes the crop alone, which changes the color of its last column in a subsampled JPEG; this we leave out.)

An image is an array (h, w, 3) of uint8, RGB. Functions return new arrays and leave their arguments alone.

The order of the random draws is part of the definition of a run and must not change: for each try at a box,
area and ratio, then left and top of the box found (none for the center fallback); the flip; with AutoAugment
the row, then for each of its two operations whether it is applied and, if it is, its sign where it has one.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageEnhance

RATIO = (0.75, 1.333)  # width / height of a crop; the published run has 1.333, not 4/3
MAX_TRIES = 10
GRAY = (128, 128, 128)

cv2.setNumThreads(1)  # whoever calls has threads of its own


class Box(NamedTuple):
    """A crop in pixels, inside its image and never empty."""

    left: int
    top: int
    width: int
    height: int


def crop_box(width: int, height: int, rng: np.random.Generator, crop_min: float) -> Box:
    """Draw the crop of an image of `width` x `height` pixels.

    Its area is uniform in [crop_min, 1] of the image's, the logarithm of its aspect ratio uniform between the
    logarithms of RATIO. After MAX_TRIES boxes that do not fit, it is the largest centered box within RATIO.
    Source: MindSpore's RandomCropAndResizeOp::GetCropBox.
    """
    for _ in range(MAX_TRIES):
        area = width * height * rng.uniform(crop_min, 1.0)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w = max(1, _round(math.sqrt(area * ratio)))
        h = max(1, _round(w / ratio))  # from the rounded width, as there
        if w <= width and h <= height:
            left = int(rng.integers(0, width - w, endpoint=True))
            top = int(rng.integers(0, height - h, endpoint=True))
            return Box(left, top, w, h)
    w, h = width, height
    if width / height < RATIO[0]:
        h = max(1, _round(width / RATIO[0]))
    elif width / height > RATIO[1]:
        w = max(1, _round(height * RATIO[1]))
    return Box(_round((width - w) / 2), _round((height - h) / 2), w, h)


def _round(x: float) -> int:
    """Round as C++ does, halves away from zero, for x >= 0; Python's round takes them to even."""
    return math.floor(x + 0.5)


def resize_bilinear(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize without antialiasing: every output pixel blends 2 x 2 input pixels, however much the image shrinks.

    Pillow's `resize` would average all of them instead, and its `transform` truncates, which darkens by 0.4 of
    a gray level. MindSpore's operator calls the same function, of the same release.
    """
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)


def eval_resize_short(image_size: int) -> int:
    """Compute the pixels of the short side before the center crop, as published: 256 for 224, 128 for 112."""
    return int(int(image_size / 0.875 / 16 + 0.5) * 16)


class Operation(NamedTuple):
    """An operation of AutoAugment; if it is signed, the sign of its magnitude is drawn."""

    apply: Callable[[np.ndarray, float], np.ndarray]  # (pixels, magnitude)
    magnitudes: tuple[float, ...] = (0.0,) * 10  # by the policy's index 0 to 9
    signed: bool = False


def _range(first: float, last: float) -> tuple[float, ...]:
    return tuple(np.linspace(first, last, 10).tolist())


def _pillow(change: Callable[[Image.Image, float], Image.Image]) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda pixels, magnitude: np.asarray(change(Image.fromarray(pixels), magnitude))


def _shear_x(image: Image.Image, slope: float) -> Image.Image:
    matrix = (1, slope, 0, 0, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=GRAY)


def _enhancement(kind: Callable[[Image.Image], Any]) -> Operation:
    return Operation(_pillow(lambda image, offset: kind(image).enhance(1 + offset)), _range(0.0, 0.9), signed=True)


# Pillow's gray: weights of red, green and blue, and a half, for it rounds. Each term and sum is exact in float32.
GRAY_WEIGHTS = np.array([[19595, 38470, 7471, 32768]], np.float32) / 65536


def _contrast(pixels: np.ndarray, offset: float) -> np.ndarray:
    """Move every level away from the mean gray, in Pillow's floating-point steps, or toward it."""
    gray = cv2.transform(pixels.astype(np.float32), GRAY_WEIGHTS).astype(np.uint8)  # (h, w, 3) -> (h, w)
    mean = np.float32(int(cv2.sumElems(gray)[0] / gray.size + 0.5))
    moved = mean + np.float32(1 + offset) * (np.arange(256, dtype=np.float32) - mean)
    return cv2.LUT(pixels, moved.clip(0, 255).astype(np.uint8))


def _by_table(tables_of: Callable[[np.ndarray], np.ndarray]) -> Operation:
    """Map each channel by a table of its own: histograms (256, 3) int64 -> tables (256, 3)."""

    def apply(pixels: np.ndarray, _: float) -> np.ndarray:
        histograms = [cv2.calcHist([pixels], [c], None, [256], [0, 256]) for c in range(3)]
        tables = tables_of(np.hstack(histograms).astype(np.int64))
        return cv2.LUT(pixels, tables.clip(0, 255).astype(np.uint8)[None])

    return Operation(apply)


IDENTITY = np.arange(256)[:, None]


def _stretched(histograms: np.ndarray) -> np.ndarray:
    """Stretch the darkest level to 0 and the brightest to 255, in Pillow's floating-point steps."""
    filled = histograms > 0
    low, high = filled.argmax(0), 255 - filled[::-1].argmax(0)
    scale = 255.0 / np.maximum(high - low, 1)
    return np.where(high > low, np.trunc(IDENTITY * scale + -low * scale), IDENTITY)


def _equalized(histograms: np.ndarray) -> np.ndarray:
    """Equalize a histogram, in Pillow's integer steps."""
    below = histograms.cumsum(0) - histograms
    step = np.where(histograms > 0, below, 0).max(0) // 255
    return np.where(step > 0, (step // 2 + below) // np.maximum(step, 1), IDENTITY)


def _solarized(pixels: np.ndarray, threshold: float) -> np.ndarray:
    return pixels ^ -(pixels >= math.ceil(threshold)).view(np.uint8)  # -1 is 255, and x ^ 255 is 255 - x


OPERATIONS = {
    "shear_x": Operation(_pillow(_shear_x), _range(0.0, 0.3), signed=True),
    "rotate": Operation(_pillow(lambda image, degrees: image.rotate(degrees, fillcolor=GRAY)), _range(0, 30)),
    "color": _enhancement(ImageEnhance.Color),
    "contrast": Operation(_contrast, _range(0.0, 0.9), signed=True),
    "sharpness": _enhancement(ImageEnhance.Sharpness),
    "posterize": Operation(lambda x, bits: x & np.uint8(0xFF00 >> int(bits) & 0xFF), tuple(map(round, _range(8, 4)))),
    "solarize": Operation(_solarized, _range(256, 0)),
    "autocontrast": _by_table(_stretched),
    "equalize": _by_table(_equalized),
    "invert": Operation(lambda x, _: ~x),
}

# AutoAugment's ImageNet policy: (probability, operation, index of its magnitude), twice a row.
# Source: Cubuk et al. 2019, in the version of github.com/DeepVoltaire/AutoAugment.
POLICY = (
    ((0.4, "posterize", 8), (0.6, "rotate", 9)),
    ((0.6, "solarize", 5), (0.6, "autocontrast", 5)),
    ((0.8, "equalize", 8), (0.6, "equalize", 3)),
    ((0.6, "posterize", 7), (0.6, "posterize", 6)),
    ((0.4, "equalize", 7), (0.2, "solarize", 4)),
    ((0.4, "equalize", 4), (0.8, "rotate", 8)),
    ((0.6, "solarize", 3), (0.6, "equalize", 7)),
    ((0.8, "posterize", 5), (1.0, "equalize", 2)),
    ((0.2, "rotate", 3), (0.6, "solarize", 8)),
    ((0.6, "equalize", 8), (0.4, "posterize", 6)),
    ((0.8, "rotate", 8), (0.4, "color", 0)),
    ((0.4, "rotate", 9), (0.6, "equalize", 2)),
    ((0.0, "equalize", 7), (0.8, "equalize", 8)),
    ((0.6, "invert", 4), (1.0, "equalize", 8)),
    ((0.6, "color", 4), (1.0, "contrast", 8)),
    ((0.8, "rotate", 8), (1.0, "color", 2)),
    ((0.8, "color", 8), (0.8, "solarize", 7)),
    ((0.4, "sharpness", 7), (0.6, "invert", 8)),
    ((0.6, "shear_x", 5), (1.0, "equalize", 9)),
    ((0.4, "color", 0), (0.6, "equalize", 3)),
    ((0.4, "equalize", 7), (0.2, "solarize", 4)),
    ((0.6, "solarize", 5), (0.6, "autocontrast", 5)),
    ((0.6, "invert", 4), (1.0, "equalize", 8)),
    ((0.6, "color", 4), (1.0, "contrast", 8)),
    ((0.8, "equalize", 8), (0.6, "equalize", 3)),
)


def auto_augment(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply one row of POLICY, drawn uniformly."""
    for probability, name, index in POLICY[int(rng.integers(len(POLICY)))]:
        if rng.random() < probability:
            operation = OPERATIONS[name]
            magnitude = operation.magnitudes[index]
            if operation.signed and rng.random() < 0.5:
                magnitude = -magnitude
            pixels = operation.apply(pixels, magnitude)
    return pixels


def train_image(
    pixels: np.ndarray, rng: np.random.Generator, size: int, crop_min: float, autoaugment: bool
) -> np.ndarray:
    """Crop at random, resize, flip and, if asked to, AutoAugment -> (size, size, 3) uint8."""
    height, width, _ = pixels.shape
    box = crop_box(width, height, rng, crop_min)
    crop = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    resized = resize_bilinear(crop, size, size)
    if rng.random() < 0.5:
        resized = cv2.flip(resized, 1)
    return auto_augment(resized, rng) if autoaugment else resized


def eval_image(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize the short side to `eval_resize_short(size)` pixels and crop the center -> (size, size, 3) uint8.

    Lengths are rounded down, as MindSpore's `Resize` and `CenterCrop` do.
    """
    height, width, _ = pixels.shape
    short = eval_resize_short(size)
    if width < height:
        width, height = short, int(np.float32(height) / np.float32(width) * np.float32(short))
    else:
        width, height = int(np.float32(width) / np.float32(height) * np.float32(short)), short
    left, top = (width - size) // 2, (height - size) // 2
    return resize_bilinear(pixels, width, height)[top : top + size, left : left + size]

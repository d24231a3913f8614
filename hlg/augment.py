"""One training image: bytes in, augmented uint8 pixels out, every choice from an explicit generator.

The published run decoded, cropped and resized with MindSpore's C++ operators. What those do is rebuilt here
with Pillow and NumPy, which release the interpreter lock and need no MindSpore:

- the decoded pixels are the same, bit for bit; the EXIF orientation is ignored, as there;
- the crop's box follows `RandomCropDecodeResize`: area uniform, logarithm of the aspect ratio uniform;
- the crop is resized bilinearly *without* antialiasing, in the same fixed-point arithmetic. (That operator
  decodes the crop alone, which changes the colour of its last column in a subsampled JPEG; this we leave out.)

The order of the random draws is part of the definition of a run and must not change: for each try at a box,
area and ratio, then left and top of the box found (none for the centre fallback); the flip; with AutoAugment
the row, then for each of its two operations whether it is applied and, if it is, its sign where it has one.
"""

import io
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps, UnidentifiedImageError

# MindSpore's decoder reads these too; of GIF and WebP, which Pillow would open, it knows nothing.
FORMATS = ("JPEG", "PNG", "BMP")
RATIO = (0.75, 1.333)  # width / height of a crop; the published run has 1.333, not 4/3
MAX_TRIES = 10
GREY = (128, 128, 128)

# Some ImageNet photographs hold broken EXIF. It says nothing about their pixels.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


class UnreadableImageError(Exception):
    """The file cannot be read or is no whole 8-bit JPEG, PNG or BMP image; the message says why."""


def open_rgb(source: str | Path | bytes) -> Image.Image:
    """Decode a file, or a file's bytes, wholly into an RGB image.

    The content decides, not the name: a PNG named .JPEG loads. Grey, palette and CMYK images become RGB,
    transparency and EXIF orientation are ignored. Raises UnreadableImageError, also for a truncated image.
    """
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image.info.pop("transparency", None)  # or Pillow warns of it at the conversion
        image.load()
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError("no JPEG, PNG or BMP image") from error
    except Exception as error:  # Pillow's decoders raise whatever a broken header makes them stumble over
        raise UnreadableImageError(getattr(error, "strerror", None) or str(error) or repr(error)) from error
    if image.mode.startswith(("I", "F")):
        raise UnreadableImageError(f"more than 8 bits a channel (mode {image.mode})")
    return rgb


class Box(NamedTuple):
    """A crop in pixels, inside its image and never empty."""

    left: int
    top: int
    width: int
    height: int


def crop_box(width: int, height: int, rng: np.random.Generator, crop_min: float) -> Box:
    """Draw the crop of an image of `width` x `height` pixels.

    Its area is uniform in [crop_min, 1] of the image's, the logarithm of its aspect ratio uniform between the
    logarithms of RATIO. After MAX_TRIES boxes that do not fit, it is the largest centred box within RATIO.
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
    """Halves away from zero, for x >= 0, as C++ rounds; Python's round takes them to even."""
    return math.floor(x + 0.5)


def resize_bilinear(pixels: np.ndarray, size: int) -> np.ndarray:
    """(h, w, 3) uint8 -> (size, size, 3) uint8, bilinear without antialiasing.

    Every output pixel blends 2 x 2 input pixels, however much the image shrinks. Pillow's `resize` would
    average all of them instead, and its `transform` truncates, which darkens by 0.4 of a grey level. The
    arithmetic is that of OpenCV's INTER_LINEAR, which MindSpore calls: weights in 1/2048, the horizontal
    pass first, and these right shifts in between. The result is the same, bit for bit, on x86-64.
    """
    h, w, channels = pixels.shape
    flat = pixels.reshape(h, w * channels)

    def columns(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        at = (x[:, None] * channels + np.arange(channels)).ravel()
        return flat.take(at, axis=1) * weight.repeat(channels)

    left, right, weight = _taps(w, size)
    wide = columns(left, 2048 - weight)
    wide += columns(right, weight)
    wide >>= 4

    def rows(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        taken = wide.take(y, axis=0)
        taken *= weight[:, None]
        taken >>= 16
        return taken

    upper, lower, weight = _taps(h, size)
    out = rows(upper, 2048 - weight)
    out += rows(lower, weight)
    out += 2
    out >>= 2
    return out.astype(np.uint8).reshape(size, size, channels)


def _taps(n_in: int, n_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each output position, its two input positions, clamped at the borders, and the second's weight."""
    at = ((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5).astype(np.float32)
    first = np.floor(at)
    weight = np.rint((at - first) * np.float32(2048)).astype(np.int32)
    position = first.astype(np.intp)
    return position.clip(0, n_in - 1), (position + 1).clip(0, n_in - 1), weight


def eval_resize_short(image_size: int) -> int:
    """Pixels of the short side before the centre crop, as published: 256 for 224, 128 for 112."""
    return int(int(image_size / 0.875 / 16 + 0.5) * 16)


class Operation(NamedTuple):
    """`apply(image, magnitude)`; the sign of a signed operation's magnitude is drawn."""

    apply: Callable[[Image.Image, float], Image.Image]
    magnitudes: tuple[float, ...] = (0.0,) * 10  # by the policy's index 0 to 9
    signed: bool = False


def _range(first: float, last: float) -> tuple[float, ...]:
    return tuple(np.linspace(first, last, 10).tolist())


def _shear_x(image: Image.Image, slope: float) -> Image.Image:
    matrix = (1, slope, 0, 0, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=GREY)


def _enhancement(kind: Callable[[Image.Image], Any]) -> Operation:
    return Operation(lambda image, offset: kind(image).enhance(1 + offset), _range(0.0, 0.9), signed=True)


OPERATIONS = {
    "shear_x": Operation(_shear_x, _range(0.0, 0.3), signed=True),
    "rotate": Operation(lambda image, degrees: image.rotate(degrees, fillcolor=GREY), _range(0, 30)),
    "color": _enhancement(ImageEnhance.Color),
    "contrast": _enhancement(ImageEnhance.Contrast),
    "sharpness": _enhancement(ImageEnhance.Sharpness),
    "posterize": Operation(lambda image, bits: ImageOps.posterize(image, int(bits)), tuple(map(round, _range(8, 4)))),
    "solarize": Operation(lambda image, threshold: ImageOps.solarize(image, math.ceil(threshold)), _range(256, 0)),
    "autocontrast": Operation(lambda image, _: ImageOps.autocontrast(image)),
    "equalize": Operation(lambda image, _: ImageOps.equalize(image)),
    "invert": Operation(lambda image, _: ImageOps.invert(image)),
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


def auto_augment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Apply one row of POLICY, drawn uniformly, to an RGB image."""
    for probability, name, index in POLICY[int(rng.integers(len(POLICY)))]:
        if rng.random() < probability:
            operation = OPERATIONS[name]
            magnitude = operation.magnitudes[index]
            if operation.signed and rng.random() < 0.5:
                magnitude = -magnitude
            image = operation.apply(image, magnitude)
    return image


def train_image(
    image: Image.Image, rng: np.random.Generator, size: int, crop_min: float, autoaugment: bool
) -> np.ndarray:
    """Random resized crop, flip and AutoAugment of an RGB image -> (size, size, 3) uint8."""
    box = crop_box(*image.size, rng, crop_min)
    cropped = image.crop((box.left, box.top, box.left + box.width, box.top + box.height))
    pixels = resize_bilinear(np.asarray(cropped), size)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return np.asarray(auto_augment(Image.fromarray(pixels), rng)) if autoaugment else pixels

"""Decode an image file to RGB pixels, or say why it cannot be read.

The pixels are those of MindSpore's decoder, bit for bit: both use libjpeg-turbo. The EXIF orientation is ignored, as
there. Decoding releases the interpreter lock and needs no MindSpore.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from hlg.files import read_plain

# MindSpore's decoder reads these too; Pillow would also open GIF and WebP, which MindSpore doesn't know.
FORMATS = ("JPEG", "PNG", "BMP")

MOST_PIXELS = 90_000_000  # of an image, for which a worker takes 1 GB; ImageNet's largest has half of that
LARGEST = 512 << 20  # bytes of a file; as many pixels have less even where they are not compressed

# Some ImageNet photographs hold broken EXIF. It says nothing about their pixels.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MOST_PIXELS is the bound here


class UnreadableImageError(Exception):
    """The file cannot be read or is no whole 8-bit JPEG, PNG or BMP image; the message says why."""


def open_rgb(source: str | Path | bytes) -> np.ndarray:
    """Decode a file, or a file's bytes -> (h, w, 3) uint8, RGB.

    The content decides, not the name: a PNG named .JPEG loads. Gray, palette and CMYK images become RGB;
    transparency and EXIF orientation are ignored.

    Raises:
        UnreadableImageError: it is no such image, truncated, or has more than MOST_PIXELS.
    """
    try:
        data = source if isinstance(source, bytes) else read_plain(source, LARGEST)
    except OSError as error:
        raise UnreadableImageError(error.strerror or str(error)) from error
    pixels = _plain_jpeg(data)
    return _any_image(data) if pixels is None else pixels


def _plain_jpeg(data: bytes) -> np.ndarray | None:
    """The pixels of a flawless color JPEG, as nearly all of ImageNet are; None for everything else.

    It is Pillow's decoder without Pillow, which copies every pixel twice on its way into an array. It gives up at the
    least warning, so that Pillow alone decides what is readable.
    """
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if colors == "YCbCr" and height * width <= MOST_PIXELS:
            return simplejpeg.decode_jpeg(data)
    except ValueError:
        pass
    return None


def _any_image(data: bytes) -> np.ndarray:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise UnreadableImageError(f"{image.width} x {image.height} pixels, of which {MOST_PIXELS:,} are allowed")
        image.info.pop("transparency", None)  # or Pillow warns of it at the conversion
        image.load()
        pixels = np.asarray(image.convert("RGB"))
    except (MemoryError, UnreadableImageError):
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError("no JPEG, PNG or BMP image") from error
    except Exception as error:  # Pillow's decoders raise whatever a broken header makes them stumble over
        raise UnreadableImageError(getattr(error, "strerror", None) or str(error) or repr(error)) from error
    if image.mode.startswith(("I", "F")):
        raise UnreadableImageError(f"more than 8 bits a channel (mode {image.mode})")
    return pixels

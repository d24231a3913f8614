"""Make the images that ``make fingerprint`` decodes, crops and resizes, and what should come out, without hlg's code.

    .venv/bin/python -m tests.support.reference.images

writes the JPEGs of ``hlg/fingerprint/reference``, drawn by formula, and ``images.npz``. Pixels come from Pillow's
decoder; resizing is computed in float64 by its definition and rounded to gray levels; the boxes of random crops follow
the docstring of :mod:`hlg.data.augment`, with NumPy's generators.
"""

import io
import math

import numpy as np
from PIL import Image

from tests.support.reference import FOLDER, Sketches

SIZE, SHORT = 224, 256
CROP_MIN = 0.05
SEED, EPOCH = 1, 0


def draw(width: int, height: int, seed: int) -> np.ndarray:
    """Draw soft colors, a disc, and stripes too fine for a smaller picture: uint8 (height, width, 3)."""
    x, y = np.arange(width)[None, :] / width, np.arange(height)[:, None] / height
    phase = np.random.default_rng(seed).random(6) * 2 * np.pi
    channels = [110 + 60 * np.sin(3 * x + 2 * y + phase[c]) + 30 * np.cos(9 * y * x + phase[c + 3]) for c in range(3)]
    disc = (x - 0.55) ** 2 + (y - 0.45) ** 2 < 0.05
    stripes = 40 * np.sign(np.sin(np.pi * width * x / 2)) * (y > 0.75)
    picture = np.stack([np.where(disc, 235 - 60 * c, channel) + stripes for c, channel in enumerate(channels)], -1)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def encode(pixels: np.ndarray, mode: str, subsampling: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", quality=70, subsampling=subsampling)
    return file.getvalue()


def resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear without antialiasing: each pixel blends the four whose centers surround its own; float64."""

    def places(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        center = (np.arange(new) + 0.5) * old / new - 0.5
        low = np.floor(center).astype(int)
        return np.clip(low, 0, old - 1), np.clip(low + 1, 0, old - 1), center - low

    top, bottom, v = places(pixels.shape[0], height)
    left, right, u = places(pixels.shape[1], width)
    v, u = v[:, None, None], u[None, :, None]
    p = pixels.astype(np.float64)
    above = p[top][:, left] * (1 - u) + p[top][:, right] * u
    below = p[bottom][:, left] * (1 - u) + p[bottom][:, right] * u
    return np.rint(above * (1 - v) + below * v)


def training_crop(pixels: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The box (left, top, width, height) of image ``index`` in epoch 0 of seed 1, and the crop."""

    def rounded(value: float) -> int:
        return math.floor(value + 0.5)

    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([SEED, 1, EPOCH, index])))
    height, width, _ = pixels.shape
    for _ in range(10):
        area = height * width * rng.uniform(CROP_MIN, 1)
        ratio = math.exp(rng.uniform(math.log(0.75), math.log(1.333)))
        w = rounded(math.sqrt(area * ratio))
        h = rounded(w / ratio)
        if w <= width and h <= height:
            left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            break
    else:
        raise ValueError("no box fits: choose another image")
    out = resize(pixels[top : top + h, left : left + w], SIZE, SIZE)
    return np.array([left, top, w, h]), out[:, ::-1] if rng.random() < 0.5 else out


def evaluation_crop(pixels: np.ndarray) -> np.ndarray:
    height, width, _ = pixels.shape
    w, h = (SHORT, height * SHORT // width) if width < height else (width * SHORT // height, SHORT)
    left, top = (w - SIZE) // 2, (h - SIZE) // 2
    return resize(pixels, w, h)[top : top + SIZE, left : left + SIZE]


IMAGES = {
    "colour.jpg": lambda: encode(draw(403, 301, 1), "RGB", "4:2:0"),
    "grey.jpg": lambda: encode(draw(320, 400, 2), "L", "4:2:0"),
    "portrait.jpg": lambda: encode(draw(280, 500, 3), "RGB", "4:4:4"),
}


def reference(files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """What decoding, cropping and resizing make of these images, by key."""
    kept: dict[str, np.ndarray] = {}
    for index, (name, data) in enumerate(files.items()):
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        box, training = training_crop(pixels, index)
        kept |= {f"decoded/{name}": pixels, f"crop/{name}": box}
        kept |= {f"resized/training/{name}": training, f"resized/evaluation/{name}": evaluation_crop(pixels)}
    return kept


def main() -> None:
    files = {name: make() for name, make in IMAGES.items()}
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)
    sketches = Sketches()
    for key, array in reference(files).items():
        # An error is relative to white, or for a box to its own numbers.
        sketches.keep(f"input/{key}", array, 255 * array.size**0.5 if array.ndim == 3 else None)
    sketches.write(FOLDER / "images.npz", "hlg:")


if __name__ == "__main__":
    main()

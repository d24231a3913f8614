"""Pictures that behave like photographs."""

import io

import numpy as np
from PIL import Image


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Draw smooth colors with edges and grain, which resizing and JPEG treat as they treat a photograph."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize((width, height))
    edges = Image.fromarray(rng.integers(0, 90, (24, 24, 3), np.uint8)).resize((width, height), 0)
    grain = rng.integers(-12, 13, (height, width, 3))
    pixels = np.asarray(coarse) * 0.7 + np.asarray(edges) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    """The image as a file of this format would hold it."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()

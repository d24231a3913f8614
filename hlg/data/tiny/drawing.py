"""Draw images of classes that differ by shape and texture, never by color.

An image shows a figure of its class, an outline filled with a texture, on a blurred ground with distractors. Colors,
place, size, rotation, stretch, light, contrast, blur and noise have the same distribution in every class, so that a
model has to learn form.

The same seed gives the same bytes whatever vector instructions the processor has: pixels come from
+, -, *, /, square root and rounding, which IEEE 754 fixes to the last bit, and from Pillow's integer code.
"""

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# How hard the task is. Lengths are in units of a figure's radius unless said otherwise.
RADIUS = (0.6, 0.75)  # of the image's shorter side
SHIFT = 0.14  # of the image's width and height, either way
TURN = 0.04  # of a full circle, either way: the outline's, and the texture's within it; upright stripes stay upright
STRETCH = (0.8, 1.25)  # of the figure's own height
PERIOD = (0.09, 0.12)  # of the texture, of the image's shorter side: alike for large and small figures
RIM = 0.07  # width of the plain contour that sets a figure off its ground
GAP = 0.6  # least difference in brightness (0 to 1) of a texture's two colors
GROUND = (60, 140)  # range of each color channel, of 255
DISTRACTORS = (0, 3)  # lines and blobs on the ground
LIGHT = (0.8, 1.1)  # brightness factor at each corner
CONTRAST = (0.8, 1.0)
BLUR = (0.5, 2.0)  # pixels
NOISE = (0.0, 0.03)  # amplitude, of full brightness

# (width, height): share. ImageNet's common sizes; the median is 500 x 375.
SIZES = {
    (500, 375): 0.42,
    (375, 500): 0.12,
    (500, 333): 0.14,
    (333, 500): 0.05,
    (500, 400): 0.05,
    (640, 480): 0.08,
    (400, 300): 0.06,
    (500, 500): 0.03,
    (320, 240): 0.03,
    (600, 450): 0.02,
}
QUALITY = (85, 95)  # of a JPEG
FULL_CHROMA = 0.1  # share of JPEGs without chroma subsampling

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]  # one float32 (h, w) for the coordinates x, y (h, w)


# Outlines: x, y (h, w) in units of the radius -> about the distance to the edge, negative inside.
# All cover about the same area, so that coverage does not tell the class.


def _length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)


def _along(x: np.ndarray, y: np.ndarray, turn: float) -> np.ndarray:
    """The coordinate along a direction, `turn` of a full circle from x."""
    return x * math.cos(2 * math.pi * turn) + y * math.sin(2 * math.pi * turn)


def _polygon(x: np.ndarray, y: np.ndarray, sides: int) -> np.ndarray:
    return np.maximum.reduce([_along(x, y, k / sides) for k in range(sides)])


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _length(x, y) - 0.84


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _polygon(x, y, 4) - 0.74


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _polygon(x, y, 3) - 0.62


def _hexagon(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _polygon(x, y, 6) - 0.8


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = abs(x), abs(y)
    return np.minimum(np.maximum(x - 0.95, y - 0.36), np.maximum(x - 0.36, y - 0.95))


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A pentagram lies inside at least four of its five lines: the second largest distance decides."""
    first = second = np.full_like(x, -np.inf)
    for k in range(5):
        line = _along(x, y, k / 5)
        second = np.maximum(second, np.minimum(first, line))
        first = np.maximum(first, line)
    return second - 0.42


def _annulus(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return abs(_length(x, y) - 0.66) - 0.29


def _crescent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(_length(x, y) - 1.0, 0.55 - _length(x - 0.55, y))


def _flower(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    petals = [(_along(x, y, k / 5) - 0.55, _along(x, y, k / 5 + 0.25)) for k in range(5)]
    return np.minimum.reduce([_length(a, b) for a, b in petals]) - 0.38


def _half_disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(_length(x, y + 0.45) - 1.1, -0.45 - y)


# Textures: x, y (h, w) in periods -> about the distance to the edge, positive in the first of two colors.


def _fold(x: np.ndarray) -> np.ndarray:
    """Distance to the nearest whole number, 0 to 0.5."""
    return abs(x - np.rint(x))


def _plain(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.full_like(x, np.inf)


def _stripes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.25 - _fold(x)


def _bands(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.25 - _fold(y)


def _checks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, b = 0.25 - _fold(x), 0.25 - _fold(y)
    return np.copysign(np.minimum(abs(a), abs(b)), a * b)


def _dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.3 - _length(_fold(x), _fold(y))


def _lattice(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.14 - np.minimum(_fold(0.7 * (x + y)), _fold(0.7 * (x - y)))


def _zigzag(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.7 * (0.25 - _fold(x + 2 * _fold(0.6 * y)))


def _rings(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.25 - _fold(_length(x, y))


def _spokes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    lines = [_along(x, y, k / 12) for k in range(6)]
    side = np.multiply.reduce([np.sign(line) for line in lines])
    return np.copysign(np.minimum.reduce([abs(line) for line in lines]), side)


def _crosses(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = _fold(x), _fold(y)
    return np.maximum(np.minimum(0.36 - x, 0.12 - y), np.minimum(0.12 - x, 0.36 - y))


# A class's label is its place here. Outline and texture each tell the class, so a crop that shows one is enough.
CLASSES: tuple[tuple[str, Field, Field], ...] = (
    ("striped disc", _disc, _stripes),
    ("checkered square", _square, _checks),
    ("dotted triangle", _triangle, _dots),
    ("ringed hexagon", _hexagon, _rings),
    ("zigzag cross", _cross, _zigzag),
    ("plain star", _star, _plain),
    ("spoked annulus", _annulus, _spokes),
    ("latticed crescent", _crescent, _lattice),
    ("banded flower", _flower, _bands),
    ("crossed half-disc", _half_disc, _crosses),
)
CENTERED = (_rings, _spokes)  # textures that start at the figure's center


def draw_image(label: int, rng: np.random.Generator) -> Image.Image:
    """Draw one RGB image of the class."""
    width, height = list(SIZES)[rng.choice(len(SIZES), p=list(SIZES.values()))]
    canvas = _ground(width, height, rng)
    x = (0.5 + rng.uniform(-SHIFT, SHIFT)) * width
    y = (0.5 + rng.uniform(-SHIFT, SHIFT)) * height
    _figure(canvas, label, x, y, rng.uniform(*RADIUS) * min(width, height), rng)
    return _photograph(canvas, rng)


def _ground(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the ground, (3, H, W) float32, 0 to 1: color gradients, lines and blobs, enlarged and so out of focus."""
    small = (width // 4, height // 4)
    colors = rng.integers(*GROUND, (3, 4, 3), dtype=np.uint8, endpoint=True)
    ground = Image.fromarray(colors).resize(small, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(ground)
    for _ in range(rng.integers(*DISTRACTORS, endpoint=True)):
        color = tuple(rng.integers(0, 256, 3).tolist())
        x, y = (rng.random(2) * small).tolist()
        dx, dy = (rng.uniform(-0.4, 0.4, 2) * max(small)).tolist()
        if rng.random() < 0.5:
            pen.line((x, y, x + dx, y + dy), fill=color, width=int(rng.integers(1, 8)))
        else:
            pen.ellipse((x, y, x + abs(dx) / 2, y + abs(dy) / 2), fill=color)
    return _planes(ground.resize((width, height), Image.Resampling.BICUBIC))


def _figure(canvas: np.ndarray, label: int, x0: float, y0: float, radius: float, rng: np.random.Generator) -> None:
    """Paint a figure of the class into the canvas (3, H, W); center and radius in pixels."""
    _, outline, texture = CLASSES[label]
    _, height, width = canvas.shape
    turn, stretch = rng.uniform(-TURN, TURN), rng.uniform(*STRETCH)
    reach = 1.4 * radius * max(1, stretch)  # beyond the farthest corner of any outline
    left, right = max(0, int(x0 - reach)), min(width, int(x0 + reach) + 1)
    top, bottom = max(0, int(y0 - reach)), min(height, int(y0 + reach) + 1)
    dx = ((np.arange(left, right) - x0) / radius).astype(np.float32)[None, :]
    dy = ((np.arange(top, bottom) - y0) / radius).astype(np.float32)[:, None]
    x, y = _along(dx, dy, turn), _along(dx, dy, turn + 0.25) / stretch

    edge = outline(x, y)
    period = rng.uniform(*PERIOD) * min(width, height) / radius
    phase, texture_turn = rng.random(), rng.uniform(-TURN, TURN)
    u, v = x / period, y / period
    if texture not in CENTERED:
        u, v = _along(u, v, texture_turn) + phase, _along(u, v, texture_turn + 0.25) + phase
    pattern = np.minimum(texture(u, v) * period, -edge - RIM)

    mask = np.clip(0.5 - edge * radius, 0, 1)  # distances in pixels: every edge is one pixel wide
    mix = np.clip(0.5 + pattern * radius, 0, 1)
    for plane, first, second in zip(canvas[:, top:bottom, left:right], *_colors(rng), strict=True):
        plane += mask * (second + (first - second) * mix - plane)


def _colors(rng: np.random.Generator) -> list[list[float]]:
    """Draw two RGB colors, 0 to 1: of a texture's marks and, darker by about GAP or more, of what is between them.

    Every class has light marks on dark: a random sign would not tell the class either, but a transformer takes several
    times as long to learn to ignore it.
    """
    dark = rng.uniform(0, 1 - GAP)
    bright = rng.uniform(dark + GAP, 1)
    hues = rng.uniform(-0.4, 0.4, (2, 3))
    hues -= hues.mean(axis=1, keepdims=True)
    return np.clip(np.array([[bright], [dark]]) + hues, 0, 1).tolist()


def _photograph(canvas: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Take (3, H, W) through uneven light, contrast, blur and noise."""
    _, height, width = canvas.shape
    corners = Image.fromarray(rng.integers(0, 256, (2, 2), dtype=np.uint8))
    light = np.asarray(corners.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    contrast = rng.uniform(*CONTRAST)
    canvas = canvas * ((LIGHT[0] + (LIGHT[1] - LIGHT[0]) * light) * contrast) + rng.random() * (1 - contrast)
    blurred = _image(canvas).filter(ImageFilter.BoxBlur(rng.uniform(*BLUR)))
    noise = np.frombuffer(rng.bytes(canvas.size), np.uint8).reshape(canvas.shape).astype(np.float32)
    return _image(_planes(blurred) + (noise - 127.5) * (rng.uniform(*NOISE) / 127.5))


def _planes(image: Image.Image) -> np.ndarray:
    """Convert to (3, H, W) float32, 0 to 1."""
    return np.stack([np.asarray(band, np.float32) for band in image.split()]) / 255


def _image(planes: np.ndarray) -> Image.Image:
    levels = (np.clip(planes, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(plane) for plane in levels])


def encode_image(image: Image.Image, rng: np.random.Generator, form: str) -> bytes:
    """Encode an image as a file; `form` is JPEG, CMYK (a JPEG too) or PNG."""
    file = io.BytesIO()
    if form == "PNG":
        image.save(file, "PNG")
    else:
        subsampling = "4:4:4" if rng.random() < FULL_CHROMA else "4:2:0"
        quality = int(rng.integers(*QUALITY, endpoint=True))
        image = image.convert("CMYK") if form == "CMYK" else image
        image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()

"""One training image against MindSpore's C++ operators and against each operation's definition."""

import hashlib
import math
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import mindspore.dataset.vision as vision
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from hlg.data import augment
from hlg.data.augment import (
    OPERATIONS,
    POLICY,
    RATIO,
    Box,
    auto_augment,
    crop_box,
    eval_image,
    eval_resize_short,
    resize_bilinear,
    train_image,
)
from hlg.data.decode import UnreadableImageError, open_rgb
from tests.support.photos import encoded, photo
from tests.support.processes import run_command

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # collecting undoes the module's own filter


def with_broken_exif(jpeg: bytes) -> bytes:
    """Insert an EXIF block whose directory points past its end."""
    body = b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 24
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[20:]


def turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees to view
    return encoded(image, exif=exif)


PHOTO = photo(500, 375)
PIXELS = np.asarray(PHOTO)
READABLE = {
    "jpeg": encoded(PHOTO, quality=92),
    "subsampled jpeg": encoded(PHOTO, quality=70, subsampling=2),
    "progressive jpeg": encoded(PHOTO, progressive=True),
    "cmyk jpeg": encoded(PHOTO.convert("CMYK")),
    "grey jpeg": encoded(PHOTO.convert("L")),
    "broken exif": with_broken_exif(encoded(PHOTO)),
    "orientation in exif": turned(PHOTO),
    "trailing bytes": encoded(PHOTO) + bytes(100),
    "png": encoded(PHOTO, "PNG"),
    "png with alpha": encoded(PHOTO.convert("RGBA"), "PNG"),
    "palette png": encoded(PHOTO.convert("P"), "PNG"),
    "palette png with transparency": encoded(PHOTO.convert("P"), "PNG", transparency=bytes(range(256))),
    "bilevel png": encoded(PHOTO.convert("1"), "PNG"),
    "bmp": encoded(PHOTO, "BMP"),
    "one pixel wide": encoded(PHOTO.crop((0, 0, 1, 375))),
    "one pixel high": encoded(PHOTO.crop((0, 0, 500, 1))),
}
WHOLE = READABLE["jpeg"]
UNREADABLE = {
    "empty": b"",
    "text": b"<html>404 Not Found</html>",
    "header only": WHOLE[:400],
    "half a jpeg": WHOLE[: len(WHOLE) // 2],
    "jpeg without its last 30 bytes": WHOLE[:-30],
    "half a progressive jpeg": READABLE["progressive jpeg"][: len(READABLE["progressive jpeg"]) // 2],
    "half a png": READABLE["png"][: len(READABLE["png"]) // 2],
    "gif": encoded(PHOTO, "GIF"),
    "16-bit png": encoded(Image.fromarray(np.asarray(PHOTO.convert("L")) * np.uint16(257)), "PNG"),
}


# Decoding


@pytest.mark.parametrize("kind", READABLE)
def test_decoded_pixels_are_those_of_mindspores_decoder(kind: str) -> None:
    theirs = vision.Decode()(np.frombuffer(READABLE[kind], np.uint8))
    np.testing.assert_array_equal(open_rgb(READABLE[kind]), theirs)


@pytest.mark.parametrize("kind", READABLE)
def test_oddities_load_as_rgb(kind: str) -> None:
    pixels = open_rgb(READABLE[kind])
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)


def test_oddities_load_in_silence(tmp_path: Path) -> None:
    for i, data in enumerate(READABLE.values()):
        (tmp_path / f"{i}.JPEG").write_bytes(data)
    script = "import sys; from hlg.data.decode import open_rgb; [open_rgb(file) for file in sys.argv[1:]]"
    result = run_command(sys.executable, "-W", "always", "-c", script, *tmp_path.iterdir())
    assert result.returncode == 0
    assert result.stderr == ""


def test_orientation_in_exif_is_ignored_as_in_the_published_run() -> None:
    assert open_rgb(READABLE["orientation in exif"]).shape == (375, 500, 3)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_whole_8_bit_image_is_unreadable(kind: str) -> None:
    with pytest.raises(UnreadableImageError):
        open_rgb(UNREADABLE[kind])


def test_a_file_opens_by_its_content_and_a_missing_one_says_so(tmp_path: Path) -> None:
    file = tmp_path / "n01440764_1.JPEG"
    file.write_bytes(READABLE["png"])
    np.testing.assert_array_equal(open_rgb(file), PIXELS)
    file.unlink()
    with pytest.raises(UnreadableImageError, match="No such file"):
        open_rgb(file)


# The crop

sides = st.integers(1, 3000)
seeds = st.integers(0, 2**32 - 1)
bytes_ = st.integers(0, 255)


def centre_box(width: int, height: int) -> Box:
    """The fallback, by definition: the whole image, its longer side cut down to RATIO."""
    w, h = width, height
    if width < RATIO[0] * height:
        h = max(1, math.floor(width / RATIO[0] + 0.5))
    if width > RATIO[1] * height:
        w = max(1, math.floor(height * RATIO[1] + 0.5))
    return Box(math.floor((width - w) / 2 + 0.5), math.floor((height - h) / 2 + 0.5), w, h)


@settings(deadline=None)
@given(width=sides, height=sides, seed=seeds, crop_min=st.floats(0.01, 1.0))
def test_a_crop_lies_inside_and_has_the_area_and_ratio_drawn(
    width: int, height: int, seed: int, crop_min: float
) -> None:
    box = crop_box(width, height, np.random.default_rng(seed), crop_min)
    left, top, w, h = box
    assert 0 <= left < left + w <= width
    assert 0 <= top < top + h <= height
    if box != centre_box(width, height):
        rounding = h + w / 2 + 2  # width and height are each rounded by half a pixel at most
        assert w * h >= crop_min * width * height - rounding
        assert w / (h + 0.5) <= RATIO[1]
        assert w / max(h - 0.5, 0.5) >= RATIO[0]


@settings(deadline=None)
@given(height=st.integers(10, 3000), seed=seeds)
def test_an_image_too_narrow_for_any_ratio_falls_back_to_its_centre(height: int, seed: int) -> None:
    width = max(1, height // 10)
    # a full-size area fits at none of the ten tries
    assert crop_box(width, height, np.random.default_rng(seed), 1.0) == centre_box(width, height)
    assert crop_box(height, width, np.random.default_rng(seed), 1.0) == centre_box(height, width)


def test_aspect_ratios_are_uniform_in_their_logarithm() -> None:
    rng = np.random.default_rng(0)
    boxes = [crop_box(2000, 2000, rng, 0.05) for _ in range(10000)]
    # all boxes up to half the image's area fit: none of these was kept for its ratio
    logs = [math.log(box.width / box.height) for box in boxes if box.width * box.height < 0.5 * 2000**2]
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for quantile in (0.25, 0.5, 0.75):  # a ratio uniform in itself would have its median at 0.04
        assert np.quantile(logs, quantile) == pytest.approx(low + quantile * (high - low), abs=0.02)


def test_areas_are_uniform_from_crop_min() -> None:
    rng = np.random.default_rng(0)
    areas = np.array([w * h for _, _, w, h in (crop_box(2000, 2000, rng, 0.05) for _ in range(3000))]) / 2000**2
    assert areas.min() == pytest.approx(0.05, abs=0.005)
    assert np.median(areas[areas < 0.5]) == pytest.approx((0.05 + 0.5) / 2, abs=0.02)


@pytest.mark.parametrize(
    ("seed", "box"),
    [(1, Box(2, 1, 129, 164)), (2, Box(63, 35, 395, 330)), (3, Box(219, 48, 119, 147))],
)
def test_a_seed_keeps_its_box(seed: int, box: Box) -> None:
    assert crop_box(500, 375, np.random.Generator(np.random.Philox(seed)), 0.05) == box


# Resizing


def mindspore_crop_resize(jpeg: bytes, box: Box, size: int) -> np.ndarray:
    pixels = vision.Decode()(np.frombuffer(jpeg, np.uint8))
    pixels = vision.Crop((box.top, box.left), (box.height, box.width))(pixels)
    return vision.Resize((size, size), vision.Inter.BILINEAR)(pixels)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, kind=st.sampled_from(["jpeg", "subsampled jpeg", "cmyk jpeg", "grey jpeg"]))
def test_a_resized_crop_is_that_of_the_cpp_operators(seed: int, kind: str) -> None:
    box = crop_box(500, 375, np.random.default_rng(seed), 0.01)
    region = open_rgb(READABLE[kind])[box.top : box.top + box.height, box.left : box.left + box.width]
    ours = resize_bilinear(region, 224, 224).astype(int)
    theirs = mindspore_crop_resize(READABLE[kind], box, 224)
    assert np.abs(ours - theirs).max() <= (0 if platform.machine() == "x86_64" else 1)


@pytest.mark.parametrize("kind", ["jpeg", "subsampled jpeg", "grey jpeg"])
def test_the_published_fused_operator_differs_in_the_last_column_at_most(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decodes the crop alone, and so lacks the colour of the pixels to the right of it."""
    # a full-size square never fits: the operator, too, takes its fallback, the centre
    fused = vision.RandomCropDecodeResize(224, (1.0, 1.0), (1.0, 1.0), vision.Inter.BILINEAR)
    monkeypatch.setattr(augment, "RATIO", (1.0, 1.0))
    theirs = fused(np.frombuffer(READABLE[kind], np.uint8))
    box = crop_box(500, 375, np.random.default_rng(0), 1.0)
    assert box == (63, 0, 375, 375)
    ours = resize_bilinear(open_rgb(READABLE[kind])[:, 63:438], 224, 224).astype(int)
    last = 224 if kind == "grey jpeg" else 223
    assert np.abs(ours - theirs)[:, :last].max() <= (0 if platform.machine() == "x86_64" else 1)


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 600), height=st.integers(1, 600), size=st.sampled_from([7, 112, 224]))
def test_resizing_any_shape_agrees_with_the_cpp_operator(width: int, height: int, size: int) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    theirs = vision.Resize((size, size), vision.Inter.BILINEAR)(pixels)
    difference = resize_bilinear(pixels, size, size).astype(int) - theirs
    assert np.abs(difference).max() <= (0 if platform.machine() == "x86_64" else 1)


def test_shrinking_takes_two_neighbours_and_does_not_average() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::4] = 255  # an antialiased quarter of the size would be an even grey of 64
    assert resize_bilinear(stripes, 16, 16).max() == 0


@pytest.mark.parametrize(("image_size", "short"), [(224, 256), (112, 128)])
def test_evaluation_resizes_the_short_side_to_eight_sevenths(image_size: int, short: int) -> None:
    assert eval_resize_short(image_size) == short


@settings(max_examples=100, deadline=None)
@given(width=st.integers(1, 700), height=st.integers(1, 700), size=st.sampled_from([32, 112, 224]))
def test_an_evaluation_image_is_that_of_the_cpp_operators(width: int, height: int, size: int) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    resized = vision.Resize(eval_resize_short(size), vision.Inter.BILINEAR)(pixels)
    theirs = vision.CenterCrop(size)(resized)
    difference = eval_image(pixels, size).astype(int) - theirs
    assert np.abs(difference).max() <= (0 if platform.machine() == "x86_64" else 1)


# AutoAugment: each operation against its definition on an (H, W, 3) array


def equalized(channel: np.ndarray) -> np.ndarray:
    """Pillow's integer form of histogram equalisation."""
    counts = np.bincount(channel.ravel(), minlength=256)
    filled = counts[counts > 0]
    step = (counts.sum() - filled[-1]) // 255 if len(filled) > 1 else 0
    if step == 0:
        return channel
    table = (step // 2 + np.cumsum(counts) - counts) // step
    return table.clip(0, 255).astype(np.uint8)[channel]


def stretched(channel: np.ndarray) -> np.ndarray:
    low, high = int(channel.min()), int(channel.max())
    return np.floor((channel.astype(float) - low) * 255 / (high - low) + 1e-6)


def luma(x: np.ndarray) -> np.ndarray:
    return np.round(x @ np.array([0.299, 0.587, 0.114]))


def smoothed(x: np.ndarray) -> np.ndarray:
    """A 3 x 3 mean in which the centre counts five times; the border stays."""
    rows, columns = x.shape[:2]
    total = 4.0 * x[1:-1, 1:-1]
    for dy in range(3):
        for dx in range(3):
            total += x[dy : rows - 2 + dy, dx : columns - 2 + dx]
    result = x.astype(float)
    result[1:-1, 1:-1] = np.round(total / 13)
    return result


def per_channel(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda x, _: np.stack([function(x[..., c]) for c in range(3)], axis=-1)


def away_from(degenerate: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda x, offset: (degenerate(x) + (1 + offset) * (x - degenerate(x))).clip(0, 255)


DEFINITIONS: dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], int]] = {  # and the largest difference
    "posterize": (lambda x, bits: x & (0xFF00 >> int(bits) & 0xFF), 0),
    "solarize": (lambda x, threshold: np.where(x < threshold, x, 255 - x), 0),
    "invert": (lambda x, _: 255 - x, 0),
    "autocontrast": (per_channel(stretched), 0),
    "equalize": (per_channel(equalized), 0),
    "color": (away_from(lambda x: luma(x)[..., None]), 2),
    "contrast": (away_from(lambda x: np.floor(luma(x).mean() + 0.5)), 1),
    "sharpness": (away_from(smoothed), 2),
}


@pytest.mark.parametrize("index", [0, 4, 9])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_pixel_operation_does_what_it_is_defined_to_do(name: str, index: int) -> None:
    pixels = np.asarray(photo(120, 90, seed=3))
    define, tolerance = DEFINITIONS[name]
    operation = OPERATIONS[name]
    magnitude = operation.magnitudes[index]
    for signed in (magnitude, -magnitude) if operation.signed else (magnitude,):
        ours = operation.apply(pixels, signed).astype(float)
        assert np.abs(ours - define(pixels, signed)).max() <= tolerance


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    "solarize": lambda image, threshold: ImageOps.solarize(image, math.ceil(threshold)),
    "invert": lambda image, _: ImageOps.invert(image),
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
}


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(sorted(PILLOW)), index=st.integers(0, 9), seed=seeds, low=bytes_, high=bytes_, size=sides)
def test_what_is_done_to_arrays_is_what_pillow_does(
    name: str, index: int, seed: int, low: int, high: int, size: int
) -> None:
    shape = (1 + size // 100, 1 + size % 100, 3)
    pixels = np.random.default_rng(seed).integers(min(low, high), max(low, high), shape, np.uint8, endpoint=True)
    before = pixels.copy()
    magnitude = OPERATIONS[name].magnitudes[index]
    published = np.asarray(PILLOW[name](Image.fromarray(pixels), magnitude))
    np.testing.assert_array_equal(OPERATIONS[name].apply(pixels, magnitude), published)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("degrees", OPERATIONS["rotate"].magnitudes)
def test_rotation_equals_the_published_composition_through_rgba(degrees: float) -> None:
    image = photo(120, 90)
    turned = image.convert("RGBA").rotate(degrees)
    grey = Image.new("RGBA", turned.size, (128,) * 4)
    published = Image.composite(turned, grey, turned).convert("RGB")
    np.testing.assert_array_equal(OPERATIONS["rotate"].apply(np.asarray(image), degrees), np.asarray(published))


@pytest.mark.parametrize("slope", [0.1, -0.1, 0.3])
def test_shear_is_bicubic_along_rows_and_fills_with_grey(slope: float) -> None:
    image = np.asarray(photo(120, 90))
    pixels = image.astype(float)
    x, y = np.meshgrid(np.arange(120), np.arange(90))
    source = x + slope * (y + 0.5)
    first = np.floor(source).astype(int)
    d = (source - first)[..., None]
    weights = [  # Pillow's cubic has a = -1, where resizing commonly has -1/2
        -d + 2 * d**2 - d**3,
        1 - 2 * d**2 + d**3,
        d + d**2 - d**3,
        -(d**2) + d**3,
    ]
    taps = [pixels[y, (first + tap).clip(0, 119)] for tap in (-1, 0, 1, 2)]
    blended = sum(weight * tap for weight, tap in zip(weights, taps, strict=True)).clip(0, 255)
    outside = (source < -0.5) | (source >= 119.5)
    expected = np.where(outside[..., None], 128, blended)
    assert outside.any()
    assert np.abs(OPERATIONS["shear_x"].apply(image, slope) - expected).max() <= 1


PUBLISHED_POLICY = """
0.4 posterize 8   0.6 rotate 9
0.6 solarize 5    0.6 autocontrast 5
0.8 equalize 8    0.6 equalize 3
0.6 posterize 7   0.6 posterize 6
0.4 equalize 7    0.2 solarize 4
0.4 equalize 4    0.8 rotate 8
0.6 solarize 3    0.6 equalize 7
0.8 posterize 5   1.0 equalize 2
0.2 rotate 3      0.6 solarize 8
0.6 equalize 8    0.4 posterize 6
0.8 rotate 8      0.4 color 0
0.4 rotate 9      0.6 equalize 2
0.0 equalize 7    0.8 equalize 8
0.6 invert 4      1.0 equalize 8
0.6 color 4       1.0 contrast 8
0.8 rotate 8      1.0 color 2
0.8 color 8       0.8 solarize 7
0.4 sharpness 7   0.6 invert 8
0.6 shear_x 5     1.0 equalize 9
0.4 color 0       0.6 equalize 3
0.4 equalize 7    0.2 solarize 4
0.6 solarize 5    0.6 autocontrast 5
0.6 invert 4      1.0 equalize 8
0.6 color 4       1.0 contrast 8
0.8 equalize 8    0.6 equalize 3
"""
PUBLISHED_MAGNITUDES = {
    "shear_x": [0.3 * i / 9 for i in range(10)],
    "rotate": [30 * i / 9 for i in range(10)],
    "color": [0.9 * i / 9 for i in range(10)],
    "contrast": [0.9 * i / 9 for i in range(10)],
    "sharpness": [0.9 * i / 9 for i in range(10)],
    "posterize": [8, 8, 7, 7, 6, 6, 5, 5, 4, 4],
    "solarize": [256 - 256 * i / 9 for i in range(10)],
}


class Draws:
    """A generator that gives the row asked for, then these numbers for `random`."""

    def __init__(self, row: int, *numbers: float) -> None:
        self.row, self.numbers = row, list(numbers)

    def integers(self, high: int) -> int:
        assert high == 25
        return self.row

    def random(self) -> float:
        return self.numbers.pop(0)


def test_the_policy_is_the_published_table() -> None:
    flat = [str(value) for row in POLICY for step in row for value in step]
    assert flat == PUBLISHED_POLICY.split()


@pytest.mark.parametrize("name", PUBLISHED_MAGNITUDES)
def test_magnitudes_are_ten_even_steps_over_the_published_range(name: str) -> None:
    assert OPERATIONS[name].magnitudes == pytest.approx(PUBLISHED_MAGNITUDES[name])


@pytest.mark.parametrize("row", range(25))
@pytest.mark.parametrize("sign", [1, -1])
def test_a_row_applies_its_two_operations_in_order(row: int, sign: int) -> None:
    image = expected = np.asarray(photo(120, 90, seed=row))
    numbers: list[float] = []
    for probability, name, index in POLICY[row]:
        numbers.append(probability - 1e-9 if probability else 0.0)
        if probability:
            operation = OPERATIONS[name]
            magnitude = operation.magnitudes[index]
            if operation.signed:
                numbers.append(0.49 if sign < 0 else 0.5)
                magnitude *= sign
            expected = operation.apply(expected, magnitude)
    draws = Draws(row, *numbers)
    np.testing.assert_array_equal(auto_augment(image, cast(Any, draws)), expected)
    assert draws.numbers == []


@pytest.mark.parametrize(
    ("row", "first", "second"),
    [(row, p, q) for row, ((p, _, _), (q, _, _)) in enumerate(POLICY) if p < 1 and q < 1],
)
def test_a_row_leaves_the_image_alone_when_neither_draw_falls_below_its_probability(
    row: int, first: float, second: float
) -> None:
    image = np.asarray(photo(120, 90))
    assert auto_augment(image, cast(Any, Draws(row, first, second))) is image


# The whole image


def test_random_choices_are_drawn_in_the_documented_order() -> None:
    for seed in range(20):
        ours = train_image(PIXELS, np.random.default_rng(seed), 64, 0.05, autoaugment=True)
        rng = np.random.default_rng(seed)
        left, top, width, height = crop_box(500, 375, rng, 0.05)
        pixels = resize_bilinear(PIXELS[top : top + height, left : left + width], 64, 64)
        if rng.random() < 0.5:
            pixels = np.fliplr(pixels)
        np.testing.assert_array_equal(ours, auto_augment(pixels, rng))


def test_a_try_at_a_box_draws_area_and_ratio_and_the_box_found_left_and_top() -> None:
    rng = np.random.default_rng(5)
    box = crop_box(500, 375, rng, 0.05)
    again = np.random.default_rng(5)
    area = 500 * 375 * again.uniform(0.05, 1)
    ratio = math.exp(again.uniform(math.log(0.75), math.log(1.333)))
    width = round(math.sqrt(area * ratio))
    height = round(width / ratio)
    left = again.integers(0, 500 - width, endpoint=True)
    assert box == (left, again.integers(0, 375 - height, endpoint=True), width, height)
    assert rng.random() == again.random()


@pytest.mark.parametrize("autoaugment", [False, True])
def test_a_training_image_is_uint8_of_the_size_asked_for(autoaugment: bool) -> None:
    image = train_image(PIXELS, np.random.default_rng(0), 112, 0.05, autoaugment)
    assert (image.shape, image.dtype) == ((112, 112, 3), np.uint8)


def test_half_of_the_images_are_flipped() -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (200, 256, 3))
    images = [train_image(ramp, np.random.default_rng(seed), 16, 0.05, False) for seed in range(400)]
    flipped = sum(int(image[0, 0, 0]) > int(image[0, -1, 0]) for image in images)
    assert 160 <= flipped <= 240  # four standard deviations


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere Pillow's floating point may round otherwise")
def test_a_seed_keeps_its_pixels() -> None:
    digest = hashlib.sha256()
    for seed in range(200):
        digest.update(train_image(PIXELS, np.random.Generator(np.random.Philox(seed)), 224, 0.05, True).tobytes())
    assert digest.hexdigest() == "f27d4cb33fc7485d282e696c29d3634bf3a48d397690459b4f99033c1dca0c41"

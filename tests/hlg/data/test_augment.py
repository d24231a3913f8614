"""Crops, resizing and AutoAugment against MindSpore's C++ operators, Pillow's functions and their definitions."""

import hashlib
import math
import platform

import mindspore.dataset.vision as vision
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hlg.data import augment
from hlg.data.augment import OPERATIONS, POLICY, RATIO, Box, auto_augment, crop_box, resize_bilinear, train_image
from hlg.data.decode import open_rgb
from tests.benchmarks.published_input import PUBLISHED
from tests.support.photos import encoded, photo

PHOTO = photo(500, 375)
PIXELS, SMALL = np.asarray(PHOTO), np.asarray(photo(120, 90))
ROUNDING = 0 if platform.machine() == "x86_64" else 1  # OpenCV's fixed-point code differs by processor
sides = st.integers(1, 3000)
seeds = st.integers(0, 2**32 - 1)
levels = st.integers(0, 255)


def center_box(width: int, height: int) -> Box:
    """The fallback, by definition: the whole image, its longer side cut down to RATIO."""
    w, h = width, height
    if width < RATIO[0] * height:
        h = max(1, math.floor(width / RATIO[0] + 0.5))
    if width > RATIO[1] * height:
        w = max(1, math.floor(height * RATIO[1] + 0.5))
    return Box(math.floor((width - w) / 2 + 0.5), math.floor((height - h) / 2 + 0.5), w, h)


@given(width=sides, height=sides, seed=seeds, crop_min=st.floats(0.01, 1.0))
def test_a_crop_lies_inside_and_fits_area_and_ratio(width: int, height: int, seed: int, crop_min: float) -> None:
    box = crop_box(width, height, np.random.default_rng(seed), crop_min)
    left, top, w, h = box
    assert 0 <= left < left + w <= width
    assert 0 <= top < top + h <= height
    if box != center_box(width, height):
        rounding = h + w / 2 + 2  # width and height are each rounded by half a pixel at most
        assert w * h >= crop_min * width * height - rounding
        assert w / (h + 0.5) <= RATIO[1]
        assert w / max(h - 0.5, 0.5) >= RATIO[0]


@given(height=st.integers(10, 3000), seed=seeds)
def test_an_image_too_narrow_for_any_ratio_falls_back_to_its_center(height: int, seed: int) -> None:
    width = max(1, height // 10)
    # a full-size area fits at none of the ten tries
    assert crop_box(width, height, np.random.default_rng(seed), 1.0) == center_box(width, height)
    assert crop_box(height, width, np.random.default_rng(seed), 1.0) == center_box(height, width)


def test_areas_are_uniform_from_crop_min_and_aspect_ratios_uniform_in_their_logarithm() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([crop_box(2000, 2000, rng, 0.05)[2:] for _ in range(10000)])
    areas = boxes.prod(1) / 2000**2
    fitting = areas < 0.5  # all boxes up to half the image's area fit: none of these was kept for its ratio
    assert areas.min() == pytest.approx(0.05, abs=0.005)
    assert np.median(areas[fitting]) == pytest.approx((0.05 + 0.5) / 2, abs=0.02)
    logs = np.log(boxes[fitting, 0] / boxes[fitting, 1])
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for quantile in (0.25, 0.5, 0.75):  # a ratio uniform in itself would have its median at 0.04
        assert np.quantile(logs, quantile) == pytest.approx(low + quantile * (high - low), abs=0.02)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_published_operator_differs_in_the_last_column_alone(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It decodes the crop alone, and so lacks the color of the pixels to the right of it."""
    jpeg = encoded(PHOTO.convert(mode), quality=70)
    # a full-size square never fits: the operator, too, takes its fallback, the center
    fused = vision.RandomCropDecodeResize(224, (1.0, 1.0), (1.0, 1.0), vision.Inter.BILINEAR)
    monkeypatch.setattr(augment, "RATIO", (1.0, 1.0))
    theirs = fused(np.frombuffer(jpeg, np.uint8))
    assert crop_box(500, 375, np.random.default_rng(0), 1.0) == (63, 0, 375, 375)
    ours = resize_bilinear(open_rgb(jpeg)[:, 63:438], 224, 224).astype(int)
    assert np.abs(ours - theirs)[:, : 224 if mode == "L" else 223].max() <= ROUNDING


@settings(max_examples=60)
@given(width=st.integers(1, 600), height=st.integers(1, 600), size=st.sampled_from([7, 112, 224]))
def test_resizing_any_shape_agrees_with_the_cpp_operator(width: int, height: int, size: int) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    theirs = vision.Resize((size, size), vision.Inter.BILINEAR)(pixels)
    assert np.abs(resize_bilinear(pixels, size, size).astype(int) - theirs).max() <= ROUNDING


@settings(max_examples=60)
@given(width=st.integers(1, 700), height=st.integers(1, 700), size=st.sampled_from([(112, 128), (224, 256)]))
def test_an_evaluation_image_is_that_of_the_cpp_operators(width: int, height: int, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    assert augment.eval_resize_short(size[0]) == size[1]
    theirs = vision.CenterCrop(size[0])(vision.Resize(size[1], vision.Inter.BILINEAR)(pixels))
    assert np.abs(augment.eval_image(pixels, size[0]).astype(int) - theirs).max() <= ROUNDING


@given(name=st.sampled_from(list(PUBLISHED)), index=st.integers(0, 9), seed=seeds, low=levels, high=levels, size=sides)
def test_operations_do_what_pillow_does(name: str, index: int, seed: int, low: int, high: int, size: int) -> None:
    shape = (1 + size // 100, 1 + size % 100, 3)
    pixels = np.random.default_rng(seed).integers(min(low, high), max(low, high), shape, np.uint8, endpoint=True)
    before = pixels.copy()
    magnitude = OPERATIONS[name].magnitudes[index]
    published = np.asarray(PUBLISHED[name](Image.fromarray(pixels), magnitude))
    np.testing.assert_array_equal(OPERATIONS[name].apply(pixels, magnitude), published)
    np.testing.assert_array_equal(pixels, before)


def test_magnitudes_are_ten_even_steps_over_the_published_range_and_some_have_a_sign() -> None:
    signed = {name for name, operation in OPERATIONS.items() if operation.signed}
    assert signed == {"shear_x", "color", "contrast", "sharpness"}
    ends = {"shear_x": 0.3, "rotate": 30, "color": 0.9, "contrast": 0.9, "sharpness": 0.9}
    for name, end in ends.items():
        assert OPERATIONS[name].magnitudes == pytest.approx([end * i / 9 for i in range(10)])
    assert OPERATIONS["posterize"].magnitudes == (8, 8, 7, 7, 6, 6, 5, 5, 4, 4)
    assert OPERATIONS["solarize"].magnitudes == pytest.approx([256 - 256 * i / 9 for i in range(10)])


def test_the_policy_is_the_published_table() -> None:
    """The digest is of the rows as published: ``0.4 posterize 8 0.6 rotate 9 0.6 solarize 5 ...``."""
    rows = " ".join(str(value) for row in POLICY for step in row for value in step)
    digest = hashlib.sha256(rows.encode()).hexdigest()
    assert digest == "136984c2546320a0c3683905cc0564e5bf6200f714c10ebd780c2e3f37812123"


def test_a_row_is_drawn_and_then_whether_and_with_which_sign_each_of_its_two_operations_is_applied() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        expected = SMALL
        for probability, name, index in POLICY[rng.integers(25)]:
            if rng.random() < probability:
                operation = OPERATIONS[name]
                sign = -1 if operation.signed and rng.random() < 0.5 else 1
                expected = operation.apply(expected, sign * operation.magnitudes[index])
        np.testing.assert_array_equal(auto_augment(SMALL, np.random.default_rng(seed)), expected)


def test_a_training_image_is_cropped_resized_flipped_and_augmented_in_that_order() -> None:
    for seed in range(20):
        ours = train_image(PIXELS, np.random.default_rng(seed), 64, 0.05, autoaugment=True)
        rng = np.random.default_rng(seed)
        left, top, width, height = crop_box(500, 375, rng, 0.05)
        pixels = resize_bilinear(PIXELS[top : top + height, left : left + width], 64, 64)
        if rng.random() < 0.5:
            pixels = np.fliplr(pixels)
        np.testing.assert_array_equal(ours, auto_augment(pixels, rng))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere Pillow's floating point may round otherwise")
def test_a_seed_keeps_its_pixels() -> None:
    digest = hashlib.sha256()
    for seed in range(200):
        digest.update(train_image(PIXELS, np.random.Generator(np.random.Philox(seed)), 224, 0.05, True).tobytes())
    assert digest.hexdigest() == "f27d4cb33fc7485d282e696c29d3634bf3a48d397690459b4f99033c1dca0c41"

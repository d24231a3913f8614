"""Decoding against MindSpore's, with everything odd that ImageNet and downloads hold."""

import sys
from pathlib import Path

import mindspore.dataset.vision as vision
import numpy as np
import pytest
from PIL import Image

from hlg.data.decode import UnreadableImageError, open_rgb
from tests.support.photos import encoded, photo
from tests.support.processes import run_command

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # collecting undoes the module's own filter


def with_broken_exif(jpeg: bytes) -> bytes:
    """Insert an EXIF block whose directory points past its end."""
    body = b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 24
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[20:]


PHOTO = photo(500, 375)
TURNED = Image.Exif()
TURNED[0x0112] = 6  # orientation: rotate by 90 degrees to view
READABLE = {
    "jpeg": encoded(PHOTO, quality=92),
    "subsampled jpeg": encoded(PHOTO, quality=70, subsampling=2),
    "progressive jpeg": encoded(PHOTO, progressive=True),
    "cmyk jpeg": encoded(PHOTO.convert("CMYK")),
    "gray jpeg": encoded(PHOTO.convert("L")),
    "broken exif": with_broken_exif(encoded(PHOTO)),
    "orientation in exif": encoded(PHOTO, exif=TURNED),
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
    "more pixels than a worker has room for": encoded(Image.new("1", (9000, 10_001)), "PNG"),
    "16-bit png": encoded(Image.fromarray(np.asarray(PHOTO.convert("L")) * np.uint16(257)), "PNG"),
}


@pytest.mark.parametrize("kind", READABLE)
def test_decoded_pixels_are_those_of_mindspores_decoder(kind: str) -> None:
    theirs = vision.Decode()(np.frombuffer(READABLE[kind], np.uint8))
    ours = open_rgb(READABLE[kind])
    assert (ours.dtype, ours.shape) == (np.uint8, (*theirs.shape[:2], 3))
    np.testing.assert_array_equal(ours, theirs)


def test_oddities_load_in_silence(tmp_path: Path) -> None:
    for i, data in enumerate(READABLE.values()):
        (tmp_path / f"{i}.JPEG").write_bytes(data)
    script = "import sys; from hlg.data.decode import open_rgb; [open_rgb(file) for file in sys.argv[1:]]"
    done = run_command(sys.executable, "-W", "always", "-c", script, *tmp_path.iterdir())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_whole_8_bit_image_is_unreadable(kind: str) -> None:
    with pytest.raises(UnreadableImageError):
        open_rgb(UNREADABLE[kind])

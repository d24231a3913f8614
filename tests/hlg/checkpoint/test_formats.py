"""A checkpoint file gives what was saved, or one clear error: nothing in it is believed."""

import json
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from hlg.checkpoint import formats
from hlg.errors import UserError

ONES = np.ones((2, 3), np.float32).tobytes()


def field(number: int, content: bytes | int) -> bytes:
    """One field of protobuf."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    size = len(content)
    return bytes([number << 3 | 2, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + content


def entry(content: bytes = ONES, kind: str = "Float32", shape: tuple[int, ...] = (2, 3), name: bytes = b"w") -> bytes:
    """One entry of a .ckpt."""
    sizes = b"".join(field(1, size) for size in shape)
    return field(1, field(1, name) + field(2, sizes + field(2, kind.encode()) + field(3, content)))


def safetensors(header: Any, data: bytes = ONES) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def told(kind: str = "F32", shape: Any = (2, 3), span: Any = (0, 24)) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": span}


def parse(content: bytes, suffix: str = ".ckpt") -> formats.StoredTensors:
    return formats.parse_tensors(Path("x").with_suffix(suffix), content)


@pytest.mark.parametrize("file_format", ["ckpt", "safetensors"])
def test_whatever_mindspore_saves_comes_back(file_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mindspore.train.serialization.SLICE_SIZE", 1)  # KiB; larger tensors are written in pieces
    large = np.arange(1000, dtype=np.float32).reshape(10, 100)
    saved = {"large": large, "scalar": np.float32(3), "double": np.ones((1, 2)), "half": np.ones(2, np.float16)}
    saved |= {"count": np.int32(7), "flag": np.array([True, False]), "brain": np.array([1.5, -2.0], np.float32)}
    kinds = {"brain": ms.bfloat16}
    path = tmp_path / f"x.{file_format}"
    entries = [{"name": name, "data": Tensor(value, kinds.get(name))} for name, value in saved.items()]
    more = {"crc_check": True, "append_dict": {"told": "käse \udcff", "none": ""}} if file_format == "ckpt" else {}
    ms.save_checkpoint(entries, str(path), format=file_format, **more)
    found = formats.parse_tensors(path, formats.read_file(path))
    assert found.texts == (more["append_dict"] if more else {"format": "ms"})
    assert found.arrays.keys() == saved.keys()
    for name, value in saved.items():
        np.testing.assert_array_equal(found.arrays[name], value, strict=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (entry(b""), r"w has 0 bytes; Float32 of shape \(2, 3\) takes 24"),
        (entry(ONES[:12]), "w has 12 bytes"),
        (entry(ONES + ONES), "w has 48 bytes"),
        (entry(kind="Float64"), r"Float64 of shape \(2, 3\) takes 48"),
        (entry(kind="Float16"), "takes 12"),
        (entry(kind="Float8E4M3FN"), "w has the unknown type 'Float8E4M3FN'"),
        (entry(kind="str"), "w is not text"),
        (entry(shape=(2, 0)), r"w has the shape \(2, 0\)"),
        (entry(shape=(1,) * 17), "more than 16 fields"),
        (entry() + entry(kind="Int32"), "pieces of several types"),
        (entry() + entry(name=b"v") + entry(), "w appears twice"),
        (entry(name=b""), "a name has 0 bytes"),
        (entry(name=b"w" * 1001), "a name has 1,001 bytes"),
        (entry(name=b"\xff"), "can't decode"),
        (field(1, field(1, b"w")) * 20_001, "more than 20,000 entries"),
        (field(1, field(1, b"w") + field(3, b"map")), "unknown field 3"),
        (field(1, field(1, b"w") + field(2, 5)), "unknown field 2"),
        (field(1, 5), "a number stands where"),
        (field(2, b""), "unknown field 2"),
        (entry()[:-1], "ends too early"),
        (entry() + b"\x0a", "ends too early"),
        (b"\x80" * 12, "more than 64 bits"),
        (b"text", "not a protobuf"),
        (b"", "holds no tensor"),
        (entry() + b"crc_num" + b"\0" * 10, "its CRC does not match"),
        (formats.ENCRYPTED + bytes(60), "encrypted"),
    ],
)
def test_a_ckpt_that_is_not_what_it_says_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(UserError, match=rf"^checkpoint x.ckpt: damaged or not a checkpoint \(.*{said}"):
        parse(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (safetensors({"w": told("F8_E4M3", (24,))}), "w has the unknown type 'F8_E4M3'"),
        (safetensors({"w": told("F16")}), r"w has 24 bytes; F16 of shape \(2, 3\) takes 12"),
        (safetensors({"w": told(span=(0, 400))}), "w has 24 bytes|belong to no tensor"),
        (safetensors({"w": told(shape=(-2, -3))}), r"w has the shape \(-2, -3\)"),
        (safetensors({"w": told(), "v": told()}), "belong to no tensor, or to two"),
        (safetensors({"w": told()}, ONES + ONES), "the bytes 24 to 48 belong"),
        (safetensors({"w": told(shape=2.5)}), "says nothing useful of w"),
        (safetensors({"w": None}), "says nothing useful of w"),
        (safetensors({"__metadata__": {"a": 1}, "w": told()}), "not text"),
        (safetensors([]), "not a list"),
        (safetensors(b"[" * 100_000), "nested more than"),
        (safetensors({})[:40], "holds no tensor|belong"),
        (b"\xff" * 100, "header does not fit"),
    ],
)
def test_safetensors_that_are_not_what_they_say_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(UserError, match=rf"^checkpoint x.safetensors: damaged or not a checkpoint \(.*({said})"):
        parse(content, ".safetensors")


def test_a_file_that_is_larger_than_any_checkpoint_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(UserError, match="more than 2,147,483,647 bytes"):
        formats.read_file(path)

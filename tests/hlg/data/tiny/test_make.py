"""The small data set: the same bytes for the same request, and classes that only form tells apart."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hlg.data.index import dataset_hash, scan
from hlg.data.tiny import __main__ as tiny
from hlg.data.tiny import drawing
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.data.tiny.manifest import Manifest, verify_tiny
from hlg.errors import UserError
from tests.support.processes import run_module

SMALL = TinyRequest(classes=2, train=2, val=1)


@pytest.fixture(scope="module")
def ten_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "ten"
    make_tiny(out, TinyRequest(classes=10, train=12, val=8), workers=os.cpu_count() or 1)
    return out


@pytest.fixture
def small(tmp_path: Path) -> Path:
    make_tiny(tmp_path / "data" / "small", SMALL)
    return tmp_path / "data" / "small"


def modified(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


# --- drawn images ---


def test_a_drawn_data_set_is_shaped_like_imagenet(ten_classes: Path) -> None:
    for split, count in (("train", 12), ("val", 8)):
        index = scan(ten_classes / split, class_num=10)
        assert index.classes == tuple(f"n9000000{k}" for k in range(10))
        assert np.bincount(index.labels).tolist() == [count] * 10
        assert all(file.endswith(".JPEG") for file in index.files)
        assert index.warnings == ()
        assert dataset_hash(index).startswith("content:sha256:")


def test_image_sizes_have_the_median_of_imagenet(ten_classes: Path) -> None:
    sizes = [Image.open(path).size for path in ten_classes.rglob("*.JPEG")]

    assert np.median(sizes, axis=0).tolist() == [500, 375]
    assert len(set(sizes)) >= 5


def test_each_split_has_one_cmyk_jpeg_and_one_png_under_the_name_of_a_jpeg(ten_classes: Path) -> None:
    for split, count in (("train", 120), ("val", 80)):
        images = [Image.open(path) for path in (ten_classes / split).rglob("*.JPEG")]
        kinds = Counter((image.format, image.mode) for image in images)
        assert kinds == {("JPEG", "RGB"): count - 2, ("JPEG", "CMYK"): 1, ("PNG", "RGB"): 1}


def test_most_jpegs_have_their_chroma_subsampled(ten_classes: Path) -> None:
    vertical_by_horizontal = Counter(
        image.layer[0][1:3]  # type: ignore[attr-defined] # sampling factors of the luma component
        for image in map(Image.open, ten_classes.rglob("*.JPEG"))
        if (image.format, image.mode) == ("JPEG", "RGB")
    )

    assert vertical_by_horizontal[(2, 2)] > vertical_by_horizontal[(1, 1)] > 0


def test_no_two_images_are_alike(ten_classes: Path) -> None:
    digests = json.loads((ten_classes / "manifest.json").read_text())["files"].values()

    assert len(set(digests)) == len(digests) == 200


# --- colour says nothing ---


def thumbnails(root: Path, split: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, side * side * 3) mean colours of a grid of tiles, and (N,) labels."""
    index = scan(root / split, class_num=10)
    images = (Image.open(root / split / file).convert("RGB") for file in index.files)
    tiles = [np.asarray(image.resize((side, side), Image.Resampling.BOX), float).ravel() for image in images]
    return np.array(tiles) / 255, index.labels


def linear_accuracy(x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray) -> float:
    """Ridge regression on one-hot labels."""
    mean = x.mean(axis=0)
    x, x_val = (np.c_[part - mean, np.ones(len(part))] for part in (x, x_val))
    weights = np.linalg.solve(x.T @ x + x.shape[1] * np.eye(x.shape[1]), x.T @ np.eye(10)[y])
    return float(((x_val @ weights).argmax(axis=1) == y_val).mean())


def neighbour_accuracy(x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray) -> float:
    distances = ((x_val[:, None] - x[None]) ** 2).sum(axis=-1)
    return float((y[distances.argmin(axis=1)] == y_val).mean())


Probe = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]
PROBES = pytest.mark.parametrize("probe", [linear_accuracy, neighbour_accuracy])
SIDES = pytest.mark.parametrize("side", [1, 8], ids=["mean colour", "8 x 8 thumbnail"])


@PROBES
def test_colour_does_not_tell_the_class(ten_classes: Path, probe: Probe) -> None:
    train, val = (thumbnails(ten_classes, split, side=1) for split in ("train", "val"))

    assert probe(*train, *val) < 0.3  # chance is 0.1


@PROBES
def test_where_colours_lie_tells_far_less_than_a_run_must_reach(ten_classes: Path, probe: Probe) -> None:
    train, val = (thumbnails(ten_classes, split, side=8) for split in ("train", "val"))

    assert probe(*train, *val) < 0.5  # of the 0.8 that training must reach


@PROBES
@SIDES
def test_the_probes_would_see_classes_that_have_colours_of_their_own(
    ten_classes: Path,
    side: int,
    probe: Probe,
) -> None:
    (x, y), (x_val, y_val) = (thumbnails(ten_classes, split, side) for split in ("train", "val"))
    for tiles, labels in ((x, y), (x_val, y_val)):
        hue = 2 * np.pi * labels[:, None] / 10
        tiles[:, 0::3] += np.cos(hue)
        tiles[:, 1::3] += np.sin(hue)

    assert probe(x, y, x_val, y_val) > 0.5


# --- the same bytes ---


def test_the_same_request_gives_the_same_bytes_for_any_number_of_workers(small: Path, tmp_path: Path) -> None:
    manifest, new = make_tiny(tmp_path / "again", SMALL, workers=2)

    assert new
    assert manifest == json.loads((small / "manifest.json").read_text())
    for path in manifest["files"]:
        assert (tmp_path / "again" / path).read_bytes() == (small / path).read_bytes()


def test_more_images_leave_the_first_ones_as_they_were(small: Path, tmp_path: Path) -> None:
    manifest, _ = make_tiny(tmp_path / "more", TinyRequest(classes=3, train=3, val=1))

    first = "train/n90000001/n90000001_0.JPEG"
    assert manifest["files"][first] == hashlib.sha256((small / first).read_bytes()).hexdigest()


def test_another_seed_gives_other_images(small: Path, tmp_path: Path) -> None:
    manifest, _ = make_tiny(tmp_path / "other", TinyRequest(classes=2, train=2, val=1, seed=2))

    assert not set(manifest["files"].values()) & set(read_manifest(small)["files"].values())


def test_the_same_bytes_come_on_a_processor_without_wide_vectors(small: Path, tmp_path: Path) -> None:
    options = ("--workers", "1", "--classes", "2", "--train", "2", "--val", "1")
    disabled = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
    plain = {"NPY_DISABLE_CPU_FEATURES": disabled}
    done = run_module("hlg.data.tiny", "--out", tmp_path / "plain", *options, env=plain)

    assert done.returncode == 0, done.stderr
    assert read_manifest(tmp_path / "plain")["files"] == read_manifest(small)["files"]


# --- making it in place ---


def read_manifest(out: Path) -> Manifest:
    return json.loads((out / "manifest.json").read_text())


def test_a_data_set_that_is_there_is_left_alone(small: Path) -> None:
    before = modified(small)

    manifest, new = make_tiny(small, SMALL)

    assert not new
    assert manifest == read_manifest(small)
    assert modified(small) == before


@pytest.mark.parametrize("harm", ["missing", "shorter"])
def test_a_damaged_data_set_is_made_anew(small: Path, harm: str) -> None:
    damaged = small / "val/n90000000/val_00000001.JPEG"
    whole = damaged.read_bytes()
    if harm == "missing":
        damaged.unlink()
    else:
        damaged.write_bytes(whole[:100])

    _, new = make_tiny(small, SMALL)

    assert new
    assert damaged.read_bytes() == whole


def test_another_request_replaces_the_data_set(small: Path) -> None:
    make_tiny(small, TinyRequest(classes=1, train=1, val=1))

    assert sorted(p.name for p in small.rglob("*.JPEG")) == ["n90000000_0.JPEG", "val_00000001.JPEG"]
    assert verify_tiny(small) == []


def test_another_drawing_code_replaces_the_data_set(small: Path) -> None:
    manifest = read_manifest(small)
    (small / "manifest.json").write_text(json.dumps({**manifest, "drawing": "older"}))

    assert make_tiny(small, SMALL) == (manifest, True)


def test_a_failure_on_the_way_leaves_the_old_data_set_and_nothing_else(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = modified(small)
    encode = drawing.encode_image

    def disk_fills_up(image: Image.Image, rng: np.random.Generator, form: str) -> bytes:
        if form == "PNG":
            raise OSError(28, "No space left on device")
        return encode(image, rng, form)

    monkeypatch.setattr(drawing, "encode_image", disk_fills_up)

    with pytest.raises(UserError, match=r"No space left on device: .*small was not made"):
        make_tiny(small, TinyRequest(classes=3, train=2, val=1))
    assert modified(small) == before
    assert list(small.parent.iterdir()) == [small]


def test_a_folder_that_this_tool_did_not_make_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "some web page"}')
    (tmp_path / "thesis.txt").write_text("precious")

    with pytest.raises(UserError, match=r"holds files, but no manifest\.json of this tool"):
        make_tiny(tmp_path, SMALL)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_file_of_someone_else_in_the_data_set_stops_its_replacement(small: Path) -> None:
    (small / "train/thesis.txt").write_text("precious")

    assert make_tiny(small, SMALL)[1] is False  # nothing to replace, nothing in the way
    with pytest.raises(UserError, match=r"holds train/thesis\.txt, which this tool did not make"):
        make_tiny(small, TinyRequest(classes=1, train=1, val=1))
    assert (small / "train/thesis.txt").read_text() == "precious"


def test_an_empty_folder_may_be_filled_and_a_file_in_its_place_may_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()

    assert make_tiny(tmp_path / "empty", TinyRequest(classes=1, train=1, val=1))[1] is True
    with pytest.raises(UserError, match="is a file; give a folder"):
        make_tiny(tmp_path / "file", SMALL)


# --- verify ---


def test_verify_finds_nothing_in_a_fresh_data_set(small: Path) -> None:
    assert verify_tiny(small) == []


def test_verify_names_every_difference(small: Path) -> None:
    changed, gone = small / "train/n90000000/n90000000_1.JPEG", small / "train/n90000001/n90000001_0.JPEG"
    content = bytearray(changed.read_bytes())
    content[-3] ^= 1  # one bit; the size stays
    changed.write_bytes(content)
    gone.unlink()
    (small / "val/extra.txt").touch()

    assert verify_tiny(small) == [
        "train/n90000001/n90000001_0.JPEG: missing",
        "val/extra.txt: not in the manifest",
        "train/n90000000/n90000000_1.JPEG: content differs",
    ]


def test_verify_notices_a_manifest_that_was_edited(small: Path) -> None:
    manifest = read_manifest(small)
    manifest["splits"]["val"]["hash"] = manifest["hash"] = "0" * 64
    (small / "manifest.json").write_text(json.dumps(manifest))

    assert verify_tiny(small) == [
        "manifest.json: its hash is not that of its files",
        "manifest.json: its hash of val is not that of its files",
    ]


def test_the_hash_of_a_split_is_what_sha256sum_gives(small: Path) -> None:
    files = sorted(path.relative_to(small).as_posix() for path in (small / "train").rglob("*.JPEG"))
    lines = sorted(f"{hashlib.sha256((small / file).read_bytes()).hexdigest()}  {file}\n" for file in files)

    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert read_manifest(small)["splits"]["train"] == {"images": 4, "hash": expected}
    assert dataset_hash(scan(small / "train", class_num=2)) == f"content:sha256:{expected}"


# --- carved out of a real ImageNet ---


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    root = tmp_path / "imagenet"
    for name in ("n01", "n02", "n03", "n04"):
        for split, count in (("train", 6), ("val", 3)):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                (root / split / name / f"{name}_{i}.JPEG").write_bytes(f"{split} {name} {i}".encode())
    return root


def carve(imagenet: Path, **counts: int) -> TinyRequest:
    return TinyRequest(**{"classes": 2, "train": 4, "val": 2, **counts}, imagenet=str(imagenet))


def test_a_carved_subset_is_a_copy_byte_for_byte(imagenet: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest, _ = make_tiny(out, carve(imagenet))

    assert manifest["kind"] == "carved"
    assert [manifest["splits"][split]["images"] for split in ("train", "val")] == [8, 4]
    for path in manifest["files"]:  # the path below the source is the path below the copy
        assert (out / path).read_bytes() == (imagenet / path).read_bytes()
        assert not (out / path).samefile(imagenet / path)
    train, val = (scan(out / split, class_num=2) for split in ("train", "val"))
    assert train.classes == val.classes == tuple(manifest["classes"])
    assert verify_tiny(out) == []


def test_the_seed_decides_which_classes_and_files_are_carved(imagenet: Path, tmp_path: Path) -> None:
    first, again = (make_tiny(tmp_path / name, carve(imagenet))[0] for name in ("first", "again"))
    others = [make_tiny(tmp_path / str(seed), carve(imagenet, seed=seed))[0] for seed in range(2, 6)]

    assert first == again
    assert len({manifest["hash"] for manifest in [first, *others]}) > 1
    assert len({tuple(manifest["classes"]) for manifest in [first, *others]}) > 1


def test_a_carved_subset_that_is_there_is_left_alone(imagenet: Path, tmp_path: Path) -> None:
    make_tiny(tmp_path / "out", carve(imagenet))

    assert make_tiny(tmp_path / "out", carve(imagenet))[1] is False


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"classes": 5}, r"train and val share 4 classes, asked for 5"),
        ({"train": 7}, r"train/n0\d: 6 images, asked for 7 of each class"),
        ({"val": 4}, r"val/n0\d: 3 images, asked for 4 of each class"),
    ],
)
def test_asking_for_more_than_there_is_says_how_much_there_is(
    imagenet: Path, tmp_path: Path, counts: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_tiny(tmp_path / "out", carve(imagenet, **counts))
    assert list(tmp_path.iterdir()) == [imagenet]


def test_an_imagenet_without_val_is_an_error_that_names_the_folder(imagenet: Path, tmp_path: Path) -> None:
    (imagenet / "val").rename(tmp_path / "elsewhere")

    with pytest.raises(UserError, match="imagenet/val: no such folder"):
        make_tiny(tmp_path / "out", carve(imagenet))


@pytest.mark.parametrize("place", ["imagenet/tiny", "imagenet", "."])
def test_nothing_is_written_into_or_around_the_source(imagenet: Path, tmp_path: Path, place: str) -> None:
    before = modified(tmp_path)

    with pytest.raises(UserError, match=r"must lie outside|no manifest\.json of this tool"):
        make_tiny(tmp_path / place, carve(imagenet))
    assert modified(tmp_path) == before


# --- the program ---


def test_the_program_says_what_it_made_and_that_it_was_already_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = [
        "--out",
        str(out),
        "--classes",
        "1",
        "--train",
        "2",
        "--val",
        "1",
        "--workers",
        "1",
        "--imagenet",
        "",
    ]

    assert tiny.main(argv) == 0
    line = f"{out}: 2 train, 1 val images, sha256 {read_manifest(out)['hash']}"
    assert capsys.readouterr().out == f"{line}\n"
    assert tiny.main(argv) == 0
    assert capsys.readouterr().out == f"{line} (already there)\n"


def test_the_program_exits_with_1_when_verify_finds_a_difference(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.main(["--verify", "--out", str(small)]) == 0
    (small / "extra").touch()
    assert tiny.main(["--verify", "--out", str(small)]) == 1
    assert capsys.readouterr().out.endswith("extra: not in the manifest\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--classes", "11"], "classes=11: only 10 kinds of image can be drawn"),
        (["--classes", "0"], "classes=0: must be 1 or more"),
        (["--train", "-1"], "train=-1: must be 1 or more"),
        (["--seed", "-1"], "seed=-1: must be 0 or more"),
        (["--workers", "0"], "workers=0: must be 1 or more"),
        (["--imagenet", "/nowhere"], "/nowhere/train: no such folder"),
        (["--verify"], "no manifest.json of this tool in it"),
    ],
)
def test_the_program_reports_a_mistake_in_one_line_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert tiny.main(["--out", str(tmp_path / "out"), *argv]) == 2

    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []

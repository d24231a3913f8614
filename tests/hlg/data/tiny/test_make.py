"""The tiny data set: the same bytes for the same request, made whole or not at all, from drawings or from ImageNet."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from hlg.data.hashes import dataset_hash
from hlg.data.index import scan
from hlg.data.tiny import __main__ as program
from hlg.data.tiny import drawing
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.data.tiny.manifest import Manifest, verify_tiny
from hlg.errors import UserError
from tests.support.disks import full_disk
from tests.support.processes import run_module
from tests.support.programs import Call

SMALL, ONE = TinyRequest(classes=2, train=2, val=1), TinyRequest(classes=1, train=1, val=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "small"
    make_tiny(out, SMALL)
    return out


@pytest.fixture
def small(drawn: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(drawn, tmp_path / "data" / "small")


def modified(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def read_manifest(out: Path) -> Manifest:
    return json.loads((out / "manifest.json").read_text())


def test_bytes_do_not_depend_on_workers_and_vector_instructions(drawn: Path, tmp_path: Path) -> None:
    options = ("--classes", 2, "--train", 2, "--val", 1, "--workers", 2)
    disabled = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
    plain = {"NPY_DISABLE_CPU_FEATURES": disabled}
    run_module("hlg.data.tiny", "--out", tmp_path / "plain", *options, env=plain, code=0)
    assert read_manifest(tmp_path / "plain") == read_manifest(drawn)
    assert verify_tiny(tmp_path / "plain") == verify_tiny(drawn) == []


def test_an_image_depends_on_the_seed_and_its_own_place_alone(drawn: Path, tmp_path: Path) -> None:
    files = read_manifest(drawn)["files"]
    more = make_tiny(tmp_path / "more", TinyRequest(classes=3, train=3, val=1))[0]["files"]
    first = "train/n90000001/n90000001_0.JPEG"
    assert more[first] == files[first]
    other = make_tiny(tmp_path / "other", TinyRequest(classes=2, train=2, val=1, seed=2))[0]["files"]
    assert not set(other.values()) & set(files.values())


def test_the_hash_of_a_split_is_what_sha256sum_gives(drawn: Path) -> None:
    files = sorted(path.relative_to(drawn).as_posix() for path in (drawn / "train").rglob("*.JPEG"))
    lines = sorted(f"{hashlib.sha256((drawn / file).read_bytes()).hexdigest()}  {file}\n" for file in files)
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert read_manifest(drawn)["splits"]["train"] == {"images": 4, "hash": expected}
    assert dataset_hash(scan(drawn / "train", class_num=2)) == f"content:sha256:{expected}"


def test_a_data_set_that_is_there_is_left_alone_and_a_damaged_one_made_again(small: Path) -> None:
    before = modified(small)
    assert make_tiny(small, SMALL) == (read_manifest(small), False)
    assert modified(small) == before
    damaged = small / "val/n90000000/val_00000001.JPEG"
    whole = damaged.read_bytes()
    for content in (None, whole[:-100], whole[:-100] + bytes(100)):
        damaged.unlink() if content is None else damaged.write_bytes(content)
        assert make_tiny(small, SMALL)[1]
        assert damaged.read_bytes() == whole


def test_another_request_or_another_drawing_code_replaces_the_data_set(small: Path) -> None:
    manifest = read_manifest(small)
    (small / "manifest.json").write_text(json.dumps({**manifest, "drawing": "older"}))
    assert make_tiny(small, SMALL) == (manifest, True)
    make_tiny(small, ONE)
    assert sorted(p.name for p in small.rglob("*.JPEG")) == ["n90000000_0.JPEG", "val_00000001.JPEG"]
    assert verify_tiny(small) == []


def test_a_failure_on_the_way_leaves_the_old_data_set(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = modified(small)
    monkeypatch.setattr(drawing, "encode_image", full_disk)
    with pytest.raises(UserError, match=r"No space left on device: .*small was not made"):
        make_tiny(small, TinyRequest(classes=3, train=2, val=1))
    assert modified(small) == before
    assert list(small.parent.iterdir()) == [small]


def test_nothing_is_replaced_that_this_tool_did_not_make(small: Path, tmp_path: Path) -> None:
    page, thesis = tmp_path / "page/manifest.json", small / "train/thesis.txt"
    page.parent.mkdir()
    assert make_tiny(page.parent, ONE)[1]  # an empty folder may be filled
    page.write_text('{"name": "some web page"}')
    thesis.write_text("precious")
    assert make_tiny(small, SMALL)[1] is False  # nothing to replace, nothing in the way
    before = modified(tmp_path)
    refused = {
        page.parent: r"holds files, but no manifest\.json of this tool",
        thesis: "is a file; give a folder",
        small: r"holds train/thesis\.txt, which this tool did not make",
    }
    for out, message in refused.items():
        with pytest.raises(UserError, match=message):
            make_tiny(out, ONE)
    assert modified(tmp_path) == before


def test_verify_names_every_difference(small: Path) -> None:
    changed, gone = small / "train/n90000000/n90000000_1.JPEG", small / "train/n90000001/n90000001_0.JPEG"
    content = bytearray(changed.read_bytes())
    content[-3] ^= 1  # one bit; the size stays
    changed.write_bytes(content)
    gone.unlink()
    (small / "val/extra.txt").touch()
    manifest = read_manifest(small)
    manifest["splits"]["val"]["hash"] = manifest["hash"] = "0" * 64
    (small / "manifest.json").write_text(json.dumps(manifest))
    assert verify_tiny(small) == [
        "train/n90000001/n90000001_0.JPEG: missing",
        "val/extra.txt: not in the manifest",
        "train/n90000000/n90000000_1.JPEG: content differs",
        "manifest.json: its hash is not that of its files",
        "manifest.json: its hash of val is not that of its files",
    ]


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


def test_a_carved_subset_is_a_copy_and_left_alone_once_it_is_there(imagenet: Path, tmp_path: Path) -> None:
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
    assert make_tiny(out, carve(imagenet)) == (manifest, False)


def test_the_seed_decides_which_classes_and_files_are_carved(imagenet: Path, tmp_path: Path) -> None:
    first, again = (make_tiny(tmp_path / name, carve(imagenet))[0] for name in ("first", "again"))
    others = [make_tiny(tmp_path / str(seed), carve(imagenet, seed=seed))[0] for seed in range(2, 6)]
    assert first == again
    assert len({manifest["hash"] for manifest in [first, *others]}) > 1
    assert len({tuple(manifest["classes"]) for manifest in [first, *others]}) > 1


def test_asking_for_more_than_there_is_says_how_much_there_is(imagenet: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train and val share 4 classes, asked for 5"):
        make_tiny(tmp_path / "out", carve(imagenet, classes=5))
    with pytest.raises(UserError, match=r"train/n0\d: 6 images, asked for 7 of each class"):
        make_tiny(tmp_path / "out", carve(imagenet, train=7))
    assert list(tmp_path.iterdir()) == [imagenet]


def test_nothing_is_written_into_or_around_the_source(imagenet: Path, tmp_path: Path) -> None:
    before = modified(tmp_path)
    for place in ("imagenet/tiny", "imagenet", "."):
        with pytest.raises(UserError, match=r"must lie outside|no manifest\.json of this tool"):
            make_tiny(tmp_path / place, carve(imagenet))
    assert modified(tmp_path) == before


def test_the_program_says_what_it_made_and_what_verify_finds(small: Path, call: Call) -> None:
    argv = ("--out", small, "--classes", 1, "--train", 2, "--val", 1, "--workers", 1, "--imagenet", "")
    made = call(program.main, *argv).out
    line = f"{small}: 2 train, 1 val images, sha256 {read_manifest(small)['hash']}"
    assert (made, call(program.main, *argv).out) == (f"{line}\n", f"{line} (already there)\n")
    call(program.main, "--verify", "--out", small)
    (small / "extra").touch()
    assert call(program.main, "--verify", "--out", small, code=1).out.endswith("extra: not in the manifest\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--classes", "11"], "classes=11: only 10 kinds of image can be drawn"),
        (["--train", "-1"], "train=-1: must be 1 or more"),
        (["--workers", "0"], "workers=0: must be 1 to 1024"),
        (["--imagenet", "/nowhere"], "/nowhere/train: no such folder"),
        (["--verify"], "no manifest.json of this tool in it"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, call: Call, argv: list[str], message: str) -> None:
    printed = call(program.main, "--out", tmp_path / "out", *argv, code=2)
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert list(tmp_path.iterdir()) == []

"""The readers that are fuzzed: a whole file of each kind, what reads it, and what is made of it."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from safetensors.numpy import save

from hlg.checkpoint import formats, state
from hlg.cloud.unpacking import unpack_archives
from hlg.config import Config, dump, load
from hlg.data.class_names import read_class_list
from hlg.data.decode import UnreadableImageError, open_rgb
from hlg.data.hashes import split_facts
from hlg.data.imagenet.archives import list_members, open_members
from hlg.data.imagenet.labels import META, read_validation_labels
from hlg.data.imagenet.verify import __main__ as verify
from hlg.data.index import scan
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.data.tiny.manifest import verify_tiny
from hlg.errors import UserError
from hlg.fingerprint.golden import read_golden
from hlg.launch.rank_table import read_rank_table
from repro import fingerprint_diff
from repro.audit.consistency import audit_log, known_of
from repro.bench import compare
from repro.check.baselines import read_baseline
from repro.check.formats import as_json, as_junit, as_markdown, as_text
from repro.check.judge import judge_run
from repro.check.references import read_reference
from repro.check.workload import environment_of, recipe_name, workload_of
from repro.errors import ReproError
from repro.plan import __main__ as plan
from repro.published.compare import compare_runs
from repro.published.figures import read_published
from repro.records.logs import read_log
from repro.records.run_folder import read_run
from repro.releases import diff
from repro.releases.kept import FORMAT, MODES, WORKLOADS, kept_path, read_kept_releases, write_kept
from repro.releases.table import release_rows
from repro.report import __main__ as report
from repro.report.exports.files import export_files
from repro.report.markdown_page import markdown_report
from tests.hlg.data.imagenet.test_unpack import KIT, kit
from tests.hlg.launch.test_rank_table import table
from tests.support import ROOT
from tests.support.archives import tar_of
from tests.support.checks import check_run
from tests.support.folders import CLASSES, eval_run, resume, seal, tiny_eval_run, tiny_train_run

CLEAN = UserError, ReproError, UnreadableImageError  # what may come of a damaged file
RECORDS = "config.yml", "env.json", "metrics.jsonl", "train.log", "SHA256SUMS"
RESULTS = ROOT / "results"
BENCH = RESULTS / "benchmarks/epyc_26"


class Row(NamedTuple):
    """The file to damage, and what reads it; `turn`: how many damaged ones are tried in a turn."""

    path: Path
    read: Callable[[], object]
    turn: int = 50


def _file(path: Path, content: bytes | str, read: Callable[[Path], object], turn: int = 50) -> Row:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Row(path, lambda: read(path), turn)


def _run(root: Path, file: str, make: Callable[..., Path], **changes: Any) -> Row:
    """A run folder with one damaged file, sealed again unless that is the seal, and all that is made of a run."""
    folder, figures = make(root, **changes), read_published()
    baseline = read_baseline(next((RESULTS / "baselines").glob("*.json")))
    reference = read_reference(next((RESULTS / "convergence").glob("*.json")))

    def read() -> None:
        if file != "SHA256SUMS":
            seal(folder)
        run = read_run(folder)
        claims = compare_runs(figures, [run])
        markdown_report(claims, [run], [], {}, {}, root / "report.md")
        export_files(claims, [run])
        list(audit_log(run.log, known_of(run)))
        own = {"recipe": recipe_name(run), "workload": workload_of(run)}
        for kept in (baseline, replace(baseline, **own, environment=environment_of(run)), replace(baseline, **own)):
            judgment = judge_run(run, [kept], root, [replace(reference, **own)])
            ElementTree.fromstring(as_junit(judgment))
            _ = as_text(judgment), as_json(judgment), as_markdown(judgment)

    return Row(folder / file, read, 20)


def _page(root: Path) -> Row:
    """The whole report of a run, with charts and page."""
    folder = tiny_train_run(root)

    def read() -> None:
        seal(folder)
        _program(report.main, folder, "--out", root / "report.md")

    return Row(folder / "metrics.jsonl", read, 1)


def _program(main: Callable[[list[str]], int], *words: object) -> None:
    """Call a program, which must end with one of the exit codes that it may have."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        assert main([str(word) for word in words]) in (0, 1, 2)


def _members(path: Path) -> None:
    members = list(list_members(path))
    with open_members(path) as read:
        for member in members:
            read(member)


def _unpack(path: Path) -> None:
    """Unpack an archive as ModelArts' boot file does; the folder is left as it was found."""
    content = path.read_bytes()
    try:
        unpack_archives(path.parent)
    finally:
        shutil.rmtree(path.parent)
        _file(path, content, _unpack)


def _image(kind: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    pixels = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    Image.fromarray(pixels).convert(mode).save(buffer, kind, progressive=mode == "CMYK")
    return buffer.getvalue()


def _checkpoints(root: Path) -> dict[str, Row]:
    arrays = {"head.bias": np.ones(4, np.float32), "head.weight": np.ones((4, 3), np.float16)}
    np.savez(root / "weights.npz", **arrays)
    script = (
        "import sys, numpy as np, mindspore as ms; arrays = np.load(sys.argv[1]); ms.save_checkpoint("
        "[{'name': k, 'data': ms.Tensor(arrays[k])} for k in arrays], sys.argv[2], append_dict={'hlg.classes': '[]'})"
    )
    path = root / "w.ckpt"
    subprocess.run([sys.executable, "-c", script, root / "weights.npz", path], check=True, capture_output=True)
    state.write_state(root / "w.json", state.State(4, 1, 4, 1024.0, 50.0, 0, {"seed": 1}, 1.5, 0, 0, ["a"], True), path)

    def read(path: Path) -> object:
        return formats.parse_tensors(path, formats.read_file(path))

    return {
        "ckpt": Row(path, lambda: read(path)),
        "safetensors": _file(root / "w.safetensors", save(arrays, {"hlg.classes": "[]"}), read),
        "state of a checkpoint": Row(root / "w.json", lambda: state.read_state(path)),
    }


def _data_sets(root: Path) -> dict[str, Row]:
    tiny, real = root / "tiny", root / "real"
    make_tiny(tiny, TinyRequest(classes=2, train=1, val=1))
    shutil.copytree(tiny, real)
    (real / "manifest.json").unlink()
    _program(verify.main, "--imagenet", real)

    def facts(root: Path) -> object:
        return split_facts(scan(root / "val", 9))

    tar = {"n01440764/a.JPEG": b"12345678" * 100, "n01440764/b.JPEG": b"1", "n01443537/c.JPEG": b"1"}
    boxes = "ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1 2 3 4\n"

    def labels(path: Path) -> object:
        return read_validation_labels(path.parent)

    for name, content in kit("").items():
        _file(root / "files" / name, content, labels)
    return {
        "manifest": Row(tiny / "manifest.json", lambda: verify_tiny(tiny)),
        "verified.json": Row(real / "verified.json", lambda: facts(real)),
        "tar": _file(root / "a.tar", tar_of(tar), _members),
        "tar.gz": _file(root / "a.tar.gz", tar_of(tar, compressed=True), _members),
        "tar on ModelArts": _file(root / "cloud/imagenet_train.tar", tar_of(tar), _unpack),
        "val_wnids.txt": _file(root / "wnids/val_wnids.txt", "n01440764\nn01443537\n", labels),
        "LOC_val_solution.csv": _file(root / "solution/LOC_val_solution.csv", boxes, labels),
        "development kit": _file(root / "kit/ILSVRC2012_devkit_t12.tar.gz", KIT, labels, 2),
        META: Row(root / "files" / META, lambda: labels(root / "files" / META), 2),
        **{f"image {kind}": _file(root / f"i.{kind}", _image(kind), open_rgb) for kind in ("JPEG", "PNG", "BMP")},
        "image CMYK": _file(root / "i.jpg", _image("JPEG", "CMYK"), open_rgb),
    }


def _measurements(root: Path) -> dict[str, Row]:
    kept = RESULTS / "fingerprints/cpu_o0_graph.json"

    def planned(what: str) -> Callable[[Path], None]:
        return lambda path: _program(plan.main, f"--{what}", path)

    def copy(name: str, path: Path, read: Callable[[Path], object], turn: int) -> Row:
        return _file(root / name, path.read_bytes(), read, turn)

    return {
        "baseline": copy("b.json", next((RESULTS / "baselines").glob("*.json")), read_baseline, 10),
        "reference": copy("r", next((RESULTS / "convergence").glob("*.json")), lambda p: read_reference(p).points, 2),
        "fingerprint": copy("f.json", kept, lambda path: _program(fingerprint_diff.main, path, kept), 10),
        "bench": copy("s.json", BENCH / "step.json", lambda p: _program(compare.main, p, BENCH / "step.json"), 50),
        **{
            f"plan by {what}": copy(f"{what}.json", BENCH / f"{what}.json", planned(what), 20)
            for what in ("step", "input", "evaluate")
        },
    }


def _release(root: Path) -> Row:
    """The kept file of a release, beside that of the default, and all that is made of the two."""
    baseline = read_baseline(next((RESULTS / "baselines").glob("*.json")))
    key = {"cpu": "AMD EPYC", "cores": 2, "variables": {"OMP_NUM_THREADS": "2"}, "lock": "", "code": ""}
    rows = [
        ["forward: stem: GELU", 1e-7, 1e-6, "ok"],
        ["loss: ce_smooth", "inf", 1e-6, "out"],
        ["mean", None, None, "not done"],
    ]
    facts = {
        **{"format": FORMAT, "commit": "1a2b3c4d", "key": key, "failed": {"short run": "no"}, "size_bytes": 4},
        "short_run": {"losses": [*baseline.losses[:-1], "nan"], "seconds": 3.5, "workload": baseline.workload},
        "speed": {what: {"ratios": [1, 1.1], "median_s": 1, "compile_s": 2, "peak_bytes": 3} for what in WORKLOADS},
        "fingerprint": {mode: {"cause": "it rounds", "rows": rows} for mode in MODES},
    }
    for release in ("2.10.0", "2.7.0"):
        write_kept(kept_path(root, release), {**facts, "release": release})

    def read() -> None:
        _program(diff.main, "2.7.0", "2.10.0", "--results", root)
        release_rows(read_kept_releases(root, {"2.10.0": 0, "2.7.0": 0}), "2.10.0", [baseline])

    return Row(kept_path(root, "2.7.0"), read)


def make_rows(root: Path) -> dict[str, Row]:
    """Make a whole file of each kind below ``root``."""
    resumed = [resume(4, changed=["max_epoch 8 -> 10"])]
    names = json.dumps({"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]})
    golden, log = ROOT / "tests/hlg/fixtures/golden.npz", RESULTS / "published/train_ascend910x8.log"
    return {
        **{f"{file} of a run": _run(root / f"train {file}", file, tiny_train_run, resumed=resumed) for file in RECORDS},
        **{f"{file} of a check": _run(root / f"check {file}", file, check_run) for file in RECORDS[:4]},
        "eval.json": _run(root / "eval 1", "eval.json", eval_run, counts=CLASSES),
        "eval.log": _run(root / "eval 2", "eval.log", tiny_eval_run),
        "page": _page(root / "page"),
        "release": _release(root / "releases"),
        "log": _file(root / "train.log", log.read_bytes(), read_log),
        "recipe": _file(root / "recipe.yml", dump(Config()), lambda path: load(["--config_path", str(path)]), 10),
        "rank table": _file(root / "hccl.json", json.dumps(table("10.0.0.1", "10.0.0.2")), read_rank_table),
        "class names": _file(root / "names.json", names, read_class_list),
        "class lines": _file(root / "names.txt", "n01440764 tench, Tinca\nn01443537 goldfish\n", read_class_list),
        "golden": _file(root / "golden.npz", golden.read_bytes(), read_golden, 10),
        **_checkpoints(root),
        **_data_sets(root),
        **_measurements(root),
    }

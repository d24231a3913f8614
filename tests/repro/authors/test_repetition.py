"""One training of the authors' code is kept whole and sealed, or leaves nothing that passes for one.

A stand-in of this project takes the place of their program and their Python, and a kept evaluation that of ours.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from repro.authors import repetition
from repro.authors.checkout import AuthorsCode
from repro.authors.repetition import AuthorsJob, find_repetitions_of, read_repetition, train_once
from repro.authors.stack import Stack
from repro.authors.trainings import only_one, repeat_theirs
from repro.errors import ReproError
from tests.support import ROOT

EVALUATION = ROOT / "results/kept/20261125T131554Z_tiny_cpux1_7ade8202"
TRAIN = """
import os, sys, time
if os.environ.get("STAND_IN") == "wait":
    print("waits", flush=True)
    time.sleep(60)
if os.environ.get("STAND_IN") == "fails":
    sys.exit("no kernel for GeLU")
os.mkdir("outputs")
with open("outputs/2026-11-29_time_07_00_00_rank_0.log", "w") as log:
    for step in range(4):
        print(f"2026-11-29 07:00:0{step},123:INFO:epoch[{step // 2}], step_num[{step}], loss={7 - step:.6f}", file=log)
        if step % 2:
            print(f"2026-11-29 07:00:0{step},123:INFO:epoch[{step // 2}], epoch time: 2.00s, per step time: 1.0000s, "
                  f"loss={7 - step:.6f}, lr=0.001000, fps=4.00", file=log)
    if os.environ.get("STAND_IN") != "full disk":
        for message in ("training time used=4.00s", "last_metric[-1]", "ip[127.0.0.1], mean_fps[4.00]"):
            print(f"2026-11-29 07:00:05,123:INFO:{message}", file=log)
open("outputs/hlg_mobile-2_2.ckpt", "w").write("weights")
"""
EVALUATE = """
import shutil, sys, os
if os.environ.get("STAND_IN") == "no evaluation":
    sys.exit("error: weights: is no checkpoint")
shutil.copytree({kept!r}, os.path.join(sys.argv[sys.argv.index("--save_checkpoint_path") + 1], {name!r}))
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuthorsJob:
    """A training of seconds; what it does is in the variable STAND_IN."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/train.py").write_text(TRAIN)
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(sys.executable)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/manifest.json").write_text('{"hash": "1234"}')
    (tmp_path / "short.yml").write_text(
        f"dataset_path: {tmp_path}/data/train\neval_path: {tmp_path}/data/val\nmax_epoch: 2\n"
    )
    (tmp_path / "evaluate.py").write_text(EVALUATE.format(kept=str(EVALUATION), name=EVALUATION.name))
    monkeypatch.setattr(repetition, "EVALUATE", (sys.executable, str(tmp_path / "evaluate.py")))
    code = AuthorsCode(tmp_path / "code", "https://example.org", "a" * 40, True, ())
    return AuthorsJob(code, Stack(tmp_path / "venv", "3.9.18", "5678", True), tmp_path / "short.yml", tmp_path / "runs")


def test_a_training_is_kept_with_its_origin_and_sealed(job: AuthorsJob) -> None:
    found = train_once(job)
    assert list(found.losses) == [7, 6, 5, 4]
    assert found.top1_pct == pytest.approx(90.94, abs=0.01)
    assert found.facts["code"] == {
        "repository": "https://example.org",
        "commit": "a" * 40,
        "first": True,
        "changed": [],
    }
    assert found.facts["stack"]["mindspore"] == "1.7.0"
    assert found.facts["seed"].startswith("1, fixed in train.py")
    assert sorted(path.name for path in found.folder.iterdir()) == [
        *("SHA256SUMS", "checkpoints", "config.yml", "console.log", "env.json", "evaluation", "train.log")
    ]
    shutil.rmtree(found.folder / "checkpoints")  # which are not kept with the record
    assert read_repetition(found.folder).losses == found.losses
    (found.folder / "train.log").write_text("other")
    with pytest.raises(ReproError, match=r"the seal is broken: changed train\.log"):
        read_repetition(found.folder)


def test_what_is_finished_is_not_repeated_and_what_is_another_code_does_not_count(job: AuthorsJob) -> None:
    first = repeat_theirs(job, 1)
    assert [it.folder for it in repeat_theirs(job, 1)] == [first[0].folder]
    changed = replace(job, code=replace(job.code, changed=("src/hlg.py changed",)))
    assert find_repetitions_of(changed) == []
    assert "-changed" in train_once(changed).folder.name
    assert [it.folder for it in find_repetitions_of(job)] == [first[0].folder]


def test_a_program_that_fails_is_told_and_leaves_nothing(job: AuthorsJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "fails")
    with pytest.raises(ReproError, match=r"train\.py ended with exit code 1: no kernel for GeLU; all of it: .*console"):
        train_once(job)
    assert find_repetitions_of(job) == []
    assert [path for path in job.runs.iterdir() if path.is_dir()] == []


def test_a_log_that_lacks_lines_as_on_a_full_disk_is_no_training(
    job: AuthorsJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "full disk")
    with pytest.raises(ReproError, match=r"train\.log: found 2 epochs and 4 steps, expected a whole training of 2"):
        train_once(job)
    assert find_repetitions_of(job) == []


def test_a_training_that_only_lacks_its_evaluation_is_finished(
    job: AuthorsJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "no evaluation")
    with pytest.raises(ReproError, match=r"can't be evaluated: error: weights: is no checkpoint"):
        train_once(job)
    monkeypatch.delenv("STAND_IN")
    assert len(find_repetitions_of(job)) == 1


def test_a_training_ends_with_the_program_that_started_it(job: AuthorsJob) -> None:
    """Even where that is killed by SIGKILL, nothing goes on in a folder that the next call removes."""
    script = (
        "from pathlib import Path\nfrom repro.authors.repetition import _follow\n"
        f"_follow([{sys.executable!r}, {str(job.code.folder / 'train.py')!r}], Path.cwd(), Path('console.log'), {{}})"
    )
    (work := job.runs).mkdir()
    env = {**os.environ, "STAND_IN": "wait", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=work, env=env)
    while not (work / "console.log").exists() or "waits" not in (work / "console.log").read_text():
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while _runs(job.code.folder / "train.py") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(job.code.folder / "train.py")


def _runs(program: Path) -> bool:
    """Tell whether a process runs this program."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(program).encode() in line.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def test_only_one_process_trains_in_a_folder(job: AuthorsJob) -> None:
    with only_one(job.runs), pytest.raises(ReproError, match="another process trains here"), only_one(job.runs):
        pass

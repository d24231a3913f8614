"""The variables of make: which ones a target reads, that values stay what was typed, and what errors call them."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import ROOT
from tests.support.processes import run_command, run_make

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

UNREAD = """
train SEED=2
    SEED: make train does not read it; did you mean SEEDS=... or seed=...?
tiny EPOCHS=1
    EPOCHS: make tiny does not read it; did you mean max_epoch=... or warmup_epochs=...?
report SEEDS=1
    SEEDS: make report does not read it; these do: convergence, reproduce, tiny, train,
report seed=1
    seed: make report does not read it
report runs=/x
    runs: make report does not read it; did you mean RUNS=...?
train report SEEDS=1 IMAGES=x
    IMAGES: make train report does not read it
train-cpu2 CONFIG=x
    CONFIG: make train-cpu2 does not read it; these do: cluster-files,
train PRETRAINED=x
    PRETRAINED: make train does not read it; did you mean pretrained=...?
train CUDA_VISIBLE_DEVICES=1
    CUDA_VISIBLE_DEVICES: make train does not read it; a variable of the environment goes before make:
train OMP_NUM_THREADS=1
    OMP_NUM_THREADS: make train does not read it; a variable of the environment goes before make: OMP_NUM_THREADS=...
CONFIG=x
    CONFIG: make help does not read it
train "a';>pwned;'=1"
    a';>pwned;': make train does not read it
"""
CASES = r"(?m)^(\S.*)\n +(.*)$"


@pytest.mark.parametrize(("target", "said"), re.findall(CASES, UNREAD))
def test_a_variable_that_nothing_reads_is_an_error_with_the_closest_ones(target: str, said: str) -> None:
    done = run_make(*shlex.split(target))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"*** {said}" in done.stderr
    assert not (ROOT / "pwned").exists()


def test_a_check_of_variables_that_fails_stops_make(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    assert "*** docker/variables.sh failed" in run_make("train", "seed=2", cwd=tmp_path).stderr


@cache
def accepted() -> dict[str, set[str]]:
    """What each target accepts, from docker/variables.sh."""
    table = 'source docker/variables.sh ""; for target in "${!reads[@]}"; do echo "$target ${reads[$target]}"; done'
    lines = run_command("bash", "-c", table).stdout.splitlines()
    return {target: set(names) for target, *names in map(str.split, lines)}


MAKEFILE = (ROOT / "Makefile").read_text()
START = "".join((ROOT / f"docker/{name}.sh").read_text() for name in ("start", "programs"))
TARGET = r"(?m)^(\S.*?): ?([a-z -]*)## .*\n((?:\t.*\n)*)"
TARGETS = re.findall(TARGET, MAKEFILE.replace("$(PYTEST)", "$(START) python"))
RECIPES = {target: (needs.split(), recipe) for names, needs, recipe in TARGETS for target in names.split()}
CODE = dict(re.findall(r"^(\w+)\(\) \{([^\n]*|.*?^)\}$", START, re.MULTILINE | re.DOTALL))
ENGINE = (ROOT / "docker/engine.sh").read_text()
CODE |= {f"docker/{name}.sh": (ROOT / f"docker/{name}.sh").read_text() + ENGINE for name in ("build", "run")}


def code_of(target: str) -> Iterator[str]:
    """The recipe of a target and of those that it needs, and every function and script that they call."""
    needs, recipe = RECIPES[target]
    for need in needs:
        yield from code_of(need)
    todo, done = [recipe], set[str]()
    while todo:
        text = todo.pop()
        yield text
        words = set(re.findall(r"[\w./]+", text.replace("-", "_"))) - done
        done |= words
        todo += [CODE[word] for word in words & CODE.keys()]
    if target.startswith("image-"):
        yield CODE["docker/build.sh"]
    elif target == "test-image":
        yield CODE["docker/run.sh"]
    elif "START" in recipe:
        yield "DEVICE DRY_RUN"


@pytest.mark.parametrize("target", sorted(RECIPES.keys() | accepted().keys()))
def test_what_a_target_accepts_something_of_it_reads(target: str) -> None:
    words = set(re.findall(r"\w+", " ".join(code_of(target))))
    assert accepted()[target] - words == set()


def stand_in(folder: Path) -> Path:
    """A virtual environment whose Python notes its words, each ended by a NUL, and ends with 75."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").write_text('#!/bin/sh\nprintf \'%s\\0\' "$@" >"${0%/*}/words"\nexit 75\n')
    (folder / "bin/python").chmod(0o755)
    return folder


ODD = 'it\'s "a" $x $(x) ${x} `y` #z \\n; | & <(w) *\n$'
SIGNS = st.sampled_from(" $|`'\"\\;&#*\n\t~%,:=()") | st.characters(codec="utf-8", exclude_characters="\0")
VALUES = st.text(SIGNS).filter(lambda text: text and text == text.lstrip())  # make cuts off blanks before a value


@pytest.mark.parametrize("origin", ["typed", "environment"])
def test_values_reach_the_program_as_they_were_written(origin: str, tmp_path: Path) -> None:
    venv = stand_in(tmp_path / "my 'venv' $(x) | y")

    @settings(max_examples=12)
    @given(VALUES, VALUES, VALUES, VALUES)
    @example(*(ODD,) * 4)
    def reach(imagenet: str, runs: str, config: str, key: str) -> None:
        values = {"PYTHON": "true", "VENV": str(venv), "IMAGENET": imagenet, "RUNS": runs, "CONFIG": config}
        typed = [f"{name}={value}" for name, value in values.items()] if origin == "typed" else []
        done = run_make("train", *typed, f"file_name={key}", **(values if origin == "environment" else {}))
        assert "Error 75" in done.stderr
        words = (venv / "bin/words").read_bytes().decode().split("\0")[:-1]
        assert words == [
            *("-m", "hlg.launch", "--logs", f"{runs}/.ranks", "hlg.train", "--config_path", config),
            *("--save_checkpoint_path", runs, "--dataset_path", f"{imagenet}/train", "--eval_path", f"{imagenet}/val"),
            f"--file_name={key}",
        ]

    reach()


def test_a_list_of_paths_keeps_their_blanks(tmp_path: Path) -> None:
    venv = stand_in(tmp_path / "venv")
    for name in ("my cat.jpg", "b1.jpg", "b2.jpg", "[b].jpg"):
        (tmp_path / name).touch()

    def seen(images: str) -> list[str]:
        run_make("predict", "PYTHON=true", f"VENV={venv}", f"IMAGES={images}")
        words = (venv / "bin/words").read_text().split("\0")
        return [Path(word).name for word in words[2 : words.index("--config_path")]]

    assert seen(f"{tmp_path}/my cat.jpg") == ["my cat.jpg"]
    assert seen(f"{tmp_path}/my\\ cat.jpg {tmp_path}/b?.jpg no*.jpg") == ["my cat.jpg", "b1.jpg", "b2.jpg", "no*.jpg"]
    assert seen(f"{tmp_path}/[b].jpg {tmp_path}/b1.jpg") == ["[b].jpg", "b1.jpg"]


def test_clean_removes_the_environment_that_is_named_and_nothing_that_is_none(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    shutil.copy(ROOT / "Makefile", tmp_path)
    for folder in ("x", "y", "x y"):
        (tmp_path / folder).mkdir()
    (tmp_path / "x y/pyvenv.cfg").touch()
    assert run_make("clean", f"VENV={tmp_path}/x y", cwd=tmp_path).returncode == 0
    assert run_make("clean", f"VENV={tmp_path}/x", cwd=tmp_path).returncode == 2
    assert [(tmp_path / folder).exists() for folder in ("x", "y", "x y")] == [True, True, False]


CALLED = """
imagenet ARCHIVES=/nowhere OUT=/tmp
    error: ARCHIVES: found '/nowhere'; allowed:
imagenet OUT=/tmp
    error: the following arguments are required: ARCHIVES
eval IMAGENET=/nowhere PRETRAINED=x.ckpt
    error: IMAGENET: found '/nowhere/val'; allowed: a folder that
eval
    eval_path: found '$DATA_PATH/imagenet/val', but $DATA_PATH is not set; name a folder: IMAGENET=..., or
eval CONFIG=configs/hlg_export.yml
    IMAGENET (default): found nothing; allowed: a folder that exists (IMAGENET=...)
train seed=x IMAGENET=/data
    error: seed: found 'x'; allowed:
train SEEDS='1 x'
    error: SEEDS: found '1 x'; allowed:
train SEEDS='1 2' seed=3
    error: SEEDS and seed: found '1 2' and '3', which are one; type one
train RUNS=a save_checkpoint_path=b
    error: RUNS and save_checkpoint_path: found 'a' and 'b', which are one; type one
train IMAGENET=/data RUNS=/proc/x
    error: RUNS: can't make /proc/x/
tiny-data CLASSES=0
    error: CLASSES=0: must be 1 or more
plan STEP_MS=x
    error: argument STEP_MS:
compare A=docker
    B: found nothing; name one, such as B=
compare A=docker RUN=docker
    A: found 'docker', but RUN names all runs
compare A=docker B=docker TARGET_TOP1=x
    error: argument TARGET_TOP1: invalid float value: 'x'
published PUBLISHED=docker
    error: PUBLISHED: found 'docker', which is not the authors' code; git clone
published PUBLISHED=docker REPEAT=x
    error: REPEAT: found 'x'; allowed: 1 to 1000
cluster-files IMAGENET=/data RUNS=/data/runs
    error: RUNS: found '/data/runs', IMAGENET '/data'; neither
"""


@pytest.mark.parametrize(("target", "said"), re.findall(CASES, CALLED))
def test_an_error_of_a_program_names_the_variable_that_was_typed(target: str, said: str) -> None:
    assert said in run_make(*shlex.split(target), f"VENV={sys.prefix}", f"PYTHON={sys.executable}").stderr

"""What the tests of cluster files share: how the files are rendered, and what the Makefile would run."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro import cluster
from tests.support.processes import run_make

IMAGE = "registry.example:5000/hlg-repro:1"
ODD = '/data/it\'s "a" #folder `x` (y) \\n ü @RUNS@'  # what a path can hold
DIGEST = "sha256:" + "ab" * 32

# Python, as the nodes run it. It notes its words, waits if told so, and notes the signals that come.
PYTHON = """#!{python}
import json, os, pathlib, signal, sys, time
out, node = pathlib.Path(os.environ["OUT"]), os.environ.get("SLURM_NODEID", os.environ.get("VC_TASK_INDEX"))
def stop(number, frame):
    (out / f"signal-{{node}}").write_text(signal.Signals(number).name)
    sys.exit(int(os.environ.get("CODE_STOPPED", "75")))
signal.signal(signal.SIGTERM, stop)
partial = out / f".words-{{node}}"
partial.write_text(json.dumps([sys.argv[1:], os.environ.get("IMAGE")]))
partial.rename(out / f"words-{{node}}")
end = time.monotonic() + float(os.environ.get("SECONDS_TO_RUN", "0"))
while time.monotonic() < end:
    time.sleep(0.02)
sys.exit(int(os.environ.get("CODE", "0")))
"""


def options(*more: str, nodes: int = 2, image: str = IMAGE) -> Any:
    """The options of a complete command line; later ones go before earlier ones."""
    base = ["--nodes", str(nodes), "--imagenet", "/data/imagenet", "--runs", "/results", "--image", image]
    return cluster.cluster_options([*base, *more])


def render(*more: str, **known: Any) -> dict[str, str]:
    return cluster.render_files(options(*more, **known), "python -m repro.cluster ...", "c0ffee")


def render_for(scheduler: str, *more: str, **known: Any) -> str:
    """The one file for this scheduler."""
    (text,) = render("--only", scheduler, *more, **known).values()
    return text


def write_programs(folder: Path, programs: Mapping[str, str]) -> str:
    """Write what stands for these programs and for Python; returns the PATH on which they come first."""
    folder.mkdir(exist_ok=True)
    for name, text in {**programs, "a python": PYTHON, "python": PYTHON}.items():
        (folder / name).write_text(text.format(python=sys.executable) if text is PYTHON else f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def words(out: Path, node: int) -> list[str]:
    """The words that Python got on a node."""
    path = out / f"words-{node}"
    return json.loads(path.read_text())[0] if path.exists() else []


def begin_run(runs: Path, logs: str, number: int = 1, *, checkpoint: bool = False) -> Path:
    """A run that a job began, whose launcher keeps its logs here, perhaps up to its first checkpoint."""
    run, place = runs / f"2026010{number}T000000Z_it", runs / f".ranks/{logs}/node-0/2026010{number}T000000Z_7"
    (run / "checkpoints").mkdir(parents=True)
    place.mkdir(parents=True)
    (place / "run_folder").write_text(f"{run}\n")
    if checkpoint:
        (run / "checkpoints/last.ckpt").touch()
    return run


def split(command: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The options of the launcher and the keys of the program in a command."""
    launch, program = command.index("hlg.launch"), command.index("hlg.train")
    return _pairs(command[launch + 1 : program]), _pairs(command[program + 1 :])


def _pairs(words: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        pairs[name] = value if equals else next(rest)
    return pairs


def make(target: str, *arguments: str) -> list[str]:
    """The words of the command that a target of the Makefile runs, from the first -m on."""
    done = run_make(target, "CONTAINER=0", "DRY_RUN=1", *arguments)
    assert done.returncode == 0, done.stderr
    (line,) = [shlex.split(line) for line in done.stdout.splitlines() if "hlg.train" in line]
    return line[line.index("-m") :]

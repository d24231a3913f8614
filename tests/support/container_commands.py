"""The engine's command of every target, kept in ``container_commands.txt`` word for word.

    python -m tests.support.container_commands      # writes the file anew after a change that is meant

The engines are stand-ins that answer what a real one answers; the scripts and the Makefile are the real ones.
"""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import ROOT

GOLDEN = Path(__file__).with_suffix(".txt")

DIGEST = "sha256:" + "0123456789abcdef" * 4
DOCKER = """#!/bin/sh
case "$*" in
  --version) echo "Docker version 28.2.2, build e6534b4" ;;
  "version "*) echo 28.2.2 ;;
  "image inspect "*) echo "{digest}" ;;
  "info "*) echo '{{"io.containerd.runc.v2":{{}}{runtime}}}' ;;
  *) exit 9 ;;
esac
"""
PODMAN = """#!/bin/sh
case "$*" in
  "info "*) echo 5.4.0 ;;
  "image inspect "*) echo "localhost/hlg-repro@{digest}" ;;
  *) exit 9 ;;
esac
"""
ENGINES = {
    "docker": {"docker": DOCKER.format(digest=DIGEST, runtime="")},
    "docker with the Ascend runtime": {"docker": DOCKER.format(digest=DIGEST, runtime=', "ascend":{}')},
    "podman": {"podman": PODMAN.format(digest=DIGEST)},
}
TWO_NODES = "NODES=2 NODE_RANK=1 MASTER=10.0.0.1"
CASES = [
    ("podman", "image-cpu"),
    (
        "docker",
        "image-cpu BASE_IMAGE=debian:12 CA_BUNDLE=/etc/ca.pem PIP_CONFIG=/etc/pip.conf BUILD_OPTIONS=--network=host",
    ),
    ("docker", "image-gpu"),
    ("docker", "image-ascend"),
    ("docker", "image-ascend CHIP=910b CANN=9.0.0"),
    ("podman", "tiny-data CONTAINER=1"),
    ("docker", "tiny CONTAINER=1 seed=3"),
    ("docker", "train CONTAINER=1 CONFIG=/recipes/own.yml IMAGENET=/data/imagenet"),
    ("docker", "train CONTAINER=1 RESUME=/elsewhere/run/checkpoints/last.ckpt"),
    ("docker", "train-cpu2 CONTAINER=1"),
    ("docker", "eval CONTAINER=1 PRETRAINED=/models/hlg.ckpt IMAGENET=/data/imagenet"),
    ("docker", "eval-cpu CONTAINER=1 PRETRAINED=/models/hlg.ckpt IMAGENET=/data/imagenet"),
    ("podman", "imagenet CONTAINER=1 ARCHIVES=/downloads OUT=/data/imagenet"),
    ("docker", "imagenet-verify CONTAINER=1 IMAGENET=/data/imagenet"),
    ("docker", "imagenet-verify CONTAINER=1 IMAGENET=/data/imagenet REPORT=results/data"),
    ("docker", "predict CONTAINER=1 IMAGES=cat.jpg PRETRAINED=/models/hlg.ckpt IMAGENET=/data/imagenet"),
    ("docker", "export CONTAINER=1 PRETRAINED=/models/hlg.ckpt file_format=SAFETENSORS"),
    ("docker", "export CONTAINER=1 PRETRAINED=/models/hlg.ckpt file_name=/models/hlg.mindir"),
    ("podman", "report CONTAINER=1 RUN_OPTIONS=--cpus=4"),
    ("docker", "check CONTAINER=1"),
    ("docker", "check CONTAINER=1 DEVICE=ascend"),
    ("docker", "baseline CONTAINER=1 REPEAT=2"),
    ("docker", "convergence CONTAINER=1"),
    ("docker", "plan CONTAINER=1"),
    ("docker", "plan CONTAINER=1 DEVICE=ascend IMAGENET=/data/imagenet"),
    ("docker", "audit CONTAINER=1 RUN=/elsewhere/train.log"),
    ("docker", "verify CONTAINER=1 RUN=results/runs/latest_tiny"),
    ("docker", "fingerprint CONTAINER=1"),
    ("docker", "fingerprint DEVICE=gpu AMP=O3"),
    ("docker", "fingerprint DEVICE=ascend RANKS=8"),
    ("docker", "fingerprint-diff CONTAINER=1 A=results/fingerprint/cpu_o0_graph.json B=/elsewhere/gpu_o0_graph.json"),
    ("docker", "doctor DEVICE=ascend DEVICES=0,1 IMAGENET=/data/imagenet"),
    ("docker", "train-gpu1 IMAGENET=/data/imagenet DEVICES=3"),
    ("docker", "train-gpu8 IMAGENET=/data/imagenet"),
    ("podman", "train-gpu8 IMAGENET=/data/imagenet"),
    ("docker", f"train-gpu8 IMAGENET=/data/imagenet IMAGE=registry.example/hlg:1 {TWO_NODES}"),
    ("docker", "eval-gpu IMAGENET=/data/imagenet PRETRAINED=results/runs/latest_hlg_mobile"),
    ("docker", "train-ascend1 IMAGENET=/data/imagenet"),
    ("docker", "train-ascend8 IMAGENET=/data/imagenet"),
    ("docker with the Ascend runtime", "train-ascend8 IMAGENET=/data/imagenet"),
    ("podman", f"train-ascend8 IMAGENET=/data/imagenet {TWO_NODES}"),
    ("docker", "train-ascend8 IMAGENET=/data/imagenet RANK_TABLE_FILE=/etc/hccl.json"),
    ("docker", "eval-ascend IMAGENET=/data/imagenet PRETRAINED=/models/hlg.ckpt"),
]


@functools.cache
def without_engines() -> str:
    """A PATH of this machine's programs but for engines, git and any Python: containers need none of them on it."""
    folder = Path(tempfile.mkdtemp(prefix="programs_"))
    atexit.register(shutil.rmtree, folder)
    for place in os.environ["PATH"].split(":"):
        for program in Path(place).glob("*") if place else ():
            link = folder / program.name
            if not program.name.startswith(("docker", "podman", "git", "python", "pypy")) and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def path_with(folder: Path, programs: dict[str, str]) -> str:
    """A PATH of ``programs`` (name -> text of a script), kept in ``folder``, and of no other engine."""
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return f"{folder}:{without_engines()}"


def checkout(folder: Path) -> Path:
    """What make and the scripts read, without the data, the runs and the git of this checkout."""
    for name in ("Makefile", "pyproject.toml", "docker", "configs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def dry_run(engine: str, arguments: str) -> str:
    """What ``make <arguments> DRY_RUN=1`` prints with that engine, one option a line, without this machine's names."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as programs:
        environment = {"PATH": path_with(Path(programs), ENGINES[engine]), "HOME": programs}
        here = checkout(Path(folder).resolve())
        done = subprocess.run(
            [shutil.which("make") or "make", "--no-print-directory", "--silent", "DRY_RUN=1", *arguments.split()],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or any(here.glob("results")):
            raise RuntimeError(f"make {arguments}: {done.stderr or 'a dry run made a folder'}")
    text = done.stdout.replace(str(here), "<here>").replace(f"{os.getuid()}:{os.getgid()}", "<uid>:<gid>")
    for start in (" --", " hlg-repro:", " registry."):
        text = text.replace(start, f" \\\n   {start}")
    text = text.replace("--tag \\\n    ", "--tag ")
    return text.replace(" \n", "\n")


def section(engine: str, arguments: str) -> str:
    """One case as it stands in the golden file."""
    return f"# {engine}: make {arguments}\n{dry_run(engine, arguments)}"


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(section(*case) for case in CASES))
    sys.exit(0)

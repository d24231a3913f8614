"""Describe the code, software and machine of a run, so that a reader can repeat it."""

import os
import platform
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from hlg.record.processor import processor_facts

ROOT = Path(__file__).parents[2]
PACKAGES = ("mindspore", "numpy", "opencv-python-headless", "pillow", "pyyaml", "simplejpeg")
ENVIRONMENT_VARIABLES = (
    *("ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "RANK_TABLE_FILE"),
    *("HLG_ENGINE", "HLG_IMAGE", "HLG_IMAGE_DIGEST"),  # docker/run.sh sets them
)
REVISION = "docker/revision.sh"
GIT_TIMEOUT_S = 30


def environment_facts(device: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Describe code, command, software and machine as ``env.json`` has them, and say what could not be found out."""
    git = git_state()
    why = git.pop("why", None)
    packages = {name: _version(name) for name in PACKAGES}
    missing = [f"version of {name}" for name, version in packages.items() if version is None]
    missing += [f"commit: {why}"] if why else []
    return {
        **git,
        "argv": [_program(sys.argv[0]), *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": packages,
        "platform": platform.platform(),
        "cpu": processor_facts(),
        "device": device,
        "variables": {name: os.environ[name] for name in ENVIRONMENT_VARIABLES if name in os.environ},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **facts,
        "missing": missing,
    }


def _program(path: str) -> str:
    """Name a program of this checkout relative to it, so that a command is the same wherever the checkout lies."""
    return str(Path(path).relative_to(ROOT)) if Path(path).is_relative_to(ROOT) else path


def git_state() -> dict[str, Any]:
    """Return the commit of the code that runs, and whether its tracked files were changed; None where unknown.

    Where no commit is known, ``source_sha256`` is the hash of the code, and ``why`` says why.
    """
    answer = _revision()
    first, *rest = (answer.decode(errors="replace").strip() if answer else "unknown").split(" ", 2)
    commit, _, dirty = first.partition("-")
    if commit != "unknown":
        return {"commit": commit, "dirty": bool(dirty)}
    digest, why = rest or (None, "docker/revision.sh, which asks git, can't be run")
    return {"commit": None, "dirty": None, "source_sha256": digest and digest.removeprefix("sha256:"), "why": why}


def code_patch() -> bytes | None:
    """Return the changes of tracked files since the commit, as ``git apply`` takes them; None where unknown."""
    return _revision("--patch")


def _revision(*options: str) -> bytes | None:
    """Ask docker/revision.sh, which says whose commit is known."""
    try:
        command = ["bash", str(ROOT / REVISION), *options]  # which need not be executable, as from some archives
        done = subprocess.run(command, capture_output=True, check=False, timeout=GIT_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def host_address() -> str | None:
    """Return this machine's address for the published ``ip[...]`` line, or None as the published run printed."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return None

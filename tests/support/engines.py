"""Machines whose container engines are stand-ins: they answer as real ones do, and note what they are told."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import ROOT
from tests.support.processes import run_command

DIGEST = "sha256:" + "0123456789abcdef" * 4
DOCKER = f"""#!/bin/sh
case "$*" in
  --version) echo "Docker version 28.2.2, build e6534b4" ;;
  "version "*) echo 28.2.2 ;;
  "info "*) echo '{{"io.containerd.runc.v2":{{}}}}' ;;
  "image inspect "*) echo "{DIGEST}" ;;
  *) printf '%s\\n' "$@" >"$HOME/asked" ;;
esac
"""
PODMAN = f"""#!/bin/sh
case "$1" in
  info) echo 5.4.0 ;;
  image) echo "localhost/hlg-repro@{DIGEST}" ;;
  *) printf '%s\\n' "$@" >"$HOME/asked" ;;
esac
"""
# Its image holds the definition that it was built from.
APPTAINER = """#!/bin/sh
case "$1" in
  --version) echo "apptainer version 1.4.5" ;;
  inspect) sed 's/ hlg-repro.inputs /hlg-repro.inputs: /' "$3" ;;
  build) cp definition image.sif; ls -A code secrets >>image.sif; echo built >>"$HOME/asked" ;;
  *) printf '%s\\n' "$@" >"$HOME/asked" ;;
esac
"""


class Command(NamedTuple):
    """What an engine is told: options by name, with all values of each, and the words after them."""

    options: dict[str, list[str]]
    rest: list[str]

    def mounts(self, *, writable: bool) -> set[str]:
        """The paths of the machine that it sees, each under its own name."""
        found = set()
        for mount in self.options.get("--mount", []):
            kind, source, target, *more = mount.split(",")
            path = source.removeprefix("source=")
            assert (kind, target) == ("type=bind", f"target={path}")
            if writable == (more != ["readonly"]):
                found.add(path)
        return found


def read_command(words: list[str]) -> Command:
    options: dict[str, list[str]] = {}
    words = words[3:] if words[1] == "--quiet" else words[2:]
    while words[0].startswith("--"):
        name, equals, value = words.pop(0).partition("=")
        complete = equals or name in ("--rm", "--read-only", "--containall", "--net", "--nv", "--fakeroot")
        options.setdefault(name, []).append(value if complete else words.pop(0))
    return Command(options, words)


ABSENT = ("docker", "podman", "apptainer", "singularity", "git", "python", "pypy")


def programs_without_engines(folder: Path) -> Path:
    """Link this machine's programs but for engines, git and any Python: containers need none of them on it."""
    for place in os.environ["PATH"].split(":"):
        for program in Path(place).glob("*") if place else ():
            link = folder / program.name
            if not program.name.startswith(ABSENT) and not link.is_symlink():
                link.symlink_to(program)
    return folder


class Machine:
    """A machine with these engines (name -> script) alone, and a checkout of this project without data and runs."""

    def __init__(self, folder: Path, programs: Path, engines: dict[str, str]) -> None:
        self.home, self.checkout = folder / "home", folder / "checkout"
        self.home.mkdir()
        self.checkout.mkdir()
        for name in ("Makefile", "pyproject.toml", "docker", "configs"):
            (self.checkout / name).symlink_to(ROOT / name)
        for name, text in engines.items():
            (self.home / name).write_text(text)
            (self.home / name).chmod(0o755)
        self.variables = {"PATH": f"{self.home}:{programs}", "HOME": str(self.home)}

    def run(self, *command: str, **variables: str) -> tuple[int, str]:
        """Exit code, and all that is printed."""
        done = run_command(*command, cwd=self.checkout, env=self.variables | variables, inherit=False)
        return done.returncode, done.stdout + done.stderr

    def asked(self) -> list[str]:
        """The words that the engine was told last."""
        return (self.home / "asked").read_text().splitlines()


Machines = Callable[..., Machine]
RUN, BUILD = "docker/run.sh", "docker/build.sh"
UUID = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs_without_engines(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def machine(tmp_path: Path, programs: Path) -> Machines:
    return lambda **engines: Machine(tmp_path, programs, engines)


def told(here: Machine, target: str, **variables: str) -> list[Command]:
    """What a target tells the engine."""
    code, text = here.run("make", "--no-print-directory", "DRY_RUN=1", *shlex.split(target), **variables)
    assert (code, list(here.checkout.glob("results"))) == (0, []), text
    lines = [line for line in text.splitlines() if line.startswith(("docker ", "podman ", "apptainer "))]
    return [read_command(shlex.split(line)) for line in lines]

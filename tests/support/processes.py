"""Run programs as users do, and watch what other processes do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support import ROOT

Done = subprocess.CompletedProcess[str]


def run_command(
    *command: object,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    inherit: bool = True,
    stdin: str = "",
    timeout: float = 300,
    code: int | None = None,
) -> Done:
    """Run a command to its end and return its exit code and output, whatever they are unless a code is given.

    Args:
        command: The program and its arguments; what is no string yet is made one.
        cwd: Where it runs.
        env: Variables that are set for it.
        inherit: Whether it also gets the variables of this process.
        stdin: What it reads from standard input.
        timeout: s, after which the test fails.
        code: The exit code that it must have.
    """
    environment = {**(os.environ if inherit else {}), **(env or {})}
    pipes: dict[str, Any] = {"input": stdin, "capture_output": True, "text": True}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, timeout=timeout, check=False, **pipes)
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done


def start_command(*command: object, **options: Any) -> subprocess.Popen[str]:
    """Start a command as `run_command` runs one; further options are those of Popen."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(list(map(str, command)), **{"cwd": ROOT, "text": True, **pipes, **options})


def run_module(name: str, *arguments: object, **options: Any) -> Done:
    """``python -m name`` with these arguments; the options are those of `run_command`."""
    return run_command(sys.executable, "-m", name, *arguments, **options)


def run_make(*arguments: str, cwd: Path = ROOT, **variables: str) -> Done:
    """Run make without the variables of a make that runs the tests."""
    return run_command("make", *arguments, cwd=cwd, env={"PATH": os.environ["PATH"], **variables}, inherit=False)


def run_git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, under a name of its own, and return what it prints."""
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    return run_command("git", *identity, *arguments, cwd=folder, code=0).stdout


def make_commit(folder: Path) -> str:
    """Make a repository of a folder, with one commit of all that is in it; returns that."""
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "one"]):
        run_git(folder, *command)
    return run_git(folder, "rev-parse", "HEAD").strip()


def wait_for(condition: Callable[[], object], what: str, timeout: float = 60) -> None:
    """Wait until a condition holds; fail after so many seconds and name what was waited for."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not, for nobody may reap orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

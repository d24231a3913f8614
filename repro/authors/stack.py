"""Build the environment of the authors' code: Python 3.9, MindSpore 1.7.0 and what it links against, from hashes.

MindSpore 1.7.0 has its CPU backend in a wheel that also loads CUDA's libraries and NVIDIA's driver. The libraries are
packages; where no driver is, a stub is compiled in its place. The stamp is written last: what was cut short is built
again.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from repro.errors import ReproError, tell
from repro.files import read_text, replace_file

DOCKER = Path(__file__).parents[2] / "docker"
LOCK, STUB = DOCKER / "published.lock", DOCKER / "no_driver.c"
MINDSPORE = "1.7.0"
DRIVER = "libcuda.so.1"
STAMP = "installed-lock.sha256"
HINTS = {
    "No space left": "free about 4 GB and type it again",
    "ensurepip": "install the package python3.9-venv",
    "THESE PACKAGES DO NOT MATCH THE HASHES": "a package is not the one that was locked; look at your package mirror",
    "CERTIFICATE_VERIFY_FAILED": "name your certificate bundle: export PIP_CERT=/path/to/ca-bundle.pem",
    "Could not find a version": "pip found no such package: is the machine online, or its package mirror complete?",
    "No matching distribution": "pip found no such package: is the machine online, or its package mirror complete?",
}


@dataclass(frozen=True)
class Stack:
    """An environment that is built. `lock`: the hash of what was installed; `stub`: whether the driver is a stub."""

    venv: Path
    python_version: str
    lock: str
    stub: bool

    @property
    def python(self) -> Path:
        """The Python to start, with `variables` in its environment."""
        return self.venv / "bin" / "python"

    def variables(self) -> dict[str, str]:
        """Return the variables of its programs: where the libraries are, and that no byte code is written."""
        folders = [*sorted(self.venv.glob("lib/python3.9/site-packages/nvidia/*/lib"))]
        if self.stub:
            folders.insert(0, self.venv / "stub")
        paths = [*map(str, folders), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        return {"LD_LIBRARY_PATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}

    def facts(self) -> dict[str, object]:
        """Describe it for a record."""
        return {"mindspore": MINDSPORE, "python": self.python_version, "lock": self.lock, "driver_stub": self.stub}


def build_stack(venv: Path, python: str) -> Stack:
    """Build the environment, or find it built.

    Raises:
        ReproError: the Python, the compiler, the network or the disk does not allow it; what to type is named.
    """
    lock = hashlib.sha256(read_text(LOCK).encode() + read_text(STUB).encode()).hexdigest()
    stub = not _has_driver()
    stamp = venv / STAMP
    wanted = f"{lock} {'stub' if stub else 'driver'}"
    if stamp.is_file() and (words := read_text(stamp).split(" ", 2))[:2] == wanted.split():
        return Stack(venv.absolute(), words[2], lock, stub)
    version = _python_version(python)
    compiler = _compiler() if stub else ""
    stamp.unlink(missing_ok=True)
    tell(f"{venv}: building from {LOCK.name} (a download of 1.6 GB; three minutes when timed)")
    _run("make the virtual environment", python, "-m", "venv", "--clear", str(venv))
    stack = Stack(venv.absolute(), version, lock, stub)
    _run(
        "install the packages",
        *(str(stack.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"),
        *("--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(LOCK)),
    )
    if stub:
        (venv / "stub").mkdir(exist_ok=True)
        target = str(venv / "stub" / DRIVER)
        _run("compile the stub of NVIDIA's driver", compiler, "-shared", "-fPIC", f"-Wl,-soname,{DRIVER}",
             "-o", target, str(STUB))  # fmt: skip
    _run(f"import MindSpore {MINDSPORE}", str(stack.python), "-c", "import mindspore.dataset",
         cwd=venv, variables=stack.variables())  # fmt: skip
    replace_file(stamp, f"{wanted} {version}")
    return stack


def _has_driver() -> bool:
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return False
    return True


def _python_version(python: str) -> str:
    """Return the version of this Python. Raises ReproError unless it is a 3.9 for which the wheels are made."""
    advice = "MindSpore 1.7.0 needs Python 3.9: PYTHON39=/path/to/python3.9"
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise ReproError(f"MindSpore 1.7.0 has wheels for Linux on x86_64 alone, and this is {platform.machine()}")
    try:
        words = [python, "-c", "import platform; print(platform.python_version())"]
        version = subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace").stdout.strip()
    except OSError as error:
        raise ReproError(f"--python39: found {python!r}, which can't be started ({error.strerror}); {advice}") from None
    if not version.startswith("3.9."):
        raise ReproError(f"--python39: found {python!r}, which is Python {version or 'of unknown version'}; {advice}")
    return version


def _compiler() -> str:
    """Return a C compiler. Raises ReproError if there is none."""
    for name in filter(None, (os.environ.get("CC"), "cc", "gcc", "clang")):
        if shutil.which(name):
            return name
    raise ReproError(
        f"found no C compiler, and without NVIDIA's driver a stub of {DRIVER} is compiled; install gcc, or name one: "
        "CC=/path/to/cc make ..."
    )


def _run(what: str, *command: str, cwd: Path | None = None, variables: dict[str, str] | None = None) -> None:
    """Run a command; if it fails, its last lines and what is known about the cause are the error."""
    tell(f"{what[0].upper()}{what[1:]} ...")
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            cwd=cwd,
            env={**os.environ, **(variables or {})},
        )
    except OSError as error:
        raise ReproError(f"could not {what}: {error.strerror}") from None
    if done.returncode:
        last = " ".join(done.stdout.split()[-40:])
        hint = next((text for sign, text in HINTS.items() if sign in done.stdout), "")
        raise ReproError(f"could not {what}: {hint or last}")

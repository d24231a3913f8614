"""Build the virtual environment from the hashed lock: `make setup`.

    python3 repro/bootstrap.py --venv .venv --lock docker/dev.lock --mindspore 2.7.0
    python3 repro/bootstrap.py --venv .venv --check                   # the question of `make doctor`

pip downloads, for it knows the mirrors, proxies and certificates of this machine; uv unpacks, in half of pip's time.
This file imports the standard library alone, in a syntax that old Pythons read too, since its first duty is to say what
does not fit; and it is one file, which images copy before anything else. Exit codes: 0 done, 1 it can't be built.
"""

import argparse
import ast
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PYTHONS = ((3, 11), (3, 12))  # of all packages: Pillow 13 has no wheel for an older one
SYSTEMS = (("Linux", "x86_64"), ("Linux", "aarch64"))
DOCKER = Path(__file__).absolute().parents[1] / "docker"
STAMP = "installed-lock.sha256"  # in the environment: which lock it was built from


def unsupported(version, system, machine, release="", pythons=()):  # type: (tuple, str, str, str, tuple) -> str
    """Say why no environment can be built on this Python and machine; empty when it can.

    ``pythons``: those for which the release of MindSpore has wheels; all if empty.
    """
    fitting = [v for v in PYTHONS if not pythons or "{}.{}".format(*v) in pythons]
    names = " or ".join("{}.{}".format(*v) for v in fitting)
    mindspore = "MindSpore {}".format(release).strip()
    if tuple(version[:2]) not in fitting:
        found = "{}.{}".format(*version[:2])
        return (
            "Python {} is not supported: {} and the packages beside it need Python {}. "
            "Name one: make setup PYTHON=python3.11".format(found, mindspore, names)
        )
    if (system, machine) not in SYSTEMS:
        return (
            "{} on {} is not supported: {} has wheels for Linux on x86_64 and aarch64 (glibc 2.28 or newer). On "
            "another system work in a Linux virtual machine or container".format(system, machine, mindspore)
        )
    return ""


def read_lock(lock, release):  # type: (Path, str) -> str
    """Read the lock, with the pins of another release of MindSpore in the place of its own."""
    text = lock.read_text()
    if not release or "\nmindspore=={} ".format(release) in text:
        return text
    pins = (DOCKER / "releases" / (release + ".lock")).read_text()
    return re.sub(r"(?m)^mindspore==.*\n(?:[ \t].*\n?)+", lambda _: pins, text)


def build(venv, lock, release="", then=()):  # type: (Path, Path, str, tuple) -> bool
    """Bring ``venv`` to what ``lock`` says; return whether anything had to be done.

    ``then`` is a command that has to succeed. The stamp is written last, so an environment whose installation was cut
    short is built again.
    """
    packages = read_lock(lock, release)
    wanted = hashlib.sha256(packages.encode()).hexdigest()
    stamp = venv / STAMP
    if stamp.is_file() and stamp.read_text() == wanted and (venv / "bin" / "python").exists():
        return False
    stamp.unlink() if stamp.exists() else None
    print("{}: building from {} (one to two minutes when timed)".format(venv, lock), flush=True)
    _run("make the virtual environment", sys.executable, "-m", "venv", "--clear", str(venv))
    python = str(venv.absolute() / "bin" / "python")
    (venv / "lock.txt").write_text(packages)
    wheels, unpacked = venv / "wheels", venv / "unpacked"
    hashed = ("--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes")
    offline = ("--no-index", "--find-links", str(wheels))
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    own, installer = ("--requirement", str(venv / "lock.txt")), ("--requirement", str(DOCKER / "installer.lock"))
    download = (*pip, "download", *hashed, "--dest", str(wheels), *own, *installer)
    _run("download the packages", *download, env=install_settings(*pip))
    _run("install uv", *pip, "install", *hashed, *offline, *installer)
    print("Install the packages ...", flush=True)
    # What uv unpacks becomes the environment's by hard links, since its cache lies on the same disk.
    uv = (str(venv / "bin" / "uv"), "--no-config", "--offline", "--cache-dir", str(unpacked))
    done = _execute(*uv, "pip", "install", "--python", python, *hashed, *offline, *own)
    shutil.rmtree(str(unpacked), ignore_errors=True)
    if done.returncode:  # as on a disk that knows no locks, of which uv takes some
        print("\n".join(done.stdout.strip().splitlines()[-3:]), file=sys.stderr)
        _run("install the packages with pip", *pip, "install", "--ignore-installed", *hashed, *offline, *own)
    shutil.rmtree(str(wheels), ignore_errors=True)
    with tempfile.TemporaryDirectory() as elsewhere:  # MindSpore leaves a folder where it runs
        _run("import MindSpore", python, "-c", "import mindspore; mindspore.__version__", cwd=elsewhere)
    if then:
        _run("find the libraries of the device", *then)
    stamp.write_text(wanted)
    return True


def install_settings(*pip):  # type: (*str) -> dict
    """Return pip's settings for `pip install` alone as variables, so that `pip download` finds the same packages.

    Many a pip.conf names the mirror under [global] and trusts its host under [install].
    """
    listed = _execute(*pip, "config", "list", env={"PIP_QUIET": "0"}).stdout
    found = re.findall(r"""(?m)^install\.([a-z-]+)=('.*'|".*")$""", listed)
    own = {"PIP_" + name.upper().replace("-", "_"): " ".join(ast.literal_eval(value).split()) for name, value in found}
    return dict(own, **{name: os.environ[name] for name in own if name in os.environ})


HINTS = {
    "ensurepip": "install the package python3-venv (Debian, Ubuntu: apt-get install python3-venv)",
    "libgomp": "install the package libgomp1 (Debian, Ubuntu: apt-get install libgomp1)",
    "THESE PACKAGES DO NOT MATCH THE HASHES": "a package is not the one that was locked: try again, and look at your "
    "package mirror if it stays",
    "No space left": "free about 5 GB and try again",
    "CERTIFICATE_VERIFY_FAILED": "name your certificate bundle: export PIP_CERT=/path/to/ca-bundle.pem",
    "Could not find a version": "pip found no such package: is the machine online, or its package mirror complete?",
}


# Variables that would put packages elsewhere, or find them there; and uv's, of which it is told all that it needs.
MISLEADING = re.compile("UV_|PIP_(TARGET|PREFIX|ROOT|USER)$|PYTHON(PATH|HOME)$")


def _execute(*command, cwd=None, env=None):  # type: (*str, str | None, dict | None) -> subprocess.CompletedProcess
    """Run a command, and return it with what it printed. MindSpore is told to say little."""
    environment = {name: value for name, value in os.environ.items() if not MISLEADING.match(name)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is compiled here is not compiled at each import
    environment.update(env or {}, GLOG_v="4")
    try:
        return subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            errors="replace",
            cwd=cwd,
            env=environment,
        )
    except OSError as error:  # it is not there, or its disk allows no programs
        return subprocess.CompletedProcess(command, 127, str(error))


def _run(what, *command, cwd=None, env=None):  # type: (str, *str, str | None, dict | None) -> None
    """Run a command. If it fails, end the program with its output and, where the cause is known, the way out."""
    print("{}{} ...".format(what[0].upper(), what[1:]), flush=True)
    done = _execute(*command, cwd=cwd, env=env)
    if done.returncode == 0:
        return
    print("\n".join(done.stdout.strip().splitlines()[-15:]), file=sys.stderr)
    hint = next((text for sign, text in HINTS.items() if sign in done.stdout), "see the lines above")
    raise SystemExit("error: could not {}: {}".format(what, hint))


def main():  # type: () -> None
    """Run the program; it ends with exit code 1 and one sentence if the environment can't be built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, default=Path(".venv"))
    parser.add_argument("--lock", type=Path, default=Path("docker/dev.lock"))
    parser.add_argument("--mindspore", default="", metavar="RELEASE", help="another release than the lock's")
    parser.add_argument("--then", nargs="+", default=(), metavar="WORD", help="command that checks its libraries")
    parser.add_argument("--check", action="store_true", help="build nothing, say: built, can be built, or why not")
    options = parser.parse_args()
    known = json.loads((DOCKER / "stacks.json").read_text())
    release = options.mindspore or next(iter(known))
    if release not in known:
        raise SystemExit("error: MINDSPORE: found {!r}; known: {}".format(release, ", ".join(known)))
    pythons = known[release]["pythons"]
    reason = unsupported(sys.version_info, platform.system(), platform.machine(), release, pythons)
    if options.check:
        print("built" if (options.venv / STAMP).is_file() else reason or "can be built")
        return
    if reason:
        raise SystemExit("error: " + reason)
    start = time.time()
    try:
        built = build(options.venv, options.lock, options.mindspore, options.then)
    except KeyboardInterrupt:
        print("stopped by Ctrl-C: {} is not whole; the next make setup builds it".format(options.venv), file=sys.stderr)
        raise SystemExit(130) from None
    if built:
        print("{}: ready after {:.0f} s".format(options.venv, time.time() - start))


if __name__ == "__main__":
    main()

"""Build the virtual environment from the hashed lock: `make setup`.

    python3 repro/bootstrap.py --venv .venv --lock docker/dev.lock --mindspore 2.7.0
    python3 repro/bootstrap.py --venv .venv --check                   # the question of `make doctor`

It imports the standard library alone, in a syntax that old Pythons read too, since its first duty is to say what does
not fit; and it is one file, which images copy before anything else. Exit codes: 0 done, 1 it can't be built.
"""

import argparse
import hashlib
import json
import os
import platform
import re
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
    print("{}: building from {} (two minutes when timed)".format(venv, lock), flush=True)
    _run("make the virtual environment", sys.executable, "-m", "venv", "--clear", str(venv))
    python = str(venv.absolute() / "bin" / "python")
    (venv / "lock.txt").write_text(packages)
    _run(
        "install the packages",
        python,
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"),
        *("--require-hashes", "--requirement", str(venv / "lock.txt")),
    )
    with tempfile.TemporaryDirectory() as elsewhere:  # MindSpore leaves a folder where it runs
        _run("import MindSpore", python, "-c", "import mindspore", cwd=elsewhere, quiet=True)
    if then:
        _run("find the libraries of the device", *then)
    stamp.write_text(wanted)
    return True


HINTS = {
    "ensurepip": "install the package python3-venv (Debian, Ubuntu: apt-get install python3-venv)",
    "libgomp": "install the package libgomp1 (Debian, Ubuntu: apt-get install libgomp1)",
    "THESE PACKAGES DO NOT MATCH THE HASHES": "a package is not the one that was locked: try again, and look at your "
    "package mirror if it stays",
    "No space left": "free about 4 GB and try again",
    "CERTIFICATE_VERIFY_FAILED": "name your certificate bundle: export PIP_CERT=/path/to/ca-bundle.pem",
    "Could not find a version": "pip found no such package: is the machine online, or its package mirror complete?",
}


def _run(what, *command, **options):  # type: (str, *str, object) -> None
    """Run a command. If it fails, end the program with its output and, where the cause is known, the way out."""
    print("{}{} ...".format(what[0].upper(), what[1:]), flush=True)
    environment = dict(os.environ, GLOG_v="4") if options.get("quiet") else None
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        errors="replace",
        cwd=options.get("cwd"),  # type: ignore[call-overload]
        env=environment,
    )
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

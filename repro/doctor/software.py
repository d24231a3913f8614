"""Check the software of a run: a container engine, or Python and the environment that `make setup` builds."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from repro.doctor.machine import Diagnosis, Machine, failure, ok, one_line
from repro.stacks.releases import read_releases

BOOTSTRAP = Path(__file__).parents[1] / "bootstrap.py"
_ENGINES = ("docker", "podman")
# Only an engine fills these in, not its client.
_SERVER = {
    "docker": ("version", "--format", "{{.Server.Version}}"),
    "podman": ("info", "--format", "{{.Version.Version}}"),
    "apptainer": ("--version",),
    "singularity": ("--version",),
}
_CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi", "/run/cdi")
_TOOLKIT = "install the NVIDIA Container Toolkit, then "
_DOCKER_FIX = _TOOLKIT + "run: sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
_CDI_FIX = _TOOLKIT + "run: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


def check_engine(machine: Machine, wanted: str, device: str) -> Iterable[Diagnosis]:
    """Check the engine that a run will use (``wanted``, or any), and whether it can pass GPUs on."""
    problems = []
    for engine in _ENGINES if wanted == "any" else (wanted,):
        if engine == "docker" and "podman" in machine.run("docker", "--version").output.lower():
            problems.append("docker is another name of podman here")
            continue
        answer = machine.run(engine, *_SERVER[engine])
        version = one_line(answer.output).rpartition(" ")[2]  # Apptainer puts its name before it
        if not answer.problem and re.match(r"\d+\.\d+", version):
            yield ok("engine", f"{engine} {version}")
            if device == "gpu" and engine in _ENGINES:  # Apptainer needs nothing but the driver
                yield _gpus_in_docker(machine) if engine == "docker" else _gpus_by_cdi(machine)
            return
        problems.append(answer.problem or f"{engine} tells no version of its engine: {version!r}")
    fix = "install podman or docker, or run without a container: CONTAINER=0"
    if machine.which("apptainer"):
        fix = "use Apptainer, which is here: ENGINE=apptainer"
    elif any("permission denied" in problem.lower() for problem in problems):
        fix = "join the group docker (sudo usermod -aG docker $USER) and log in again, or use podman"
    elif any("daemon" in problem for problem in problems):
        fix = "start it (sudo systemctl start docker), install podman, or run without a container: CONTAINER=0"
    yield failure("engine", f"no container engine answers: {'; '.join(problems)}", fix)


def _gpus_in_docker(machine: Machine) -> Diagnosis:
    try:
        runtimes = json.loads(machine.run("docker", "info", "--format", "{{json .Runtimes}}").output)
    except ValueError:
        runtimes = None
    if isinstance(runtimes, dict) and "nvidia" in runtimes:
        return ok("GPU runtime", "docker has the NVIDIA runtime")
    if machine.which("nvidia-container-runtime-hook") or _cdi(machine):
        return ok("GPU runtime", "the NVIDIA Container Toolkit is here")
    return failure("GPU runtime", "docker can't pass GPUs on: it knows no NVIDIA runtime", _DOCKER_FIX)


def _gpus_by_cdi(machine: Machine) -> Diagnosis:
    found = _cdi(machine)
    if not found:
        text = f"podman can't pass GPUs on: no specification of nvidia.com/gpu in {' or '.join(_CDI_FOLDERS[:2])}"
        return failure("GPU runtime", text, _CDI_FIX)
    path, text = found
    driver = re.search(r"/[^\s\"':]*/libcuda\.so\.\d[\d.]+", text)
    if driver and not machine.path(driver[0]).exists():
        return failure("GPU runtime", f"{path} was made for another driver: {driver[0]} is gone", _CDI_FIX)
    return ok("GPU runtime", f"podman knows the GPUs from {path}")


def _cdi(machine: Machine) -> tuple[Path, str] | None:
    """Find the file that describes the GPUs to container engines; return it with its text."""
    for folder in _CDI_FOLDERS:
        for path in sorted(machine.path(folder).glob("*")):
            text = machine.read(f"{folder}/{path.name}") if path.suffix in (".yaml", ".yml", ".json") else ""
            if "nvidia.com/gpu" in text:
                return path, text
    return None


def check_container(machine: Machine) -> Diagnosis:
    """Name the container that this process runs in."""
    get = machine.environment.get
    image = get("HLG_IMAGE_DIGEST", "")[:19] or "without a name: start it by docker/run.sh and env.json will have it"
    return ok("container", f"{get('HLG_ENGINE', 'unknown engine')}, code {get('HLG_COMMIT', '')[:12]}, image {image}")


def check_python(machine: Machine, venv: str, inside: bool, wanted: str) -> Iterable[Diagnosis]:
    """Check that `make setup`, or the image (``inside``), has built the environment, or that this Python can."""
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        yield failure("libgomp", "libgomp.so.1 is missing, and MindSpore needs it", "install the package libgomp1")
    version, installed = mindspore_version(venv, wanted)
    answer = machine.run(sys.executable, str(BOOTSTRAP), "--venv", venv, "--mindspore", wanted, "--check")
    state = answer.output.strip() or answer.problem
    if installed and (inside or state == "built"):
        yield ok("MindSpore", f"{version}, in {venv}")
    elif inside:
        yield failure("MindSpore", f"is not in {venv} of this image", "build the image again, or leave IMAGE out")
    else:
        yield _setup(version, venv, state)


def _setup(mindspore: str, venv: str, state: str) -> Diagnosis:
    """Say whether this Python can build the environment; ``state`` is what bootstrap.py says of it."""
    library, number = platform.libc_ver()
    if state not in ("built", "can be built"):
        fix = "name another one: PYTHON=python3.11; or run in a container: CONTAINER=1"
        return failure("Python", state.partition(". Name one")[0], fix)
    if library == "glibc" and [int(part) for part in number.split(".")] < [2, 28]:
        return failure("Python", f"glibc {number} is too old: MindSpore needs 2.28", "run in a container: CONTAINER=1")
    if not importlib.util.find_spec("ensurepip") or not importlib.util.find_spec("venv"):
        text = f"Python {platform.python_version()} can't build an environment"
        return failure("Python", text, "install the package python3-venv")
    return ok("Python", f"{platform.python_version()}; make setup will install MindSpore {mindspore} in {venv}")


def packages(venv: str) -> list[Path]:
    """List the folders in which an environment has its packages; one that can't be read has none."""
    try:
        return sorted(Path(venv).glob("lib/python3.*/site-packages"))
    except OSError:
        return []


def mindspore_version(venv: str, wanted: str = "") -> tuple[str, bool]:
    """Return (version, whether it is installed) of the environment's MindSpore, or of the one that is ``wanted``."""
    for folder in packages(venv):
        for path in sorted(folder.glob("mindspore-*.dist-info")):
            return path.name[len("mindspore-") : -len(".dist-info")], True
    return wanted or next(iter(read_releases())), False


def accepted_cann(venv: str, version: str) -> Sequence[str]:
    """Return the CANN versions, as major.minor, that the environment's MindSpore accepts, else this one."""
    text = _of_mindspore(venv, "run_check/_check_version.py")
    found = re.search(r"class AscendEnvChecker.*?self\.version = \[(.*?)\]", text, re.DOTALL)
    versions = re.findall(r"\d+\.\d+", found[1]) if found else []
    known = read_releases().get(version)
    return versions or (known.cann if known else [])


def compiled_with_cann(venv: str) -> str:
    """Return the CANN version, as major.minor, that MindSpore's own operators were compiled with; empty if unknown."""
    text = _of_mindspore(venv, "lib/plugin/ascend/custom_ascendc_910b/version.info")
    found = re.search(r"custom_opp_compiler_version=(\d+\.\d+)", text)
    return found[1] if found else ""


def _of_mindspore(venv: str, name: str) -> str:
    paths = [path for folder in packages(venv) for path in [folder / "mindspore" / name] if path.is_file()]
    return paths[0].read_text(encoding="utf-8", errors="replace") if paths else ""

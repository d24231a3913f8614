"""The scripts that build and run containers: their commands word for word, and what they refuse.

``tests/image`` tries the CPU image with a real engine.
"""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.container_commands import CASES, DOCKER, GOLDEN, ROOT, path_with, section
from tests.support.processes import run_git

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

NO_SERVER = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'Docker version 28.2.2' || exit 1\n"
PODMAN_CALLED_DOCKER = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'podman version 5.4.0' || echo 5.4.0\n"
RECORDER = """#!/bin/sh
case "$1" in
  info) echo 5.4.0 ;;
  image) echo sha256:{} ;;
  *) printf '%s\\n' "$@" >"$HOME/{}" ;;
esac
"""


def script(name: str, *arguments: str, folder: Path, engines: dict[str, str], **variables: str) -> tuple[int, str]:
    """Exit code and output of docker/<name>.sh, called in ``folder`` on a machine that has only these engines."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(ROOT / "docker" / f"{name}.sh"), *arguments],
        cwd=folder,
        env={"PATH": path_with(programs, engines), "HOME": str(folder), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def engine(asked: str = "asked") -> str:
    """A podman that keeps in the file ``asked`` what it is told to build or run, one word a line."""
    return RECORDER.format("a" * 64, asked)


@pytest.mark.parametrize(("which", "arguments"), CASES)
def test_every_target_gives_the_engine_the_command_that_is_kept(which: str, arguments: str) -> None:
    assert section(which, arguments) in GOLDEN.read_text(), "if it is meant: python -m tests.support.container_commands"


def test_a_docker_client_without_an_engine_does_not_count(tmp_path: Path) -> None:
    engines = {"docker": NO_SERVER, "podman": engine()}
    assert script("run", "cpu", "true", folder=tmp_path, engines=engines)[0] == 0
    assert (tmp_path / "asked").read_text().startswith("run\n--rm\n")


def test_podman_under_the_name_of_docker_is_spoken_to_as_podman(tmp_path: Path) -> None:
    engines = {"docker": PODMAN_CALLED_DOCKER, "podman": engine()}
    assert script("build", "cpu", folder=tmp_path, engines=engines)[0] == 0
    assert "--timestamp" in (tmp_path / "asked").read_text().split()


def test_a_machine_without_an_engine_is_told_what_to_install(tmp_path: Path) -> None:
    client_alone = '#!/bin/sh\n[ "$1" = version ] && echo 5.4.0\n'  # podman's, whose service is on another machine
    for engines in ({}, {"docker": NO_SERVER}, {"podman": client_alone}):
        code, text = script("run", "cpu", "true", folder=tmp_path, engines=engines)
        assert code == 2
        assert text.startswith("error: no container engine answers: install podman, or install docker and start")


def test_an_engine_that_is_asked_for_is_not_replaced_by_another(tmp_path: Path) -> None:
    engines = {"docker": NO_SERVER, "podman": engine()}
    code, text = script("run", "cpu", "true", folder=tmp_path, engines=engines, ENGINE="docker")
    assert (code, text) == (
        2,
        "error: ENGINE: 'docker' does not answer: is it installed, and its service running?\n",
    )
    code, text = script("run", "cpu", "true", folder=tmp_path, engines=engines, ENGINE="lxc")
    assert (code, text) == (2, "error: ENGINE: found 'lxc'; allowed: docker or podman\n")


@pytest.mark.parametrize("devices", ["0,1", "one", "0,", ""])
def test_devices_are_as_many_numbers_as_the_target_has_ranks(tmp_path: Path, devices: str) -> None:
    asked = script(
        "run",
        "--devices",
        "1",
        "gpu",
        "true",
        folder=tmp_path,
        engines={"podman": engine()},
        DEVICES=devices,
        DRY_RUN="1",
    )
    if devices:
        assert asked == (
            2,
            f"error: DEVICES: found '{devices}'; allowed: 1 numbers with commas between them, or leave it out\n",
        )
    else:
        assert " --device nvidia.com/gpu=0 " in asked[1]


@pytest.mark.parametrize("device", ["gpu", "ascend"])
def test_a_machine_without_the_accelerator_gets_a_sentence(tmp_path: Path, device: str) -> None:
    if list(Path("/dev").glob("nvidiactl")) + list(Path("/dev").glob("davinci0")):
        pytest.skip("this machine has one")
    code, text = script("run", "--devices", "1", device, "true", folder=tmp_path, engines={"podman": engine()})
    assert code == 2
    assert text.startswith("error: this machine has no ")
    assert f"make doctor DEVICE={device}" in text
    assert not (tmp_path / "asked").exists()


def test_an_image_that_is_not_there_is_named_with_the_way_to_it(tmp_path: Path) -> None:
    forgetful = '#!/bin/sh\n[ "$1" = info ] && echo 5.4.0\n'
    code, text = script("run", "cpu", "true", folder=tmp_path, engines={"podman": forgetful})
    assert (code, text) == (
        2,
        "error: IMAGE: podman has no 'hlg-repro:cpu': build it by 'make image-cpu', or pull it\n",
    )


def test_a_folder_to_read_has_to_exist_and_one_to_write_is_made_by_the_caller(tmp_path: Path) -> None:
    engines = {"podman": engine()}
    code, text = script("run", "--read", "nowhere", "cpu", "true", folder=tmp_path, engines=engines)
    assert (code, text) == (2, "error: nowhere: does not exist, or can't be read\n")
    assert script("run", "--write", "results/runs", "cpu", "true", folder=tmp_path, engines=engines)[0] == 0
    assert (tmp_path / "results/runs").stat().st_uid == os.getuid()
    words = (tmp_path / "asked").read_text().splitlines()
    assert f"type=bind,source={tmp_path}/results/runs,target={tmp_path}/results/runs" in words
    assert f"{os.getuid()}:{os.getgid()}" in words


def test_a_path_in_a_folder_that_is_there_already_is_not_mounted_twice(tmp_path: Path) -> None:
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/latest").symlink_to("one")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs/other").symlink_to(tmp_path / "elsewhere")
    options = ["--write", "runs", "--read", "runs/latest", "--read", "runs/other"]
    assert script("run", *options, "cpu", "true", folder=tmp_path, engines={"podman": engine()})[0] == 0
    mounts = [word for word in (tmp_path / "asked").read_text().splitlines() if word.startswith("type=bind")]
    assert [mount.split("target=")[1] for mount in mounts] == [
        f"{tmp_path}/runs",
        f"{tmp_path}/runs/other,readonly",  # the link leads out of the folder
    ]


def test_a_folder_that_the_image_has_itself_is_not_hidden_from_it(tmp_path: Path) -> None:
    path = path_with(tmp_path, {"podman": engine()})
    done = subprocess.run(
        [str(ROOT / "docker/run.sh"), "cpu", "true"],
        cwd="/",
        env={"PATH": path, "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "error: /: the image has this folder itself; call from another one\n")


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    asked = script("build", "cpu", folder=tmp_path, engines={"podman": engine()}, CA_BUNDLE="/nowhere.pem")
    assert asked == (2, "error: CA_BUNDLE: /nowhere.pem can't be read\n")


def test_a_path_with_a_blank_stays_one_word(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    engines = {"podman": engine()}
    assert script("run", "--read", "my data", "cpu", "python", "a b", folder=tmp_path, engines=engines)[0] == 0
    words = (tmp_path / "asked").read_text().splitlines()
    assert f"type=bind,source={tmp_path}/my data,target={tmp_path}/my data,readonly" in words
    assert words[-2:] == ["python", "a b"]


def test_the_image_says_which_commit_it_holds_and_whether_it_was_changed(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    project = tmp_path / "project"
    project.mkdir()
    for name in ("docker", "pyproject.toml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, project / name)

    def revision() -> list[str]:
        programs = tmp_path / "programs"
        programs.mkdir(exist_ok=True)
        path = f"{path_with(programs, {'docker': DOCKER.format(digest='', runtime='')})}:{os.environ['PATH']}"
        build = [str(project / "docker/build.sh"), "cpu"]
        printed = subprocess.run(
            build, env={"PATH": path, "DRY_RUN": "1"}, capture_output=True, text=True, check=True
        ).stdout
        return [word for word in printed.split() if word.startswith(("REVISION=", "SOURCE="))]

    run_git(project, "init", "--quiet")
    run_git(project, "add", ".")
    run_git(project, "commit", "--quiet", "--message", "one")
    run_git(project, "remote", "add", "origin", "https://somebody:secret@example.org/hlg.git")
    commit = run_git(project, "rev-parse", "HEAD").strip()
    assert revision() == [f"REVISION={commit}", "SOURCE=https://example.org/hlg.git"]
    (project / "hlg").mkdir()
    (project / "hlg/new.py").touch()
    assert revision()[0] == f"REVISION={commit}-dirty"


@pytest.mark.parametrize("lock", ["cpu", "gpu", "ascend", "dev"])
def test_a_lock_pins_what_the_project_asks_for_with_hashes(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"].get(lock, [])]
    entries = re.split(r"\n(?=\S)", (ROOT / f"docker/{lock}.lock").read_text())[1:]
    assert len(entries) >= len(asked)
    assert all("--hash=sha256:" in entry for entry in entries)
    pinned = {entry.split()[0].lower() for entry in entries}
    assert {pin.lower() for pin in asked if "==" in pin} <= pinned

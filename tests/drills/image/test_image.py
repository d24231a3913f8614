"""The CPU image, tried with the engine of this machine or with ENGINE=apptainer: what is in it, what is not, what a run
in it sees.

Needs the image (make image-cpu) and the runs of ``make tiny CONTAINER=1``, or of check and eval; ``make test-image``
starts these tests.
"""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, VERSION
from tests.support.processes import run_command, start_command

IMAGE = "hlg-repro:cpu"
SIF = ROOT / "build/images/hlg-repro-cpu.sif"
APPTAINER = ("apptainer", "singularity")
RUN = ROOT / "docker/run.sh"
MINDSPORE = "/opt/venv/lib/python3*/site-packages/mindspore"


@pytest.fixture(scope="session")
def engine() -> str:
    return run_command("bash", "-euc", "source docker/engine.sh; choose_engine").stdout.strip()


@pytest.fixture(scope="session")
def facts(engine: str) -> dict[str, Any]:
    return inspect(engine)


def inspect(engine: str) -> dict[str, Any]:
    """What the engine knows of the image."""
    if engine in APPTAINER:
        said = json.loads(run_command(engine, "inspect", "--json", "--labels", SIF).stdout)
        config = {"Labels": said["data"]["attributes"]["labels"], "Env": inside("env").splitlines()}
        return {"Config": config, "Id": hashlib.sha256(SIF.read_bytes()).hexdigest(), "RepoDigests": []}
    return dict(json.loads(run_command(engine, "image", "inspect", IMAGE).stdout)[0])


def inside(*command: str, cwd: Path = ROOT, options: tuple[str, ...] = (), **variables: str) -> str:
    """What a command in the image prints, started by docker/run.sh as the targets start theirs."""
    return run_command(RUN, *options, "cpu", *command, cwd=cwd, env=variables, code=0).stdout


def digests(facts: dict[str, Any]) -> set[str]:
    """The hashes by which an engine knows the image: with or without the word in front."""
    named = [facts["Id"], facts.get("Digest", ""), *facts["RepoDigests"]]
    return {"sha256:" + text.rpartition("sha256:")[2] for text in named if text}


@pytest.fixture
def no_apptainer(engine: str) -> None:
    if engine in APPTAINER:
        pytest.skip("asks what docker and podman know")


@pytest.mark.usefixtures("no_apptainer")
def test_the_image_has_at_most_1200_megabytes(facts: dict[str, Any]) -> None:
    assert 600e6 < facts["Size"] <= 1200e6


@pytest.mark.usefixtures("no_apptainer")
def test_it_runs_as_a_user_without_rights_by_default(facts: dict[str, Any], engine: str) -> None:
    assert facts["Config"]["User"] == "1000:1000"
    assert run_command(engine, "run", "--rm", "--network=none", IMAGE, "id", "-un").stdout == "hlg\n"


def test_its_labels_say_what_it_is_made_of(facts: dict[str, Any]) -> None:
    labels = facts["Config"]["Labels"]
    standard = {key.removeprefix("org.opencontainers.image."): value for key, value in labels.items()}
    built_from = [word.split("=")[1] for word in facts["Config"]["Env"] if word.startswith("HLG_COMMIT=")]
    assert [standard["revision"]] == built_from
    assert len(standard["revision"].removesuffix("-dirty")) == 40
    assert standard["licenses"] == "Apache-2.0"
    assert standard["version"] == VERSION
    assert standard["mindspore.version"] == "2.10.0"
    assert {"title", "description", "source", "base.name"} <= set(standard)


def test_its_code_is_the_code_of_this_checkout() -> None:
    files = [file for part in ("hlg", "repro") for file in (ROOT / part).rglob("*.*")]
    sources = [file for file in files if file.is_file() and file.suffix != ".pyc"]
    here = {str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sources}
    hashes = "cd /opt/hlg-repro && sha256sum $(find hlg repro -name '*.*' -type f ! -name '*.pyc')"
    listed = inside("bash", "-c", hashes)
    assert dict(reversed(line.split()) for line in listed.splitlines()) == here


def test_nothing_of_the_build_and_of_this_machine_is_left_in_it(facts: dict[str, Any]) -> None:
    folders = "/root /run/secrets /var/lib/apt/lists /var/log /var/cache/apt"
    remains = inside("bash", "-c", f"ls -A {folders} 2>/dev/null || true")
    assert [line for line in remains.splitlines() if line and not line.endswith(":")] in ([], [".bashrc", ".profile"])
    assert inside("bash", "-c", "! command -v pip && ! env | grep -i -E 'pip_|cert|proxy|index'") == ""
    told = json.dumps([facts["Config"], facts.get("History", "")])
    for secret in (os.environ.get("CA_BUNDLE"), os.environ.get("PIP_CONFIG"), str(ROOT)):
        assert not secret or secret not in told


def test_mindspore_has_no_plugin_of_another_device() -> None:
    left = inside("bash", "-c", f"cd {MINDSPORE}/lib/plugin && ls -d *")
    assert left.split() == ["cpu", "libmindspore_ops_cpu.so"]


def test_a_run_sees_what_is_named_and_nothing_else_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/image").write_text("image")
    seen = inside("bash", "-c", "ls; cat data/image", cwd=tmp_path, options=("--read", "data"))
    assert seen.split() == ["data", "image"]
    refused = "! touch data/new 2>/dev/null && ! touch /opt/new 2>/dev/null && touch scratch /tmp/scratch"
    inside("bash", "-c", refused, cwd=tmp_path, options=("--read", "data"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "secret"]


def test_a_run_on_a_cpu_has_no_network() -> None:
    assert inside("bash", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1").split() == ["lo"]


def test_what_a_run_writes_is_its_callers_own_who_needs_no_account_in_it(tmp_path: Path, engine: str) -> None:
    caller, variables = os.getuid(), {}
    if caller == 0 and engine not in APPTAINER:  # root plays somebody else
        caller, variables = 12345, {"RUN_OPTIONS": "--user 12345:12345"}
        os.chown(tmp_path, caller, caller)
        (tmp_path / "data").mkdir()
        os.chown(tmp_path / "data", caller, caller)
        tmp_path.chmod(0o755)
    draw = ["python", "-m", "hlg.data.tiny", "--out", "data/tiny", "--classes", "2", "--train", "1", "--val", "1"]
    inside(*draw, cwd=tmp_path, options=("--write", "data"), **variables)
    images = list((tmp_path / "data/tiny").rglob("*.JPEG"))
    assert len(images) == 4
    assert {image.stat().st_uid for image in images} == {caller}


def test_sigterm_reaches_the_program_and_its_exit_code_comes_back() -> None:
    program = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(75)); print(1, flush=1); time.sleep(9)"
    with start_command(RUN, "cpu", "python", "-c", program, stdin=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == "1\n"
        time.sleep(1)  # podman before 4.4.2 hands no signal on in the container's first milliseconds, and ends with 0
        process.terminate()
        assert process.wait(30) == 75


def test_a_run_in_the_image_knows_its_image_and_its_commit(facts: dict[str, Any], pytestconfig: pytest.Config) -> None:
    runs = sorted(pytestconfig.getoption("--runs").glob("2*_cpux1_*"))
    sealed = [run for run in runs[-2:] if (run / "SHA256SUMS").exists()]
    assert len(sealed) == 2, "make tiny CONTAINER=1 comes first, or check and eval"
    labels = facts["Config"]["Labels"]
    for run in sealed:
        kept = json.loads((run / "env.json").read_text())
        assert kept["variables"]["HLG_IMAGE"] in (IMAGE, str(SIF))
        assert kept["variables"]["HLG_IMAGE_DIGEST"] in digests(facts)
        assert kept["variables"]["HLG_ENGINE"].split()[0] in ("docker", "podman", *APPTAINER)
        revision = kept["commit"] + ("-dirty" if kept["dirty"] else "")
        assert revision == labels["org.opencontainers.image.revision"]
        assert {path.stat().st_uid for path in run.rglob("*")} == {os.getuid()}


def test_the_same_pins_make_the_same_image(engine: str, facts: dict[str, Any], pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--twice"):
        pytest.skip("takes minutes: --twice")
    if engine != "podman":
        pytest.skip("docker keeps the time of each file unless its output is rewritten (BuildKit 0.13, type=oci)")
    again = {"BUILD_OPTIONS": os.environ.get("BUILD_OPTIONS", "") + " --no-cache"}
    assert run_command(ROOT / "docker/build.sh", "cpu", env=again, timeout=1800).returncode == 0
    assert digests(inspect(engine)) == digests(facts)

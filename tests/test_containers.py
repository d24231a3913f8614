"""What targets and scripts tell a container engine, and what they refuse.

``tests/drills/image`` tries the CPU image with a real engine.
"""

import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT, VERSION
from tests.support.engines import APPTAINER, BUILD, DIGEST, DOCKER, PODMAN, RUN, UUID, Machines, read_command, told
from tests.support.processes import make_commit, run_git

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

Built = Callable[[], list[str]]


@pytest.mark.parametrize(("engine", "text"), [("docker 28.2.2", DOCKER), ("podman 5.4.0", PODMAN)])
def test_a_container_on_a_cpu_has_no_network_and_the_callers_rights(engine: str, text: str, machine: Machines) -> None:
    here = machine(**{engine.split()[0]: text})
    build, run = told(here, "report CONTAINER=1 RUN_OPTIONS=--cpus=4")
    assert build.options["--tag"] == ["hlg-repro:cpu"]
    assert run.rest == ["hlg-repro:cpu", "python", "-m", "repro.report", "--runs", "results/runs"]
    assert {"--rm", "--read-only"} <= run.options.keys()
    assert run.options["--security-opt"][0] == "no-new-privileges"
    expected = {
        "--user": [f"{os.getuid()}:{os.getgid()}"],
        "--cap-drop": ["ALL"],
        "--network": ["none"],
        "--tmpfs": ["/tmp:mode=1777,exec", f"{here.checkout}:mode=1777"],
        "--env": [
            *(f"HLG_ENGINE={engine}", "HLG_IMAGE=hlg-repro:cpu"),
            *(f"HLG_IMAGE_DIGEST={DIGEST}", "HLG_TYPED_AS=--runs=RUNS"),
        ],
        "--cpus": ["4"],
    }
    assert {name: run.options[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("target", "writable", "readable"),
    [
        ("tiny-data", "data", ""),
        ("tiny", "results", ""),
        ("train CONFIG=/own.yml IMAGENET=/data", "results/runs", "configs /own.yml /data/train /data/val"),
        ("train RESUME=/other/run/checkpoints/last.ckpt", "results/runs /other/run", "configs"),
        ("train-cpu2 RESUME=/other/run", "results/runs /other/run", "configs data"),
        ("eval PRETRAINED=/hlg.ckpt eval_path=/own class_names=/txt", "results/runs", "configs /hlg.ckpt /own /txt"),
        ("predict IMAGES=/cat.jpg PRETRAINED=/hlg.ckpt", "results/runs", "configs /hlg.ckpt /cat.jpg"),
        ("export file_name=/models/hlg.mindir", "/models", "configs"),
        ("imagenet ARCHIVES=/downloads OUT=/data", "/data", "/downloads"),
        ("imagenet-verify IMAGENET=/data", "/data", ""),
        ("imagenet-verify IMAGENET=/data REPORT=here", "here", "/data"),
        ("check", "results", "configs data"),
        ("plan IMAGENET=/data", "build/plan", "configs /data/train /data/val"),
        ("bench-cpu IMAGENET=/data", "results/bench", "/data/train /data/val"),
        ("bench-cpu RESUME=/other/bench", "/other/bench", ""),
        ("audit RUN=/other/train.log", "results", "/other/train.log"),
        ("verify RUN=/other/run", "", "/other/run"),
        ("fingerprint", "results/fingerprint", ""),
        ("fingerprint-diff A=here.json B=/there.json", "", "here.json /there.json"),
    ],
)
def test_a_container_sees_what_its_target_needs(target: str, writable: str, readable: str, machine: Machines) -> None:
    here = machine(docker=DOCKER)
    run = told(here, f"{target} CONTAINER=1")[-1]
    assert run.mounts(writable=True) == {str(here.checkout / path) for path in writable.split()}
    assert run.mounts(writable=False) == {str(here.checkout / path) for path in readable.split()}


def test_gpus_are_handed_over_as_each_engine_takes_them(machine: Machines) -> None:
    here = machine(docker=DOCKER, podman=PODMAN)
    one, eight = told(here, "train-gpu1 DEVICES=3")[-1], told(here, "train-gpu8 ENGINE=podman")[-1]
    assert one.options["--gpus"] == ['"device=3"']
    assert eight.options["--device"] == [f"nvidia.com/gpu={i}" for i in range(8)]
    for run in (one, eight):
        assert (run.rest[0], run.rest[-2:]) == ("hlg-repro:gpu", ["--device_target", "GPU"])
        assert (run.options["--ipc"], run.options["--network"]) == (["host"], ["host"])
        assert run.options["--ulimit"] == ["memlock=-1:-1", "stack=67108864:67108864"]


MIG = "MIG-b2f4a1c0-1111-5222-8333-944444444444"


@pytest.mark.parametrize(
    ("target", "masks", "given"),
    [
        ("train-gpu1", {"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ("train-gpu1", {"CUDA_VISIBLE_DEVICES": "5,2"}, "5"),
        ("train-gpu1", {"CUDA_VISIBLE_DEVICES": UUID}, UUID),
        ("train-gpu1", {"CUDA_VISIBLE_DEVICES": MIG}, MIG),
        ("train-gpu1 DEVICES=1", {"CUDA_VISIBLE_DEVICES": "3"}, "1"),
        ("train-gpu CARDS=2", {"CUDA_VISIBLE_DEVICES": "4,3,1"}, "4,3"),
        ("eval-gpu DEVICES=1,3", {}, "1,3"),
        ("export DEVICE=gpu", {}, "0"),
        ("profile DEVICE=gpu", {"CUDA_VISIBLE_DEVICES": "2"}, "2"),
        ("plan DEVICE=gpu CARDS=8 NODES=2", {}, "0"),
        (f"train-gpu1 DEVICES={UUID}", {}, UUID),
        ("train-gpu1", {"SLURM_JOB_GPUS": "6", "CUDA_VISIBLE_DEVICES": "0"}, "6"),  # counted within the job
        ("train-gpu1", {"SLURM_JOB_GPUS": "6,7", "CUDA_VISIBLE_DEVICES": "6,7"}, "6"),
        ("train-gpu1", {"SLURM_JOB_GPUS": "6,7", "SLURM_STEP_GPUS": "7"}, "7"),
        ("fingerprint DEVICE=gpu CARDS=2", {"CUDA_VISIBLE_DEVICES": "1,3,4"}, "1,3"),
        ("doctor DEVICE=gpu", {"CUDA_VISIBLE_DEVICES": "1,3"}, "1,3"),
        ("bench-gpu CARDS=4", {}, "0,1,2,3"),
    ],
)
def test_a_job_gets_gpus_its_caller_may_use(target: str, masks: dict[str, str], given: str, machine: Machines) -> None:
    (found,) = told(machine(docker=DOCKER), target, **masks)[-1].options["--gpus"]
    assert found == f'"device={given}"'


@pytest.mark.parametrize("target", ["fingerprint DEVICE=ascend CARDS=2", "bench-ascend CARDS=2"])
def test_a_job_gets_ascends_its_caller_may_use(target: str, machine: Machines) -> None:
    run = told(machine(docker=DOCKER), target, ASCEND_RT_VISIBLE_DEVICES="4,6,7")[-1]
    assert run.options["--device"][:3] == ["/dev/davinci4", "/dev/davinci6", "/dev/davinci_manager"]


def test_ascends_are_handed_over_as_nodes_with_their_driver(machine: Machines) -> None:
    run = told(machine(docker=DOCKER), "train-ascend8")[-1]
    names = [*(f"davinci{i}" for i in range(8)), "davinci_manager", "devmm_svm", "hisi_hdc"]
    assert run.options["--device"] == [f"/dev/{name}" for name in names]
    assert {"/usr/local/Ascend/driver", "/usr/local/bin/npu-smi"} <= run.mounts(writable=False)
    assert "--group-add" in run.options


def test_where_docker_has_the_runtime_of_ascends_it_hands_them_over(machine: Machines) -> None:
    docker = DOCKER.replace("{}}", '{}, "ascend":{}}')
    run = told(machine(docker=docker), "fingerprint DEVICE=ascend CARDS=2")[-1]
    assert run.options["--runtime"] == ["ascend"]
    assert "ASCEND_VISIBLE_DEVICES=0,1" in run.options["--env"]
    assert "--device" not in run.options


def test_several_machines_share_the_network_and_an_image_that_is_named_is_not_built(machine: Machines) -> None:
    run = told(machine(podman=PODMAN), "train-cpu2 CONTAINER=1 NODES=2 IMAGE=registry.example/hlg:1")[-1]
    assert (run.options["--network"], run.rest[0]) == (["host"], "registry.example/hlg:1")


def test_a_baseline_measures_rounding_by_a_variable_in_the_container(machine: Machines) -> None:
    *_, short, rounded, keep = told(machine(docker=DOCKER), "baseline CONTAINER=1 REPEAT=2 RUN_OPTIONS=--cpus=4")
    assert rounded.rest == short.rest
    assert set(rounded.options["--env"]) - set(short.options["--env"]) == {"ONEDNN_MAX_CPU_ISA=SSE41"}
    assert rounded.options["--cpus"] == ["4"]
    assert keep.rest[1:] == ["python", "-m", "repro.check.baseline", "build/baseline"]


def test_the_doctor_looks_inside_with_all_devices(machine: Machines) -> None:
    build, run = told(machine(docker=DOCKER), "doctor DEVICE=ascend DEVICES=0,1 IMAGENET=/data")
    assert build.options["--tag"] == ["hlg-repro:ascend"]
    assert run.options["--device"][:2] == ["/dev/davinci0", "/dev/davinci1"]
    assert {"/data/train", "/data/val"} <= run.mounts(writable=False)
    assert run.rest[1:4] == ["python", "-m", "repro.doctor"]


def test_an_image_is_built_of_what_the_variables_say(machine: Machines) -> None:
    here = machine(docker=DOCKER, podman=PODMAN)
    (build,) = told(here, "image-ascend CHIP=910b CANN=9.0.0 BASE_IMAGE=debian:12 CA_BUNDLE=/etc/ca.pem")
    assert build.options["--file"] == [f"{here.checkout}/docker/ascend.Dockerfile"]
    assert build.options["--build-arg"] == [
        *("REVISION=unknown", "SOURCE=unknown", f"VERSION={VERSION}", "MINDSPORE=2.10.0"),
        *("BASE_IMAGE=debian:12", "CANN=9.0.0", "CHIP=910b"),
    ]
    assert (build.options["--secret"], build.rest) == (["id=ca-bundle,src=/etc/ca.pem"], [str(here.checkout)])
    (build,) = told(here, "image-cpu ENGINE=podman BUILD_OPTIONS=--network=host")
    assert (build.options["--timestamp"], build.options["--network"]) == (["0"], ["host"])


DENIED = "permission denied while trying to connect to the Docker daemon socket"
ANSWERS = f"[ $1 = --version ] && echo Docker version 28.2.2 || {{ echo {DENIED} >&2; exit 1; }}"
DEAD = {"docker": f"#!/bin/sh\n{ANSWERS}\n"}  # a client alone
NO_SERVICE = '#!/bin/sh\n[ "$1" = version ] && echo 5.4.0\n'  # of podman, on another machine
PODMAN_CALLED_DOCKER = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'podman version 5.4.0' || echo 5.4.0\n"
NO_IMAGE = '#!/bin/sh\n[ "$1" = info ] && echo 5.4.0\n'


def test_a_docker_client_without_an_engine_does_not_count(machine: Machines) -> None:
    here = machine(**DEAD, podman=PODMAN)
    assert here.run(RUN, "cpu", "true") == (0, "")
    assert here.asked()[:2] == ["run", "--rm"]


def test_podman_under_the_name_of_docker_is_spoken_to_as_podman(machine: Machines) -> None:
    here = machine(docker=PODMAN_CALLED_DOCKER, podman=PODMAN)
    assert here.run(BUILD, "cpu") == (0, "")
    assert "--timestamp" in here.asked()


@pytest.mark.parametrize(("engines", "name"), [({}, "docker"), (DEAD, "docker"), ({"podman": NO_SERVICE}, "podman")])
def test_a_command_is_printed_where_no_engine_answers(engines: dict[str, str], name: str, machine: Machines) -> None:
    here = machine(**engines)
    for command in ((BUILD, "cpu"), (RUN, "cpu", "true"), (RUN, "--devices", "1", "gpu", "true")):
        code, text = here.run(*command, DRY_RUN="1")
        assert (code, text.split()[0]) == (0, name)


NO_ENGINE = "no container engine answers (docker: {}; podman: {}): install podman, or "
ABSENT = "is not installed"
ON_CPU, ON_GPU = f"{RUN} cpu true", f"{RUN} --devices 1 gpu true"
APPT = "ENGINE=apptainer"
COUNTED_ANEW = "CUDA_VISIBLE_DEVICES: found '1', but SLURM_JOB_GPUS is '1,2'; say which GPUs of this machine: DEVICES=1"
INJECTED = "a[$(touch asked)]"


@pytest.mark.parametrize(
    ("engines", "command", "said"),
    [
        ({}, ON_CPU, NO_ENGINE.format(ABSENT, ABSENT)),
        (DEAD, ON_CPU, NO_ENGINE.format(DENIED, ABSENT)),
        ({"podman": NO_SERVICE}, f"{BUILD} cpu", NO_ENGINE.format(ABSENT, "does not answer")),
        ({**DEAD, "podman": PODMAN}, f"env ENGINE=docker {ON_CPU}", f"no container engine answers (docker: {DENIED})"),
        ({}, f"env ENGINE=lxc {ON_CPU}", "ENGINE: found 'lxc'; allowed: docker, podman, apptainer or singularity\n"),
        ({}, f"env ENGINE=apptainer {ON_CPU}", "no container engine answers (apptainer: is not installed)"),
        (
            {},
            f"env {APPT} DEVICES=0:1 DRY_RUN=1 {ON_GPU}",
            "DEVICES: found '0:1'; CUDA knows a MIG instance by its UUID",
        ),
        (
            {"apptainer": APPTAINER},
            f"env {APPT} IMAGE=no.sif {ON_CPU}",
            "IMAGE: no.sif does not exist, or can't be read: ",
        ),
        ({"podman": NO_IMAGE}, ON_CPU, "IMAGE: podman has no 'hlg-repro:cpu': build it by 'make image-cpu'"),
        ({}, f"env DEVICES=0,1 {ON_GPU}", "DEVICES: found '0,1'; allowed: 1 with commas"),
        ({}, f"env DEVICES=one {ON_GPU}", "DEVICES: found 'one', in which 'one' names no gpu"),
        ({}, f"env DEVICES=1,1 {RUN} --devices 2 gpu true", "DEVICES: found '1,1'; allowed: each device once"),
        ({}, f"env DEVICES={UUID} {RUN} --devices 1 ascend true", f"DEVICES: found '{UUID}', in which '{UUID}' names"),
        ({}, f"env CUDA_VISIBLE_DEVICES= {ON_GPU}", "CUDA_VISIBLE_DEVICES: found '', but 1 are needed"),
        ({}, f"env CUDA_VISIBLE_DEVICES=-1 {ON_GPU}", "CUDA_VISIBLE_DEVICES: found '-1', in which '-1'"),
        ({}, f"env SLURM_JOB_GPUS=1,2 CUDA_VISIBLE_DEVICES=1 {ON_GPU}", COUNTED_ANEW),
        ({}, f"{RUN} --devices '{INJECTED}' gpu true", f"--devices: found '{INJECTED}'; allowed: a number"),
        ({}, f"{RUN} --nodes '{INJECTED}' gpu true", f"--nodes: found '{INJECTED}'; allowed: 1 or more"),
        ({}, f"{RUN} --read a,b cpu true", "'a,b': an engine takes no path with a comma, a quote or a line break"),
        ({"podman": PODMAN}, f"{RUN} --read nowhere cpu true", "nowhere: does not exist, or can't be read\n"),
        ({"podman": PODMAN}, f"env CA_BUNDLE=/no.pem {BUILD} cpu", "CA_BUNDLE: /no.pem can't be read\n"),
        ({}, f"bash -c 'mkdir a:b; cd a:b; exec {ROOT}/{RUN} cpu true'", "an engine takes no working directory with a"),
        ({"podman": PODMAN}, f"env -C / {ROOT}/{RUN} cpu true", "/: the image has this folder itself; call from"),
    ],
)
def test_the_impossible_is_said_at_once(engines: dict[str, str], command: str, said: str, machine: Machines) -> None:
    here = machine(**engines)
    code, text = here.run(*shlex.split(command))
    assert (code, text[: 7 + len(said)]) == (2, f"error: {said}")
    assert not (here.home / "asked").exists()
    assert not (here.checkout / "asked").exists()


@pytest.mark.parametrize("device", ["gpu", "ascend"])
def test_a_machine_without_the_accelerator_gets_a_sentence(device: str, machine: Machines) -> None:
    if list(Path("/dev").glob("nvidiactl")) + list(Path("/dev").glob("davinci0")):
        pytest.skip("this machine has one")
    code, text = machine(podman=PODMAN).run(RUN, "--devices", "1", device, "true")
    assert (code, text[:27]) == (2, "error: this machine has no ")
    assert f"make doctor DEVICE={device}" in text


def test_paths_keep_their_names_and_one_in_a_folder_that_is_mounted_is_not_mounted_twice(machine: Machines) -> None:
    here = machine(podman=PODMAN)
    (here.checkout / "runs/one").mkdir(parents=True)
    (here.checkout / "my data").mkdir()
    (here.checkout / "runs/latest").symlink_to("one")
    (here.checkout / "runs/data").symlink_to("../my data")  # which leads out of runs
    options = [*("--write", "runs", "--write", "new"), *("--read", "runs/latest", "--read", "runs/data")]
    assert here.run(RUN, *options, "cpu", "python", "a b") == (0, "")
    command = read_command(here.asked())
    assert command.mounts(writable=True) == {f"{here.checkout}/runs", f"{here.checkout}/new"}
    assert command.mounts(writable=False) == {f"{here.checkout}/runs/data"}
    assert command.rest[-2:] == ["python", "a b"]
    assert (here.checkout / "new").stat().st_uid == os.getuid()
    assert here.run(RUN, "--read", "my data", "cpu", "true") == (0, "")
    assert read_command(here.asked()).mounts(writable=False) == {f"{here.checkout}/my data"}
    (here.checkout / "runs/pointer").write_text("hlg-link: one\n")  # of a storage without symbolic links
    assert here.run(RUN, "--read", "runs/pointer", "cpu", "true") == (0, "")
    mounted = read_command(here.asked()).mounts(writable=False)
    assert mounted == {f"{here.checkout}/runs/pointer", f"{here.checkout}/runs/one"}


@pytest.fixture
def built(machine: Machines) -> Built:
    """What an image is told of its code, REVISION and SOURCE, in a checkout with a commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    here = machine(docker=DOCKER)
    (here.checkout / "hlg").mkdir()
    (here.checkout / "hlg/__init__.py").touch()
    make_commit(here.checkout)

    def told_of_code() -> list[str]:
        text = here.run(BUILD, "cpu", DRY_RUN="1", PATH=f"{here.variables['PATH']}:{os.environ['PATH']}")[1]
        arguments = read_command(shlex.split(text)).options["--build-arg"]
        return [argument.partition("=")[2] for argument in arguments[:2]]

    return told_of_code


def test_the_image_says_its_commit_and_whether_it_was_changed(built: Built, tmp_path: Path) -> None:
    commit = run_git(tmp_path / "checkout", "rev-parse", "HEAD").strip()
    assert built()[0] == commit
    (tmp_path / "checkout/hlg/new.py").touch()
    run_git(tmp_path / "checkout", "config", "status.showUntrackedFiles", "no")
    assert built()[0] == f"{commit}-dirty"


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ("https://example.org/a/hlg.git", "https://example.org/a/hlg.git"),
        ("https://somebody:secret@example.org:8443/hlg.git", "https://example.org:8443/hlg.git"),
        ("https://token-secret@example.org/hlg", "https://example.org/hlg"),
        ("https://somebody:a@secret@example.org/hlg", "unknown"),
        ("https://somebody:a/secret@example.org/hlg", "unknown"),
        ("https://somebody:1/secret@example.org/hlg", "unknown"),
        ("https://example.org/hlg?token=secret", "unknown"),
        ("https://https://example.org/hlg", "unknown"),
        ("git@example.org:hlg.git", "unknown"),
        ("/home/somebody/secret/hlg", "unknown"),
    ],
)
def test_the_image_names_its_source_without_a_password(origin: str, source: str, built: Built, tmp_path: Path) -> None:
    run_git(tmp_path / "checkout", "remote", "add", "origin", origin)
    assert built()[1] == source


@pytest.mark.parametrize("lock", ["cpu", "gpu", "ascend", "dev"])
def test_a_lock_pins_what_the_project_asks_for_with_hashes(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"].get(lock, [])]
    entries = re.split(r"\n(?=\S)", (ROOT / f"docker/{lock}.lock").read_text())[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert {pin.lower() for pin in asked} <= {entry.split()[0].lower() for entry in entries}

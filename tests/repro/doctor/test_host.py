"""`make doctor` but for the devices: engine, environment, limits, disks, data set, clock, and the whole program."""

import ast
import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from repro.bootstrap import STAMP
from repro.doctor import __main__ as doctor
from repro.doctor import host, software, storage
from repro.doctor.machine import Answer, Machine, number_ranges, within
from tests.support import ROOT
from tests.support.disks import remount
from tests.support.machines import Fake, diagnose, fake, imagenet, say
from tests.support.processes import Done, run_command, run_module

__all__ = ["fake"]  # the fixture
MODULES = [*sorted((ROOT / "repro/doctor").glob("*.py")), ROOT / "repro/footprint.py"]
NO_DAEMON = (
    'printf "\\n"; echo "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?" >&2; exit 1'
)


def run(*options: object, **environment: str) -> Done:
    return run_module("repro.doctor", *options, env=environment)


def test_on_this_very_machine_a_run_on_the_cpu_is_looked_at(tmp_path: Path) -> None:
    done = run("--runs", tmp_path)
    assert done.returncode == int("failure" in done.stdout.splitlines()[-1]), done.stdout + done.stderr
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith(("go on: ", "do not start: "))
    assert "\033" not in done.stdout


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has GPUs")
def test_on_this_very_machine_the_missing_gpu_is_a_plain_sentence(tmp_path: Path) -> None:
    done = run("--device", "gpu", "--runs", tmp_path)
    assert done.returncode == 1
    assert "no NVIDIA driver: nvidia-smi was not found\n" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "options", [["--device", "tpu"], ["--devices", "0,x"], ["--devices", "0,0"], ["--epochs", "x"]]
)
def test_a_wrong_option_is_exit_code_2(options: list[str]) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert options[0] in done.stderr


def test_a_pager_that_is_closed_ends_it_without_a_trace(tmp_path: Path) -> None:
    command = f"{sys.executable} -m repro.doctor --runs {tmp_path} | true"
    done = run_command("bash", "-c", command)
    assert done.stderr == ""


def test_a_name_that_the_terminal_cannot_show_is_no_obstacle(tmp_path: Path) -> None:
    done = run("--runs", tmp_path / "läufe", "--imagenet", os.fsdecode(b"/\xff"), PYTHONIOENCODING="ascii")
    assert "No such file or directory" in done.stdout
    assert done.stderr == ""


def test_it_runs_where_nothing_is_installed() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import repro.doctor"
    done = run_command(sys.executable, "-I", "-S", "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_it_reads_on_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


def test_it_runs_on_python_3_8(tmp_path: Path) -> None:
    pythons = [shutil.which("python3.8"), *map(str, Path.home().glob(".pyenv/versions/3.8.*/bin/python"))]
    python = next((p for p in pythons if p and run_command(p, "-c", "").returncode == 0), None)
    if not python:
        pytest.skip("no Python 3.8 here")
    options = ("--device", "ascend", "--runs", tmp_path, "--venv", tmp_path / "venv")
    done = run_command(python, "-m", "repro.doctor", *options)
    assert done.stderr == ""
    assert "Python 3.8 is not supported" in done.stdout
    assert "could not be checked" not in done.stdout


def test_the_findings_can_be_had_as_json(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        doctor.main(["--device", "gpu", "--runs", str(fake.root), "--venv", str(fake.venv), "--json"], fake.machine)
        == 1
    )
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert found["driver"]["level"] == "failure"
    assert found["driver"]["fix"]


def test_a_check_that_stumbles_is_a_warning_and_the_others_go_on(
    fake: Fake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "clock_error_us", lambda: 1 // 0)
    assert doctor.main(["--runs", str(fake.root), "--venv", str(fake.venv)], fake.machine) == 0
    assert "warning  clock          could not be checked (ZeroDivisionError" in capsys.readouterr().out


def test_a_docker_client_without_an_engine_is_not_one_but_podman_is(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.tool("docker", NO_DAEMON)
    said = diagnose(fake, capsys, "--container", "any")
    assert said.code == 1
    assert "no container engine answers: docker ended with exit code 1: Cannot connect" in said.text
    assert "podman was not found" in said.text
    assert "fix: start it" in said.text
    fake.tool("podman", say("4.3.1"))
    said = diagnose(fake, capsys, "--container", "any")
    assert said.code == 0
    assert "podman 4.3.1" in said.text
    assert diagnose(fake, capsys, "--container", "docker").levels["engine"] == "failure"


def test_podman_that_is_called_docker_is_podman(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.tool("docker", say("podman version 5.2.0"))
    fake.tool("podman", say("5.2.0"))
    assert "podman 5.2.0" in diagnose(fake, capsys, "--container", "any").text


def test_a_docker_that_this_user_may_not_use_is_told_apart(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.tool("docker", "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1")
    assert "join the group docker" in diagnose(fake, capsys, "--container", "docker").text


def test_docker_needs_the_nvidia_runtime_for_gpus(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    answers = 'case "$*" in *Runtimes*) {} ;; *) {} ;; esac'
    fake.gpus(1).tool("docker", answers.format(say('{"runc":{}}'), say("28.2.2")))
    said = diagnose(fake, capsys, "--container", "docker", "--device", "gpu")
    assert said.levels["GPU runtime"] == "failure"
    assert "nvidia-ctk runtime configure --runtime=docker" in said.text
    fake.tool("docker", answers.format(say('{"runc":{},"nvidia":{}}'), say("28.2.2")))
    assert diagnose(fake, capsys, "--container", "docker", "--device", "gpu").levels["GPU runtime"] == "ok"


def test_podman_needs_a_cdi_specification_of_this_driver_for_gpus(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--container", "podman", "--device", "gpu")
    fake.gpus(1).tool("podman", say("5.2.0"))
    assert diagnose(fake, capsys, *options).levels["GPU runtime"] == "failure"
    library = "/usr/lib64/libcuda.so.550.54.15"
    fake.write("/etc/cdi/nvidia.yaml", f"kind: nvidia.com/gpu\nmounts:\n- hostPath: {library}\n")
    said = diagnose(fake, capsys, *options)
    assert f"made for another driver: {library} is gone" in said.text
    fake.write(library)
    assert diagnose(fake, capsys, *options).levels["GPU runtime"] == "ok"


def test_before_a_container_the_host_is_looked_at_and_inside_it_what_the_run_sees(
    fake: Fake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.ascends(4).tool("podman", say("5.2.0"))
    outside = diagnose(fake, capsys, "--container", "any", "--device", "ascend", "--devices", "2,3")
    assert "engine" in outside.levels
    assert outside.levels.keys().isdisjoint({"MindSpore", "CANN", "match", "shared memory", "threads"})
    monkeypatch.setattr(doctor.sys, "prefix", str(fake.venv))
    fake.environment.update(HLG_COMMIT="0" * 40, HLG_IMAGE_DIGEST="sha256:" + "a" * 64, HLG_ENGINE="podman 5.2.0")
    inside = diagnose(fake.ascends(2), capsys, "--container", "any", "--device", "ascend", "--devices", "2,3")
    assert "podman 5.2.0, code 000000000000, image sha256:aaaaaaaaaaaa" in inside.text
    assert "4 x 910B3" not in outside.text
    assert inside.levels.keys() >= {"container", "MindSpore", "match", "shared memory", "threads"}
    assert "engine" not in inside.levels


def test_an_environment_that_is_not_there_yet_needs_a_python_that_can_make_it(
    fake: Fake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake.venv / STAMP).unlink()
    assert "make setup will install MindSpore 2.10.0" in diagnose(fake, capsys).text
    (fake.root / "old.py").write_text("print('Python 3.13 is not supported. Name one: x')")
    monkeypatch.setattr(software, "BOOTSTRAP", fake.root / "old.py")
    said = diagnose(fake, capsys)
    assert said.levels["Python"] == "failure"
    assert "PYTHON=python3.11" in said.text


def test_few_cores_and_little_memory_are_told(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.gpus(8).write("/sys/fs/cgroup/cpu.max", "1600000 100000\n")
    fake.write("/sys/fs/cgroup/memory.max", "20000000000\n")
    fake.write("/sys/fs/cgroup/memory.current", "6000000000\n")
    said = diagnose(fake, capsys, "--device", "gpu")
    assert said.levels["cores"] == "warning"
    assert "16 for 112 workers (14 a device)" in said.text
    assert said.levels["memory"] == "failure"
    assert "14 GB free for 8 ranks" in said.text


def test_control_groups_of_the_first_version_are_read_too(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.gpus(1).write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n")
    fake.write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    fake.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000000\n")
    fake.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "900000000\n")
    fake.write("/sys/fs/cgroup/memory/memory.stat", "cache 7\ntotal_inactive_file 400000000\n")
    fake.write("/sys/fs/cgroup/pids/pids.max", "100\n")
    said = diagnose(fake, capsys, "--device", "gpu")
    assert "1.5 for 14 workers" in said.text
    assert "2.5 GB free for 1 rank" in said.text
    assert "100 (pids.max of the control group or container)" in said.text


def test_limits_of_a_process_are_told(tmp_path: Path) -> None:
    script = f"ulimit -n 512; exec {sys.executable} -m repro.doctor --runs {tmp_path}"
    done = run_command("bash", "-c", script)
    assert "warning  open files     512 a process (ulimit -n)" in done.stdout
    assert "ulimit -n 1024" in done.stdout


def test_the_threads_that_a_container_allows_are_told(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.gpus(8).write("/sys/fs/cgroup/pids.max", "256\n")
    said = diagnose(fake, capsys, "--device", "gpu")
    assert said.levels["threads"] == "failure"
    assert "--pids-limit=" in said.text


def test_a_full_disk_is_a_failure(fake: Fake, small_disk: Path) -> None:
    done = run("--runs", small_disk / "runs", "--venv", fake.venv)
    assert done.returncode == 1
    assert f"kB free at {small_disk}; needed: checkpoints 511 MB" in done.stdout


def test_a_read_only_disk_is_a_failure(fake: Fake, small_disk: Path) -> None:
    remount(small_disk, "ro")
    done = run("--runs", small_disk / "runs", "--venv", fake.venv)
    assert done.returncode == 1
    assert "Read-only file system (for checkpoints)" in done.stdout


def test_a_run_too_long_for_the_disk_is_a_failure(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose(fake, capsys, "--epochs", 10**12).levels["disk"] == "failure"


def test_a_file_system_is_counted_once(tmp_path: Path) -> None:
    wanted = [storage.Demand(what, tmp_path / what / "not/there", 10**9) for what in ("one", "two")]
    findings = list(storage.check_disks(wanted, 5))
    assert len(findings) == 1
    assert "one 1.0 GB, two 1.0 GB" in findings[0].text


def test_a_storage_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        within(0.05, time.sleep, 5)
    monkeypatch.setattr(storage, "_place", lambda folder: time.sleep(5))
    demand = storage.Demand("logs", tmp_path, 1)
    (finding,) = storage.check_disks([demand], 0.05)
    assert "does not answer within 0.05 s" in finding.text


def test_a_data_set_of_999_classes_is_a_failure(fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = imagenet(tmp_path / "imagenet")
    shutil.rmtree(root / "train/n00000999")
    said = diagnose(fake, capsys, "--imagenet", root)
    assert said.levels["train"] == "failure"
    assert "1,998 images in 999 classes" in said.text
    assert "only in val: n00000999" in said.text
    assert said.levels["val"] == "ok"
    assert said.code == 1


def test_a_missing_image_is_a_warning_and_an_empty_class_a_failure(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = imagenet(tmp_path / "imagenet")
    (root / "train/n00000003/0.JPEG").unlink()
    said = diagnose(fake, capsys, "--imagenet", root)
    assert said.levels["train"] == "warning"
    assert "1,999 images in 1,000 classes" in said.text
    (root / "train/n00000003/1.JPEG").rename(root / "train/n00000003/1.JPEG.part")
    said = diagnose(fake, capsys, "--imagenet", root)
    assert said.levels["train"] == "failure"
    assert "none in n00000003" in said.text


@pytest.mark.parametrize("place", ["ILSVRC2012_img_train.tar", "train/ILSVRC2012_img_train.tar", "train/n01440764.tar"])
def test_an_archive_that_is_not_unpacked_is_named(
    place: str, fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "imagenet" / place
    archive.parent.mkdir(parents=True)
    archive.touch()
    (tmp_path / "imagenet/val").mkdir()
    said = diagnose(fake, capsys, "--imagenet", tmp_path / "imagenet")
    assert f"{archive} is not unpacked" in said.text
    assert "unpack it into one folder a class" in said.text


def test_validation_images_without_class_folders_must_be_sorted(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = imagenet(tmp_path / "imagenet", val=0)
    shutil.rmtree(root / "val")
    (root / "val").mkdir()
    for number in range(3):
        (root / f"val/ILSVRC2012_val_{number:08}.JPEG").touch()
    said = diagnose(fake, capsys, "--imagenet", root)
    assert "3 images in" in said.text
    assert "sort them into one folder a class" in said.text
    assert "classes" not in said.levels


def test_a_folder_too_deep_is_told(fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = imagenet(tmp_path / "imagenet", classes=2)
    assert f"it may be {root}" in diagnose(fake, capsys, "--imagenet", root / "train").text
    assert "No such file or directory" in diagnose(fake, capsys, "--imagenet", tmp_path / "nowhere").text


@pytest.mark.parametrize(
    ("now", "error_us", "level", "words"),
    [
        (2e9, 1000, "ok", "synchronised"),
        (2e9, None, "ok", "not known"),
        (2e9, 16_000_000, "warning", "set-ntp true"),
        (1e9, 1000, "failure", "before the newest file"),
    ],
)
def test_the_clock_must_be_kept(now: float, error_us: int | None, level: str, words: str) -> None:
    finding = host.check_clock(now, 1.9e9, error_us)
    assert finding.level == level
    assert words in f"{finding.text} {finding.fix}"


def test_a_command_is_found_where_drivers_put_theirs(fake: Fake) -> None:
    fake.write("/usr/local/sbin/npu-smi", f"#!/bin/sh\n{say('here')}\n")
    (fake.root / "usr/local/sbin/npu-smi").chmod(0o755)
    assert fake.machine.run("npu-smi") == Answer("here\n", "")
    assert Machine(fake.root, {"PATH": ""}).run("nothing-of-that-name").missing


def test_numbers_in_a_row_are_shortened() -> None:
    assert number_ranges([3, 0, 1, 2, 5, 7, 8]) == "0-3, 5, 7-8"

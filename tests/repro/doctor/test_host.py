"""`make doctor` but for the devices: engine, environment, limits, disks, data set, clock."""

import shutil
import time
from pathlib import Path

import pytest

from repro.bootstrap import STAMP
from repro.doctor import __main__ as doctor
from repro.doctor import host, software, storage
from repro.doctor.machine import Answer, Machine, within
from tests.support.disks import remount
from tests.support.machines import FakeMachine, imagenet, say

NO_DAEMON = r"printf '\n'; echo 'Cannot connect to the Docker daemon at unix:///x. Is it running?' >&2; exit 1"


def test_a_docker_client_without_an_engine_is_not_one_but_podman_is(fake: FakeMachine) -> None:
    fake.tool("docker", NO_DAEMON)
    said = fake.diagnose("--container", "any")
    assert said.code == 1
    assert "no container engine answers: docker ended with exit code 1: Cannot connect" in said.text
    assert "podman was not found" in said.text
    assert "fix: start it" in said.text
    fake.tool("podman", say("4.3.1"))
    said = fake.diagnose("--container", "any")
    assert said.code == 0
    assert "podman 4.3.1" in said.text
    assert fake.diagnose("--container", "docker").levels["engine"] == "failure"
    fake.tool("apptainer", say("apptainer version 1.4.5"))
    assert "fix: use Apptainer, which is here: ENGINE=apptainer" in fake.diagnose("--container", "docker").text
    assert "apptainer 1.4.5" in fake.gpus(1).diagnose("--container", "apptainer").text


def test_podman_that_is_called_docker_and_a_docker_that_this_user_may_not_use_are_told_apart(fake: FakeMachine) -> None:
    fake.tool("docker", say("podman version 5.2.0"))
    fake.tool("podman", say("5.2.0"))
    assert "podman 5.2.0" in fake.diagnose("--container", "any").text
    fake.tool("docker", "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1")
    assert "join the group docker" in fake.diagnose("--container", "docker").text


def test_docker_needs_the_nvidia_runtime_for_gpus(fake: FakeMachine) -> None:
    answers = 'case "$*" in *Runtimes*) {} ;; *) {} ;; esac'
    fake.gpus(1).tool("docker", answers.format(say('{"runc":{}}'), say("28.2.2")))
    said = fake.diagnose("--container", "docker")
    assert said.levels["GPU runtime"] == "failure"
    assert "nvidia-ctk runtime configure --runtime=docker" in said.text
    fake.tool("docker", answers.format(say('{"runc":{},"nvidia":{}}'), say("28.2.2")))
    assert fake.diagnose("--container", "docker").levels["GPU runtime"] == "ok"


def test_podman_needs_a_cdi_specification_of_this_driver_for_gpus(fake: FakeMachine) -> None:
    options = ("--container", "podman")
    fake.gpus(1).tool("podman", say("5.2.0"))
    assert fake.diagnose(*options).levels["GPU runtime"] == "failure"
    library = "/usr/lib64/libcuda.so.550.54.15"
    fake.write("/etc/cdi/nvidia.yaml", f"kind: nvidia.com/gpu\nmounts:\n- hostPath: {library}\n")
    assert f"made for another driver: {library} is gone" in fake.diagnose(*options).text
    fake.write(library)
    assert fake.diagnose(*options).levels["GPU runtime"] == "ok"


def test_a_container_is_checked_from_outside_and_inside(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--container", "any", "--devices", "2,3")
    fake.ascends(4).tool("podman", say("5.2.0"))
    outside = fake.diagnose(*options)
    assert "engine" in outside.levels
    assert outside.levels.keys().isdisjoint({"MindSpore", "CANN", "match", "shared memory", "threads"})
    assert "4 x 910B3" not in outside.text
    monkeypatch.setattr(doctor.sys, "prefix", str(fake.venv))
    fake.environment.update(HLG_COMMIT="0" * 40, HLG_IMAGE_DIGEST="sha256:" + "a" * 64, HLG_ENGINE="podman 5.2.0")
    inside = fake.ascends(2).diagnose(*options)
    assert "podman 5.2.0, code 000000000000, image sha256:aaaaaaaaaaaa" in inside.text
    assert inside.levels.keys() >= {"container", "MindSpore", "match", "shared memory", "threads"}
    assert "engine" not in inside.levels


def test_a_missing_environment_needs_a_python_to_make_it(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake.venv / STAMP).unlink()
    assert "make setup will install MindSpore 2.10.0" in fake.diagnose().text
    fake.write("old.py", "print('Python 3.13 is not supported. Name one: x')")
    monkeypatch.setattr(software, "BOOTSTRAP", fake.root / "old.py")
    said = fake.diagnose()
    assert said.levels["Python"] == "failure"
    assert "PYTHON=python3.11" in said.text


def test_few_cores_little_memory_and_few_threads_are_told(fake: FakeMachine) -> None:
    fake.gpus(8)
    limits = {"cpu.max": "1600000 100000", "memory.max": "20000000000", "memory.current": "6000000000"}
    for name, text in (limits | {"pids.max": "256"}).items():
        fake.write(f"/sys/fs/cgroup/{name}", f"{text}\n")
    said = fake.diagnose()
    assert (said.levels["cores"], said.levels["memory"], said.levels["threads"]) == ("warning", "failure", "failure")
    assert "16 for 112 workers (14 a device)" in said.text
    assert "14 GB free for 8 ranks" in said.text
    assert "--pids-limit=" in said.text


def test_control_groups_of_the_first_version_are_read_too(fake: FakeMachine) -> None:
    fake.gpus(1)
    limits = {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000", "pids/pids.max": "100"}
    limits |= {"memory/memory.limit_in_bytes": "3000000000", "memory/memory.usage_in_bytes": "900000000"}
    for name, text in (limits | {"memory/memory.stat": "cache 7\ntotal_inactive_file 400000000"}).items():
        fake.write(f"/sys/fs/cgroup/{name}", f"{text}\n")
    said = fake.diagnose()
    assert "1.5 for 14 workers" in said.text
    assert "2.5 GB free for 1 rank" in said.text
    assert "100 (pids.max of the control group or container)" in said.text


def test_limits_of_a_process_are_told(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.resource, "getrlimit", lambda which: (512, 4096))
    said = fake.diagnose()
    assert "warning  open files     512 a process (ulimit -n)" in said.text
    assert "ulimit -n 1024" in said.text


def test_a_full_or_read_only_disk_is_a_failure(fake: FakeMachine, small_disk: Path) -> None:
    said = fake.diagnose("--runs", small_disk / "runs")
    assert said.code == 1
    assert f"kB free at {small_disk}; needed: checkpoints 511 MB" in said.text
    remount(small_disk, "ro")
    said = fake.diagnose("--runs", small_disk / "runs")
    assert said.code == 1
    assert "Read-only file system (for checkpoints)" in said.text


def test_a_run_too_long_for_the_disk_is_a_failure(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "STEP_RECORD", 10**12)
    assert fake.diagnose().levels["disk"] == "failure"


def test_a_file_system_is_counted_once(tmp_path: Path) -> None:
    wanted = [storage.Demand(what, tmp_path / what / "not/there", 10**9) for what in ("one", "two")]
    (finding,) = storage.check_disks(wanted, 5)
    assert "one 1.0 GB, two 1.0 GB" in finding.text


def test_a_storage_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        within(0.05, time.sleep, 5)
    monkeypatch.setattr(storage, "_place", lambda folder: time.sleep(5))
    (finding,) = storage.check_disks([storage.Demand("logs", tmp_path, 1)], 0.05)
    assert "does not answer within 0.05 s" in finding.text


def test_a_missing_image_is_a_warning_and_an_empty_or_missing_class_a_failure(fake: FakeMachine) -> None:
    root = imagenet(fake.root / "imagenet")
    (root / "train/n00000003/0.JPEG").unlink()
    said = fake.diagnose("--imagenet", root)
    assert said.levels["train"] == "warning"
    assert "1,999 images in 1,000 classes" in said.text
    (root / "train/n00000003/1.JPEG").rename(root / "train/n00000003/1.JPEG.part")
    said = fake.diagnose("--imagenet", root)
    assert said.levels["train"] == "failure"
    assert "none in n00000003" in said.text
    shutil.rmtree(root / "train/n00000003")
    said = fake.diagnose("--imagenet", root)
    assert (said.levels["train"], said.levels["val"], said.code) == ("failure", "ok", 1)
    assert "1,998 images in 999 classes" in said.text
    assert "only in val: n00000003" in said.text
    (root / "train/n00000003").symlink_to(root / "gone")  # missing, not foreign
    assert f"{root}/train/n00000003: No such file" in fake.diagnose("--imagenet", root).text


@pytest.mark.parametrize("place", ["ILSVRC2012_img_train.tar", "train/ILSVRC2012_img_train.tar", "train/n01440764.tar"])
def test_an_archive_that_is_not_unpacked_is_named(place: str, fake: FakeMachine, tmp_path: Path) -> None:
    archive = tmp_path / "imagenet" / place
    archive.parent.mkdir(parents=True)
    archive.touch()
    (tmp_path / "imagenet/val").mkdir()
    said = fake.diagnose("--imagenet", tmp_path / "imagenet")
    assert f"{archive} is not unpacked" in said.text
    assert "unpack it into one folder a class" in said.text


def test_validation_images_without_class_folders_must_be_sorted(fake: FakeMachine, tmp_path: Path) -> None:
    root = imagenet(tmp_path / "imagenet", classes=2, val=0)
    shutil.rmtree(root / "val")
    (root / "val").mkdir()
    for number in range(3):
        (root / f"val/ILSVRC2012_val_{number:08}.JPEG").touch()
    said = fake.diagnose("--imagenet", root)
    assert "3 images in" in said.text
    assert "sort them into one folder a class" in said.text
    assert "classes" not in said.levels


def test_a_folder_too_deep_or_one_that_cannot_be_read_is_a_failure(fake: FakeMachine, tmp_path: Path) -> None:
    root = imagenet(tmp_path / "imagenet", classes=2)
    assert f"it may be {root}" in fake.diagnose("--imagenet", root / "train").text
    assert "No such file or directory" in fake.diagnose("--imagenet", tmp_path / "nowhere").text
    said = fake.diagnose("--imagenet", "x" * 300)  # which root can't read either
    assert (said.levels["train"], said.code) == ("failure", 1)


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


def test_a_command_is_found_where_drivers_put_theirs(fake: FakeMachine) -> None:
    fake.write("/usr/local/sbin/npu-smi", f"#!/bin/sh\n{say('here')}\n")
    (fake.root / "usr/local/sbin/npu-smi").chmod(0o755)
    assert fake.machine.run("npu-smi") == Answer("here\n", "")
    assert Machine(fake.root, {"PATH": ""}).run("nothing-of-that-name").missing

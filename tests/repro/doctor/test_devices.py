"""`make doctor`, drivers and devices: what it says of them in every state, and whether to start."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from repro.doctor import software
from repro.stacks.releases import read_releases
from tests.support.machines import FakeMachine, imagenet, npu_table, say, two_chip_table


def test_eight_ascends_in_order_are_told_to_go_on(fake: FakeMachine, tmp_path: Path) -> None:
    fake.venv.rename(tmp_path / "old")
    fake.install("2.9.0")
    said = fake.ascends(8).diagnose("--imagenet", imagenet(tmp_path / "imagenet"))
    assert (said.of("failure") | said.of("warning"), said.code) == (set(), 0)
    assert said.lines[-1] == f"ready: {len(said.levels)} ok"
    assert "8 x 910B3 (0-7)" in said.text
    assert "MindSpore 2.9.0, CANN 9.0.0, driver 26.0.RC1: a documented set" in said.text


def test_eight_gpus_in_order_are_told_to_go_on(fake: FakeMachine, tmp_path: Path) -> None:
    said = fake.gpus(8).diagnose("--imagenet", imagenet(tmp_path / "imagenet"))
    assert (said.of("failure") | said.of("warning"), said.code) == (set(), 0)
    assert "8 x NVIDIA A100-SXM4-80GB (0-7)" in said.text
    assert "compute capability 8.0: MindSpore 2.10.0 has code for it, as have 2.9.0, 2.8.0, 2.7.2" in said.text


def test_a_machine_without_the_device_gets_a_plain_sentence(fake: FakeMachine) -> None:
    for device, why in (("gpu", "no NVIDIA driver: nvidia-smi"), ("ascend", "no Ascend driver: no /dev/davinci0, and")):
        found = fake.diagnose("--device", device)
        assert found.code == 1
        assert re.search(rf"failure +driver +{why}.*was not found.*\n +fix: install", found.text)


def test_devices_that_are_not_there_are_named(fake: FakeMachine) -> None:
    assert "asked for 2-4, found devices 0-3" in fake.gpus(4).diagnose("--devices", "2,3,4").text
    said = fake.ascends(2).diagnose("--devices", "7")
    assert "asked for 7, found devices 0-1" in said.text
    assert said.code == 1


@pytest.mark.parametrize(
    ("gpus", "check", "level", "words"),
    [
        ({"driver": "440.33.01"}, "driver", "failure", "NVIDIA 440.33.01 is too old for CUDA 11.8"),
        ({"driver": "450.80.02"}, "driver", "ok", "NVIDIA 450.80.02 runs CUDA 11.8 as a minor version of CUDA 11"),
        ({"driver": "450.80.02", "count": 2}, "driver", "warning", "may refuse to compile code on the device"),
        ({"driver": "520.61.05", "count": 2}, "driver", "ok", "NVIDIA 520.61.05, made for CUDA 11.8 or newer"),
        ({"capability": "5.2"}, "kernels", "failure", "MindSpore 2.10.0 has no code for it\n"),
        ({"capability": "8.9"}, "kernels", "ok", "compute capability 8.9: MindSpore 2.10.0 has code for it"),
        ({"capability": "9.0"}, "kernels", "ok", "compiled on the device, so the first start takes longer"),
        ({"capability": "12.0"}, "kernels", "warning", "compute capability 12.0 is newer than CUDA 11"),
        ({"used": {0: 70000}}, "free", "failure", "85% of device 0"),
        ({"apps": "4711, /usr/bin/jupyter, 300"}, "free", "warning", "4711, /usr/bin/jupyter, 300"),
    ],
)
def test_a_gpu_is_judged_by_its_driver_its_code_and_who_else_uses_it(
    gpus: dict[str, Any], check: str, level: str, words: str, fake: FakeMachine
) -> None:
    said = fake.gpus(**gpus).diagnose()
    assert (said.levels[check], said.code) == (level, int(level == "failure"))
    assert words in said.text


def test_the_gpus_of_a_release_that_is_not_known_are_no_failure(fake: FakeMachine) -> None:
    fake.install("2.1.1")
    said = fake.gpus().diagnose()
    assert said.levels["kernels"] == "warning"
    assert "for which GPUs MindSpore 2.1.1 was compiled is not known here" in said.text


def test_a_busy_device_that_is_not_asked_for_does_not_matter(fake: FakeMachine) -> None:
    assert fake.gpus(2, used={1: 70000}).diagnose("--devices", "0").levels["free"] == "ok"
    table = npu_table([(0, "910B3", "OK", 3401), (1, "910B3", "Critical", 41110)], [(1, 1333928)])
    said = fake.ascends(2, table=table).diagnose("--devices", "0")
    assert said.levels["free"] == "ok"
    assert "health" not in said.levels


def test_a_driver_that_does_not_know_compute_capability_is_asked_without_it(fake: FakeMachine) -> None:
    script = (fake.gpus(driver="470.82.01").bin / "nvidia-smi").read_text()
    refusal = say('Field "compute_cap" is not a valid field to query.', 2)
    fake.tool("nvidia-smi", re.sub(r"\*compute_cap\*\) .*", lambda _: f"*compute_cap*) {refusal} ;;", script))
    said = fake.diagnose()
    assert said.levels["driver"] == "ok"
    assert "kernels" not in said.levels


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("(/bin/sleep 60) & /bin/sleep 60", "nvidia-smi did not answer within 0.5 s"),
        ("while :; do printf '%09999d' 0; done", "nvidia-smi prints without end"),
        (r"printf '\377\376\000\033[31m?'", "nvidia-smi lists no GPU that can be read"),
        ("exit 0", "nvidia-smi lists no GPU that can be read"),
        (say("a, b, c\n0, X, Y, Z, W, 1.x"), "nvidia-smi lists no GPU that can be read"),
        ("kill -9 $$", "nvidia-smi ended with exit code -9"),
        (say("No devices were found", 6), "the NVIDIA driver is here, but it finds no GPU"),
        (say("Failed to initialize NVML: Driver/library version mismatch", 18), "was updated under a running kernel"),
        ('echo "could not communicate with the driver" >&2; exit 9', "exit code 9: could not communicate"),
        (b"\x7fELF rubbish", "can't be run (Exec format error)"),
    ],
)
def test_whatever_nvidia_smi_does_ends_in_a_sentence(script: str | bytes, sentence: str, fake: FakeMachine) -> None:
    fake.tool("nvidia-smi", script)
    fake.timeout_s = 0.5
    said = fake.diagnose("--device", "gpu")
    assert sentence in said.text
    assert said.code == 1


def test_missing_cuda_libraries_and_a_missing_cuda_home_are_named(fake: FakeMachine) -> None:
    del fake.gpus().environment["CUDA_HOME"]
    said = fake.diagnose()
    assert "CUDA_HOME is not set" in said.text
    assert said.code == 1
    (fake.root / "usr/local/cuda/lib64/libcudnn.so.8").unlink()
    assert "not found: libcudnn.so.8" in fake.diagnose().text
    assert "make setup will install the libraries of CUDA 11" in fake.diagnose("--venv", "nowhere").text


BUSY = npu_table([(0, "910B3", "OK", 3401), (1, "910B3", "OK", 41110)], [(1, 1333928)])
ILL = npu_table([(0, "910B3", "Warning", 0), (1, "910B3", "Critical", 0)])
TWO_CHIPS = two_chip_table({3: 40000}, (1, 1))


@pytest.mark.parametrize(
    ("ascends", "found", "words"),
    [
        ({"name": "910B2C"}, "chip ok", "910B2C (Atlas A2)"),
        ({"name": "910A"}, "chip warning", "910A, as in the published run"),
        ({"name": "910PremiumA"}, "chip warning", "910PremiumA, as in the published run"),
        ({"name": "310P3"}, "chip failure", "310P3 is made for inference"),
        ({"count": 2, "table": BUSY}, "free failure", "1333928 python3.11 on device 1; memory of 63% of device 1"),
        ({"count": 2, "table": ILL}, "health failure", "device 0: Warning, device 1: Critical"),
        ({"table": ILL}, "health warning", "device 0: Warning"),
        # Cards with two chips are counted by their physical number.
        ({"count": 8, "table": TWO_CHIPS}, "devices ok", "8 x Ascend910 (0-7)"),
        ({"count": 8, "table": TWO_CHIPS}, "free failure", "777 python on device 3; memory of 61% of device 3"),
        ({"count": 8, "table": TWO_CHIPS}, "chip ok", "Ascend910 (Atlas A3)"),
        ({"table": "the device is used. ret is -8020"}, "free failure", "another container holds the devices"),
        ({"table": "?? | 7 | ??"}, "free warning", "its table does not list all of 0"),
        ({"cann": "8.1.RC1"}, "match failure", "accepts CANN 8.2, 8.3, 8.5, 9.0, 9.1"),
        ({"cann": "7.8"}, "match failure", "use MindSpore 2.7.1, which accepts this CANN: make fingerprint DEVICE=asc"),
        ({"cann": "9.0.0"}, "match warning", "documented with it: MindSpore 2.9.0, driver 26.0.RC1"),
        ({"cann": "8.2.RC1"}, "match warning", "or use that release: make fingerprint DEVICE=ascend MINDSPORE=2.7.0"),
        ({"cann": "9.1.0"}, "match warning", "no document that we know names the three together"),
    ],
)
def test_an_ascend_is_judged_by_its_chip_its_health_its_cann_and_who_else_uses_it(
    ascends: dict[str, Any], found: str, words: str, fake: FakeMachine
) -> None:
    said = fake.ascends(**ascends).diagnose()
    check, level = found.split()
    assert said.levels[check] == level
    assert words in said.text
    assert said.levels["nodes"] == "ok"


def test_a_missing_device_node_and_a_shell_that_is_not_set_up_are_failures(fake: FakeMachine) -> None:
    (fake.ascends().root / "dev/hisi_hdc").unlink()
    del fake.environment["ASCEND_HOME_PATH"]
    said = fake.diagnose()
    assert said.of("failure") == {"nodes", "CANN"}
    assert "missing: /dev/hisi_hdc" in said.text
    assert "run: source /usr/local/Ascend/cann/set_env.sh" in said.text


def test_the_installed_mindspore_is_asked_which_cann_it_accepts() -> None:
    release = read_releases()[software.mindspore_version(sys.prefix)[0]]
    assert software.accepted_cann(sys.prefix, "") == release.cann  # the table is the wheel's
    assert release.compiled.startswith(software.compiled_with_cann(sys.prefix))
    assert software.accepted_cann("nowhere", "2.7.0") == ["7.7", "7.8", "8.2"]

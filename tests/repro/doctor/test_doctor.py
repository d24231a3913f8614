"""`make doctor`, drivers and devices: what it says of them in every state, and whether to go on."""

import re
import sys
from pathlib import Path

import pytest

from repro.doctor import software
from tests.support.machines import Fake, diagnose, fake, imagenet, npu_table, say, two_chip_table

__all__ = ["fake"]  # the fixture


def test_eight_ascends_in_order_are_told_to_go_on(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "ACCEPTED_CANN", ("9.0",))
    fake.venv.rename(tmp_path / "old")
    fake.install("2.9.0")
    said = diagnose(fake.ascends(8), capsys, "--device", "ascend", "--imagenet", imagenet(tmp_path / "imagenet"))
    assert said.of("failure") == set()
    assert said.of("warning") == set()
    assert said.code == 0
    assert said.lines[-1] == f"go on: {len(said.levels)} ok"
    assert "8 x 910B3 (0-7)" in said.text
    assert "MindSpore 2.9.0, CANN 9.0.0, driver 26.0.RC1: a documented set" in said.text


def test_eight_gpus_in_order_are_told_to_go_on(fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = diagnose(fake.gpus(8), capsys, "--device", "gpu", "--imagenet", imagenet(tmp_path / "imagenet"))
    assert said.of("failure") | said.of("warning") == set()
    assert said.code == 0
    assert "8 x NVIDIA A100-SXM4-80GB (0-7)" in said.text
    assert "compute capability 8.0: MindSpore has code for it" in said.text


def test_a_gpu_is_of_no_use_to_mindspore_without_cuda_home(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.gpus(1).environment.pop("CUDA_HOME")
    said = diagnose(fake, capsys, "--device", "gpu")
    assert said.code == 1
    assert "CUDA_HOME is not set" in said.text


@pytest.mark.parametrize("device", ["gpu", "ascend"])
def test_a_machine_without_the_device_gets_a_plain_sentence(
    device: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    said = diagnose(fake, capsys, "--device", device)
    assert said.code == 1
    assert said.levels["driver"] == "failure"
    vendor, tool = ("NVIDIA", "nvidia-smi") if device == "gpu" else ("Ascend", "npu-smi")
    line = next(line for line in said.lines if " driver " in line)
    assert f"no {vendor} driver" in line
    assert f"{tool} was not found" in line
    assert "fix: install" in said.lines[said.lines.index(line) + 1]


def test_a_busy_gpu_is_a_failure_unless_another_one_is_asked_for(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.gpus(2, used={1: 70000})
    assert diagnose(fake, capsys, "--device", "gpu", "--devices", "0").levels["free"] == "ok"
    said = diagnose(fake, capsys, "--device", "gpu")
    assert said.levels["free"] == "failure"
    assert "85% of device 1" in said.text
    assert said.code == 1


def test_a_small_process_on_a_gpu_is_a_warning_that_names_it(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    said = diagnose(fake.gpus(1, apps="4711, /usr/bin/jupyter, 300"), capsys, "--device", "gpu")
    assert said.levels["free"] == "warning"
    assert "4711, /usr/bin/jupyter, 300" in said.text


@pytest.mark.parametrize(
    ("driver", "count", "level"),
    [("440.33.01", 1, "failure"), ("450.80.02", 1, "ok"), ("450.80.02", 2, "warning"), ("520.61.05", 2, "ok")],
)
def test_a_driver_must_run_cuda_11_8(
    driver: str, count: int, level: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnose(fake.gpus(count, driver=driver), capsys, "--device", "gpu").levels["driver"] == level


def test_a_driver_that_does_not_know_compute_capability_is_asked_without_it(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.gpus(1, driver="470.82.01")
    script = (fake.bin / "nvidia-smi").read_text()
    refusal = say('Field "compute_cap" is not a valid field to query.', 2)
    fake.tool("nvidia-smi", re.sub(r"\*compute_cap\*\) .*", lambda _: f"*compute_cap*) {refusal} ;;", script))
    said = diagnose(fake, capsys, "--device", "gpu")
    assert said.levels["driver"] == "ok"
    assert "kernels" not in said.levels


@pytest.mark.parametrize(
    ("capability", "level"), [("5.2", "failure"), ("6.1", "ok"), ("8.9", "ok"), ("9.0", "ok"), ("12.0", "warning")]
)
def test_the_compiled_code_must_fit_the_gpu(
    capability: str, level: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnose(fake.gpus(1, capability=capability), capsys, "--device", "gpu").levels["kernels"] == level


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("/bin/sleep 60", "nvidia-smi did not answer within 1 s"),
        ("(/bin/sleep 60) & /bin/sleep 60", "nvidia-smi did not answer within 1 s"),
        ("while :; do printf '%09999d' 0; done", "nvidia-smi prints without end"),
        (r"printf '\377\376\000\033[31m?'", "nvidia-smi lists no GPU that can be read"),
        ("exit 0", "nvidia-smi lists no GPU that can be read"),
        (say("a, b, c\n0, X, Y, Z, W, 1.x"), "nvidia-smi lists no GPU that can be read"),
        ("kill -9 $$", "nvidia-smi ended with exit code -9"),
        (say("No devices were found", 6), "the NVIDIA driver is here, but it finds no GPU"),
        (say("Failed to initialize NVML: Driver/library version mismatch", 18), "was updated under a running kernel"),
        ('echo "could not communicate with the driver" >&2; exit 9', "exit code 9: could not communicate"),
    ],
)
def test_whatever_the_drivers_tool_does_ends_in_a_sentence(
    script: str, sentence: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.tool("nvidia-smi", script)
    fake.timeout_s = 1
    said = diagnose(fake, capsys, "--device", "gpu")
    assert sentence in said.text
    assert said.code == 1
    assert said.text.isprintable() or all(c.isprintable() for line in said.lines for c in line)


def test_a_tool_that_is_no_program_ends_in_a_sentence(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    (fake.bin / "nvidia-smi").write_bytes(b"\x7fELF rubbish")
    (fake.bin / "nvidia-smi").chmod(0o755)
    assert "can't be run (Exec format error)" in diagnose(fake, capsys, "--device", "gpu").text


def test_devices_that_are_not_there_are_named(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    said = diagnose(fake.gpus(4), capsys, "--device", "gpu", "--devices", "2,3,4")
    assert "asked for 2-4, found devices 0-3" in said.text
    said = diagnose(fake.ascends(2), capsys, "--device", "ascend", "--devices", "7")
    assert "asked for 7, found devices 0-1" in said.text
    assert said.code == 1


def test_missing_cuda_libraries_are_named(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.gpus(1)
    (fake.root / "usr/local/cuda/lib64/libcudnn.so.8").unlink()
    said = diagnose(fake, capsys, "--device", "gpu")
    assert "not found: libcudnn.so.8" in said.text


def test_a_busy_ascend_is_a_failure(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    table = npu_table([(0, "910B3", "OK", 3401), (1, "910B3", "OK", 41110)], [(1, 1333928)])
    said = diagnose(fake.ascends(2, table=table), capsys, "--device", "ascend")
    assert said.levels["free"] == "failure"
    assert "1333928 python3.11 on device 1; memory of 63% of device 1" in said.text
    assert diagnose(fake, capsys, "--device", "ascend", "--devices", "0").levels["free"] == "ok"


def test_cards_with_two_chips_are_counted_by_their_physical_number(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.ascends(8, table=two_chip_table({3: 40000}, (1, 1)))
    said = diagnose(fake, capsys, "--device", "ascend")
    assert "8 x Ascend910 (0-7)" in said.text
    assert "777 python on device 3; memory of 61% of device 3" in said.text
    assert said.levels["chip"] == "warning"


def test_a_sick_ascend_is_named(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    table = npu_table([(0, "910B3", "Warning", 0), (1, "910B3", "Critical", 0)])
    said = diagnose(fake.ascends(2, table=table), capsys, "--device", "ascend")
    assert said.levels["health"] == "failure"
    assert "device 0: Warning, device 1: Critical" in said.text
    assert diagnose(fake, capsys, "--device", "ascend", "--devices", "0").levels["health"] == "warning"


@pytest.mark.parametrize(
    ("name", "level"),
    [("910B3", "ok"), ("910B2C", "ok"), ("910A", "warning"), ("910PremiumA", "warning"), ("310P3", "failure")],
)
def test_the_chip_must_be_one_that_trains(
    name: str, level: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnose(fake.ascends(1, name=name), capsys, "--device", "ascend").levels["chip"] == level


def test_a_container_that_holds_the_devices_is_told_apart(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    table = "dcmi model initialized failed, because the device is used. ret is -8020"
    said = diagnose(fake.ascends(1, table=table), capsys, "--device", "ascend")
    assert "another container holds the devices" in said.text


def test_an_npu_smi_that_says_nothing_of_use_leaves_a_warning(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    said = diagnose(fake.ascends(1, table="?? | 7 | ??"), capsys, "--device", "ascend")
    assert said.levels["free"] == "warning"
    assert said.levels["nodes"] == "ok"


def test_a_missing_device_node_is_named(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.ascends(1)
    (fake.root / "dev/hisi_hdc").unlink()
    assert "missing: /dev/hisi_hdc" in diagnose(fake, capsys, "--device", "ascend").text


@pytest.mark.parametrize(
    ("cann", "driver", "level", "words"),
    [
        ("8.1.RC1", "25.0.RC1", "failure", "accepts CANN 8.2, 8.3, 8.5, 9.0, 9.1"),
        ("9.0.0", "26.0.RC1", "warning", "documented with it: MindSpore 2.9.0, driver 26.0.RC1"),
        ("9.1.0", "26.0.RC1", "warning", "no document that we know names the three together"),
    ],
)
def test_cann_must_go_with_mindspore(
    cann: str, driver: str, level: str, words: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    said = diagnose(fake.ascends(1, cann=cann, driver=driver), capsys, "--device", "ascend")
    assert said.levels["match"] == level
    assert words in said.text


def test_cann_that_this_shell_is_not_set_up_for_is_a_failure(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    del fake.ascends(1).environment["ASCEND_HOME_PATH"]
    said = diagnose(fake, capsys, "--device", "ascend")
    assert "run: source /usr/local/Ascend/cann/set_env.sh" in said.text
    assert said.code == 1


def test_the_installed_mindspore_is_asked_which_cann_it_accepts() -> None:
    assert tuple(software.accepted_cann(sys.prefix)) == software.ACCEPTED_CANN
    assert software.compiled_with_cann(sys.prefix) == "9.1"
    assert software.mindspore_version(sys.prefix) == ("2.10.0", True)

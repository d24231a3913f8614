"""A device is measured configuration by configuration: what is started, what the tables say, what a failure costs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from repro.bench import device
from repro.bench.logged import ProgramError, reason_in, run_logged
from repro.bench.measurement import find_chip, time_facts
from repro.errors import ReproError
from tests.support.programs import Call

SECONDS = {"O0": 4.0, "O2": 2.0, "O3": 1.0}  # of a batch of 2, on one card
NAMES = {"CPU": "x86_64", "GPU": "NVIDIA A100-SXM4-80GB", "Ascend": "Ascend910A"}


CONFIG = {"backbone": "hlg_mobile", "class_num": 1001, "train_image_size": 224, "eval_image_size": 224}
CONFIG |= {"mixup": 0.2, "autoaugment": True}


class Machine:
    """What hlg.bench would measure: times by precision; two cards take 1.2 as long. `faults`: by part of a command."""

    def __init__(self) -> None:
        self.commands: list[Sequence[str]] = []
        self.faults: dict[str, ProgramError | type[BaseException]] = {}

    def run(self, command: Sequence[str], log: Path) -> None:
        self.commands.append(command)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        text = " ".join(command)
        for part, fault in self.faults.items():
            if part in text:
                raise fault
        Path(command[-1]).write_text(json.dumps(self.found(command)))

    def found(self, command: Sequence[str]) -> dict[str, Any]:
        after = {name: command[i + 1] for i, name in enumerate(command) if name.startswith("--")}
        cards, batch, steps = (int(after[name]) for name in ("--ranks", "--batch_size", "--steps"))
        seconds = SECONDS[after["--amp_level"]] * batch / 2 * (1.2 if cards > 1 else 1)
        target, words = after["--device_target"], command[command.index("hlg.bench") + 1 :]
        return {
            "batch_size": batch,
            "times_s": [seconds] * (steps - 1) + [2 * seconds],
            "rank_totals_s": [seconds * (steps + 1)] * cards,
            "median_s": seconds,
            "flops_per_s": batch * 6e9 / seconds,
            "product_flops_per_s": 60e9 if after["--amp_level"] == "O0" else 30e9,
            "compile_time_s": 9.0,
            "peak_memory_bytes": 3 * 10**9,
            **({} if target == "CPU" else {"device_memory_bytes": 5 * 10**9}),
            "environment": {
                "argv": ["hlg/bench/__main__.py", *words],
                "cpu": {"model": "EPYC", "kind": None, "cores": 2},
                "device": {"target": target, "names": [NAMES[target]] * cards},
                "packages": {"mindspore": "2.10.0"},
                "config": CONFIG,
                "commit": "0123456789abcdef",
                "dirty": False,
            },
        }


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
    machine = Machine()
    monkeypatch.setattr(device, "run_logged", machine.run)
    return machine


def result() -> tuple[dict[str, Any], str]:
    (folder,) = Path("results/bench").iterdir()
    return json.loads((folder / "bench.json").read_text()), (folder / "table.md").read_text()


CPU = ("--batches", "2", "--amp", "O0 O2", "--cards", "2", "--steps", "3")


def test_every_configuration_is_measured_by_processes_of_its_own(machine: Machine, call: Call) -> None:
    said = call(device.main, *CPU, "--imagenet", "images", "--", "--seed=2")
    parts = {tuple(command[command.index("hlg.bench") - 3 :][1:5]) for command in machine.commands}
    assert len(machine.commands) == len(parts) * 2 * 2 == 16  # of cards, precisions, work and images
    first = machine.commands[1]
    assert first[1:5] == ["-m", "hlg.launch", "--ranks", "1"]
    assert " ".join(first[7:]).startswith("hlg.bench forward --steps 3 --warm_up 5 --seed=2 --device_target CPU")
    fed = [command for command in machine.commands if "fed_step" in command]
    assert fed[0][-6:-2] == ["--dataset_path", "images/train", "--eval_path", "images/val"]
    assert "measuring 16 configurations, 3 batches each; results: results/bench/" in said.out
    assert "16 of 16: inference from files, O2, batch 2, 2 cards: 1.2 images/s" in said.out


def test_the_record_has_rates_percentiles_scaling_precision_memory_and_peak(machine: Machine, call: Call) -> None:
    call(device.main, *CPU)
    record, page = result()
    rows = {(row["work"], row["precision"], row["cards"]): row for row in record["rows"]}
    one, two = rows["training", "O0", 1], rows["training", "O0", 2]
    assert (one["images_per_s"], one["median_ms"], one["p95_ms"], one["p99_ms"]) == (2 * 3 / 16, 4000, 8000, 8000)
    assert rows["training", "O2", 1]["of_o0"] == pytest.approx(2)
    assert (one["efficiency"], two["efficiency"]) == (1, pytest.approx(1 / 1.2))
    assert one["flops_per_s"] == pytest.approx(6e9 * 2 * 3 / 16)
    assert one["share_of_peak"] == pytest.approx(one["flops_per_s"] / 60e9)
    assert two["share_of_peak"] == pytest.approx(two["flops_per_s"] / 60e9)  # the same cores
    assert (one["resident_bytes"], one["device_bytes"]) == (3 * 10**9, None)
    assert "| training | random | O0 | 2 | 2 | 0.625 | 4,800 ms | 9,600 ms | 9,600 ms |  | 83 % |" in page
    assert "| training | random | O2 | 2 | 1 | 0.75 | 2,000 ms | 4,000 ms | 4,000 ms | 2.00 x |" in page
    assert "O2: 0.03 TFLOP/s, measured: MindSpore's product of matrices in float16" in page
    assert page.startswith("# EPYC\n\nEPYC, 2 cores: 3 batches each; MindSpore 2.10.0, commit 012345678; ")


def test_the_published_times_stand_beside_what_was_measured_most_like_them(machine: Machine, call: Call) -> None:
    words = ("--device", "ascend", "--batches", "64 128", "--amp", "O0 O3", "--cards", "8", "--imagenet", "images")
    call(device.main, *words)
    record, page = result()
    training, inference = record["published"]
    assert training["row"] == {"work": "training", "images": "files", "precision": "O3", "batch": 128, "cards": 8}
    assert (training["published_ms"], training["differs"]) == (373, [])
    assert training["published_per_card"] == pytest.approx(128 / 0.373)
    assert training["mean_ms"] == pytest.approx(1000 * 64 * 1.2 * 101 / 100)
    assert (inference["published_ms"], inference["differs"]) == (244.1, ["hardware"])
    assert inference["row"]["precision"] == "O0"
    assert "8 x Ascend910A, 128 images each, O3" in page
    assert record["peaks"]["O3"]["flops_per_s"] == 256e12
    assert "measured" in record["peaks"]["O0"]["source"]  # nothing is published of its float32
    assert record["rows"][0]["device_bytes"] == 5 * 10**9


def test_a_failure_is_said_in_its_row_and_the_others_are_measured(machine: Machine, call: Call) -> None:
    machine.faults["--batch_size 64"] = ProgramError("out of memory: Device(id:0) memory isn't enough", 1)
    said = call(device.main, "--device", "gpu", "--batches", "32 64", "--amp", "O3", "--steps", "2", code=1)
    assert "inference, O3, batch 64: failed: out of memory: Device" in said.out
    record, page = result()
    assert [row.get("failed", "") != "" for row in record["rows"]] == [False, True, False, True]
    assert "(1) training, random, O3, 64 x 1: out of memory" in page
    assert record["rows"][0]["share_of_peak"] == pytest.approx(record["rows"][0]["flops_per_s"] / 312e12)


def test_a_mistake_ends_it_at_once_and_leaves_nothing(machine: Machine, call: Call) -> None:
    machine.faults["hlg.bench"] = ProgramError("device_target: found GPU, which MindSpore can't use here", 2)
    said = call(device.main, "--device", "gpu", code=2)
    assert said.err == "error: device_target: found GPU, which MindSpore can't use here\n"
    assert (len(machine.commands), list(Path("results/bench").iterdir())) == (1, [])


def test_keys_that_change_the_work_stand_beside_the_published_times(
    machine: Machine, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIG, "train_image_size", 112)
    call(device.main, *CPU, "--", "--train_image_size=112")
    expected = ["hardware", "train_image_size", "batch", "cards", "precision", "images"]
    assert result()[0]["published"][0]["differs"] == expected


def test_a_batch_too_large_for_this_machine_is_no_mistake(machine: Machine, call: Call) -> None:
    machine.faults["--batch_size 9"] = ProgramError("batch_size: 9 images take about 90 GB on a CPU", 2)
    call(device.main, "--batches", "9 2", "--amp", "O0", "--steps", "2", code=1)
    assert "failed" not in result()[0]["rows"][0]


def test_what_was_measured_before_a_stop_is_not_measured_again(machine: Machine, call: Call) -> None:
    machine.faults["--ranks 2"] = KeyboardInterrupt
    assert "stopped by Ctrl-C: what was measured is kept" in call(device.main, *CPU, code=130).err
    (folder,) = Path("results/bench").iterdir()
    machine.faults, machine.commands = {}, []
    said = call(device.main, *CPU, "--resume", folder)
    assert len(machine.commands) == 4
    assert "images/s, measured before" in said.out
    call(device.main, *CPU[:-1], "4", "--resume", folder)  # other steps: nothing of it counts
    assert len(machine.commands) == 4 + 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batches", "8 x"], "--batches: found 'x'; allowed: whole numbers from 1 to 65536"),
        (["--batches", "8 8"], "--batches: found '8 8'; allowed: different ones with blanks between"),
        (["--batches", ""], "--batches: found ''"),
        (["--amp", "O1"], "--amp: found 'O1'; allowed: O0, O2, O3"),
        (["--cards", "0"], "--cards: found '0'"),
        (["--steps", "0"], "--steps: found '0'"),
        (["--imagenet", "nowhere"], "--imagenet: found 'nowhere', which has no folder train/"),
        (["--resume", "nowhere"], "--resume: found 'nowhere', which is no folder"),
        (["--", "--batch_size=8"], "batch_size: found '8', but BATCHES sets it here; leave it out"),
    ],
)
def test_mistakes_are_said_in_a_line_before_anything_is_written(
    words: list[str], said: str, machine: Machine, call: Call
) -> None:
    assert call(device.main, *words, code=2).err.startswith(f"error: {said}")
    assert not machine.commands
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("printed", "code", "reason"),
    [
        (
            "error: rank 1 (pid 7): killed by SIGKILL, probably by the kernel, which ran out of memory\nlogs: x",
            1,
            "out of",
        ),
        (
            "RuntimeError: Device(id:0) memory isn't enough and alloc failed\n- C++\nerror: rank 0: exit code 1",
            1,
            "out of",
        ),
        ("note: a\nerror: sed: unknown key\nlogs: /x", 2, "sed: unknown key"),
        ("Traceback\nValueError: odd shape\nerror: rank 0 of node 0 (pid 7): exit code 1", 1, "ValueError: odd shape"),
        ("", 9, "ended with exit code 9"),
    ],
)
def test_a_log_says_why_its_last_program_failed(printed: str, code: int, reason: str, tmp_path: Path) -> None:
    log = tmp_path / "new/log"
    run_logged(["echo", "error: an earlier one"], log)
    with pytest.raises(ProgramError, match=f"^{reason}") as failed:
        run_logged(["sh", "-c", 'printf "%s" "$0"; exit $1', printed, str(code)], log)
    assert failed.value.code == code


@pytest.mark.parametrize(
    ("name", "float16"),
    [
        ("Ascend910A", 256),
        ("Ascend910B4", None),
        ("Tesla V100-SXM2-32GB", 125),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H200", 989.5),
        ("NVIDIA GeForce RTX 3090", 142),
        ("NVIDIA GeForce RTX 3090 Ti", None),
    ],
)
def test_a_chip_is_found_by_its_name(name: str, float16: float | None) -> None:
    chip = find_chip(name)
    assert (chip and chip.peaks["float16"]) == (float16 and 1e12 * float16)


def test_a_table_of_chips_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "chips.yml").write_text("[]")
    with pytest.raises(ReproError, match=r"chips.yml: cannot be read"):
        find_chip("A100", tmp_path / "chips.yml")


def test_percentiles_are_times_that_were_measured() -> None:
    assert time_facts([0.001 * n for n in range(100, 0, -1)]) == pytest.approx(
        {"median_ms": 50.5, "p95_ms": 95, "p99_ms": 99}
    )
    assert reason_in(Path("nowhere"), 1) == "ended with exit code 1"

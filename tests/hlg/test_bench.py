"""Measuring one thing: what is written, and what is refused. No time is judged."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from mindspore.profiler import ProfilerActivity

from hlg.bench import __main__ as bench
from hlg.bench import run
from hlg.bench.works import Work
from hlg.runtime import profiler
from tests.support.processes import Done, run_module

SMALL = ["--batch_size=2", "--train_image_size=112", "--eval_image_size=112", "--class_num=7"]
RATES = {
    "median_s",
    "quartiles_s",
    "images_per_s",
    "flops_per_s",
    "product_flops_per_s",
    "share_of_product",
    "environment",
}


def measured(*options: str, standard_input: str = "") -> Done:
    return run_module("tests.support.narrow", "hlg.bench", *options, *SMALL, stdin=standard_input)


@pytest.mark.parametrize("what", ["forward", "step", "evaluate"])
def test_times_rates_and_environment_are_written(what: str, tmp_path: Path) -> None:
    done = measured(what, "--steps=3", f"--json={tmp_path}/new/found.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{what}: ")
    found = json.loads((tmp_path / "new/found.json").read_text())
    assert found.keys() >= RATES
    assert len(found["times_s"]) == found["steps"] == 3
    assert found["images_per_s"] * found["median_s"] == pytest.approx(8 if what == "evaluate" else 2)
    assert found["share_of_product"] == pytest.approx(found["flops_per_s"] / found["product_flops_per_s"])
    assert found["environment"]["packages"]["mindspore"]


def test_input_stands_beside_bare_decoding(tmp_path: Path) -> None:
    done = measured("input", "--steps=1", "--train_num_workers=2", f"--json={tmp_path}/found.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["flops_per_s"] is None
    assert found["share_of_decoding"] == pytest.approx(
        found["images_per_s_per_core"] / found["decoded_per_s_per_core"], rel=1e-6
    )


def test_a_file_that_cannot_be_written_is_named_and_no_half_of_it_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = measured("forward", "--steps=1", f"--json={tmp_path}/file/found.json")
    assert done.returncode == 2
    assert f"error: {tmp_path}/file/found.json: can't be written: File exists" in done.stderr
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


def test_paced_it_says_ready_and_answers_each_line_with_seconds_and_nothing_else() -> None:
    done = measured("forward", "--paced", standard_input="go\ngo\n")
    assert done.returncode == 0, done.stderr
    ready, *seconds = done.stdout.splitlines()
    assert ready == "ready"
    assert len(seconds) == 2
    assert all(float(text) > 0 for text in seconds)


def test_a_profile_names_the_costliest_operators_and_is_never_mixed_with_another(tmp_path: Path) -> None:
    done = measured("forward", "--steps=2", f"--profile={tmp_path}/profile")
    assert done.returncode == 0, done.stderr
    header, first, *_ = (tmp_path / "profile/operators.csv").read_text().splitlines()
    assert header == "operator,calls,total_ms,share_pct"
    assert first.split(",")[0] in done.stdout
    again = measured("forward", "--steps=2", f"--profile={tmp_path}/profile")
    assert again.returncode == 2
    assert "is not empty" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize(("target", "asked"), [("CPU", ["CPU"]), ("GPU", ["CPU", "GPU"]), ("Ascend", ["CPU", "NPU"])])
def test_of_a_device_its_own_activities_are_profiled(
    target: str, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Profiled by a profiler that leaves a table of one operator, as MindSpore's does."""
    found: list[str] = []

    @contextmanager
    def profile(activities: list[ProfilerActivity], on_trace_ready: object) -> Iterator[None]:
        found.extend(activity.name for activity in activities)
        yield
        table = "op_type,op_occurrences,op_total_time(ms)\nMatMul,1,2.0\n"
        (tmp_path / "cpu_op_detail_info_0.csv").write_text(table)

    monkeypatch.setattr(profiler, "profile", profile)
    with profiler.profiled(tmp_path, target):
        pass
    assert found == asked


def test_the_long_name_of_a_fused_kernel_is_cut_on_a_terminal(tmp_path: Path) -> None:
    name = f"GraphKernel_{'Mul_Add_' * 20}fusion"
    (tmp_path / "operators.csv").write_text(f"operator,calls,total_ms,share_pct\n{name},20,50.0,99.5\nAdd,2,0.2,0.50\n")
    header, fused, plain, _ = profiler.costliest(tmp_path, steps=2).splitlines()
    assert fused.split() == [f"{name[:15]}…{name[-16:]}", "10", "25.00", "99.5", "%"]
    assert len(header) < len(fused) == len(plain) < 80


@pytest.mark.parametrize("options", [["nothing"], ["step", "--steps=0"], ["step", "--steps=many"]])
def test_what_cannot_be_measured_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        bench.main(options)
    assert end.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_ctrl_c_is_one_line_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ctrl_c(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_benchmark", ctrl_c)
    assert bench.main(["step", f"--json={tmp_path}/found.json"]) == 130
    assert capsys.readouterr().err == (
        "stopped by Ctrl-C: there is no result; the folder of a run stays readable and unsealed\n"
    )
    assert not list(tmp_path.iterdir())


def test_quartiles_are_those_of_the_times() -> None:
    found = run.summarize_times(
        [3.0, 1.0, 2.0, 5.0, 4.0], Work(lambda: None, images=6, flops_per_image=10), product=40.0
    )
    assert (found["median_s"], found["quartiles_s"]) == (3.0, [2.0, 4.0])
    assert (found["images_per_s"], found["flops_per_s"], found["share_of_product"]) == (2.0, 20.0, 0.5)

"""The profile of a piece of work: what is asked of MindSpore's profiler, and what a terminal shows of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mindspore.profiler import ProfilerActivity

from hlg.errors import UserError
from hlg.runtime import profiler


@pytest.mark.parametrize(("target", "asked"), [("CPU", ["CPU"]), ("GPU", ["CPU", "GPU"]), ("Ascend", ["CPU", "NPU"])])
def test_each_device_has_its_own_activities_profiled(
    target: str, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in profiler leaves a table of one operator, as MindSpore's does."""
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
    with pytest.raises(UserError, match="is not empty"), profiler.profiled(tmp_path, target):
        pass  # another profile would be mixed in


def test_the_long_name_of_a_fused_kernel_is_cut_on_a_terminal(tmp_path: Path) -> None:
    name = f"GraphKernel_{'Mul_Add_' * 20}fusion"
    (tmp_path / "operators.csv").write_text(f"operator,calls,total_ms,share_pct\n{name},20,50.0,99.5\nAdd,2,0.2,0.50\n")
    header, fused, plain, _ = profiler.costliest(tmp_path, steps=2).splitlines()
    assert fused.split() == [f"{name[:15]}…{name[-16:]}", "10", "25.00", "99.5", "%"]
    assert len(header) < len(fused) == len(plain) < 80

"""The profile of a piece of work: what is asked of MindSpore's profiler for each device."""

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

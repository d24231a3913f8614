"""What a process may use is what its control groups grant, in either version, in a container too."""

import os
from pathlib import Path

import pytest

from hlg import limits
from hlg.config import Config
from hlg.errors import UserError
from hlg.runtime.engine import check_start
from hlg.runtime.memory import check_training_memory

GB = 1_000_000_000
V2 = {
    "proc/self/cgroup": "0::/job/step\n",
    "cgroup/job/cpu.max": "100000 100000\n",
    "cgroup/job/step/cpu.max": "max 100000\n",
    "cgroup/job/memory.max": f"{8 * GB}\n",
    "cgroup/job/memory.current": f"{5 * GB}\n",
    "cgroup/job/memory.stat": f"anon 1\ninactive_file {1 * GB}\n",
    "cgroup/job/step/memory.max": "max\n",
    "cgroup/job/memory.events": "low 0\noom_kill 2\n",
}
V1 = {
    "proc/self/cgroup": "7:memory:/docker/1234\n4:cpu,cpuacct:/docker/1234\n",  # the host's path, not in the container
    "cgroup/cpu/cpu.cfs_quota_us": "150000\n",
    "cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "cgroup/memory/memory.limit_in_bytes": f"{8 * GB}\n",
    "cgroup/memory/memory.usage_in_bytes": f"{5 * GB}\n",
    "cgroup/memory/memory.stat": f"total_inactive_file {1 * GB}\n",
    "cgroup/memory/memory.oom_control": "oom_kill_disable 0\noom_kill 2\n",
}
FREE = {"proc/self/cgroup": "0::/\n", "cgroup/cpu.max": "max 100000\n"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A machine of four cores and 32 GB, 20 of them free, with these control groups."""
    kilobytes = {"MemTotal": 32_000_000, "MemAvailable": 20_000_000}
    files = {"proc/meminfo": "".join(f"{name}: {1000 * size // 1024} kB\n" for name, size in kilobytes.items())}
    for name, text in {**files, "proc/vmstat": "oom_kill 1\n", **request.param}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(limits, "PROC", tmp_path / "proc")
    monkeypatch.setattr(limits, "GROUPS", tmp_path / "cgroup")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


@pytest.mark.parametrize("machine", [V2, V1], indirect=True, ids=["version 2", "version 1"])
def test_a_control_group_bounds_cores_threads_and_memory_and_counts_those_killed(machine: None) -> None:
    assert (limits.usable_cores(), limits.usable_threads(14)) == (1, 1)
    check_start(Config())
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert limits.usable_memory() == limits.Memory(8 * GB, 4 * GB)
    assert limits.out_of_memory_kills() == 3


@pytest.mark.parametrize("machine", [FREE], indirect=True)
def test_without_a_bound_the_machine_is_what_there_is(machine: None) -> None:
    assert (limits.usable_cores(), limits.usable_threads(14)) == (4, 14)
    memory = limits.usable_memory()
    assert memory is not None
    assert memory.total == pytest.approx(32 * GB)


@pytest.mark.parametrize("machine", [FREE], indirect=True)
def test_a_batch_too_large_is_refused_with_the_one_that_fits(machine: None, capsys: pytest.CaptureFixture[str]) -> None:
    check_training_memory(Config(device_target="CPU", batch_size=64))
    assert capsys.readouterr().err == ""
    check_training_memory(Config(device_target="GPU", batch_size=128))
    with pytest.raises(UserError, match=r"128 images of 224 x 224 take about 36 GB.* 32 GB: set it to 112 or less"):
        check_training_memory(Config(device_target="CPU", batch_size=128))
    check_training_memory(Config(device_target="CPU", batch_size=112))
    assert "take about 32 GB on a CPU, of which 20 GB are free now" in capsys.readouterr().err

"""The cache of compiled graphs: never a stale or a broken one. That they give the same bits: test_programs.py."""

import os
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor

from hlg.config import Config
from hlg.errors import UserError
from hlg.runtime import graph_cache
from hlg.runtime.device import Device
from hlg.training.job import Job
from tests.support.disks import full_disk

CPU, CONFIG = Device("CPU", "x86_64"), Config()


def _parameters(size: int = 3) -> list[Parameter]:
    return [Parameter(Tensor(np.zeros(size, np.float32)), name="weight")]


def _dependencies(config: Config = CONFIG, on: Device = CPU, size: int = 3) -> dict[str, Any]:
    return graph_cache.graph_dependencies(config, on, _parameters(size))


def test_a_graph_depends_on_code_software_device_parameters_and_most_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _dependencies()
    ours = ("hlg.model.network", "hlg.model.operators", "hlg.model.optimizer", "hlg.training.step")
    assert {Job.__module__, *ours} <= set(found["sources"])
    assert found["software"]["mindspore"] == ms.__version__
    assert found["variables"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert _dependencies(Config(seed=5, lr_max=0.5, log_interval=9)) == found
    others = [_dependencies(Config(beta2=0.98)), _dependencies(on=Device("GPU", "a")), _dependencies(size=4)]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    assert found not in [*others, _dependencies()]


class Cache:
    """A folder of cached graphs that every use sees as in a process of its own, with MindSpore set to graph mode."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch

    def open(self, on: Device = CPU, **keys: Any) -> AbstractContextManager[graph_cache.CacheUse]:
        self._monkeypatch.setattr(graph_cache, "_used", False)
        config = Config(**{"graph_cache": str(self.folder), **keys})
        return graph_cache.cached_compilation(config, on, _parameters())

    def fill(self, content: str = "graph", **keys: Any) -> graph_cache.CacheUse:
        """Use it; nothing but a file stands for what MindSpore writes."""
        with self.open(**keys) as use:
            work = Path(ms.get_context("compile_cache_path"))
            assert work.parent == self.folder
            if not (work / "rank_0").exists():
                (work / "rank_0").mkdir()
                (work / "rank_0/graph").write_text(content)
        return use

    def entries(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if not path.name.startswith(".")]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph_mode: None) -> Cache:
    return Cache(tmp_path, monkeypatch)


@pytest.mark.parametrize("file", ["rank_0/graph", graph_cache.ENTRY])
@pytest.mark.parametrize("content", [None, "gr", "grapH", "[]"])
def test_an_entry_that_is_not_whole_is_filled_anew(file: str, content: str | None, cache: Cache) -> None:
    assert not cache.fill().from_cache
    (entry,) = cache.entries()
    (entry / file).unlink()
    if content is not None:
        (entry / file).write_text(content)
    assert [cache.fill().from_cache, cache.fill().from_cache] == [False, True]
    assert list(cache.folder.iterdir()) == [entry]


def test_of_two_processes_that_fill_an_entry_the_first_wins(cache: Cache) -> None:
    with cache.open() as slow:
        (Path(ms.get_context("compile_cache_path")) / "graph").write_text("of the slow one")
        fast = cache.fill("of the fast one")
    assert (slow.trouble, fast.trouble) == ("", "")
    (entry,) = cache.folder.iterdir()
    assert (entry / "rank_0/graph").read_text() == "of the fast one"
    assert not (entry / "graph").exists()


def test_the_entries_that_were_used_last_stay_and_what_a_killed_process_left_goes(cache: Cache) -> None:
    abandoned, fresh = (cache.folder / f"{graph_cache.FILLING}{name}" for name in ("old", "new"))
    for path in (abandoned, fresh):
        path.mkdir()
        (path / "half").write_text("x")
    os.utime(abandoned, (0, time.time() - 2 * graph_cache.ABANDONED_S))
    made: list[Path] = []
    for i in range(graph_cache.KEEP + 2):
        cache.fill(batch_size=i + 1)
        made += [path for path in cache.entries() if path not in made]
        os.utime(made[-1], (0, 1e9 + i))
        if i == graph_cache.KEEP - 1:
            assert cache.fill(batch_size=1).from_cache
    assert set(cache.entries()) == {made[0], *made[3:]}
    assert (abandoned.exists(), fresh.exists()) == (False, True)


@pytest.mark.parametrize("keys", [{"graph_cache": ""}, {"context_mode": 1}, {"graph_kernel": True}, {}])
def test_nothing_is_cached_where_it_cannot_be_or_should_not(keys: dict[str, Any], cache: Cache) -> None:
    with cache.open(CPU if keys else replace(CPU, count=2), **keys) as use:
        assert not ms.get_context("enable_compile_cache")
    assert use == graph_cache.CacheUse()
    assert list(cache.folder.iterdir()) == []


def test_a_second_use_in_one_process_compiles(cache: Cache) -> None:
    cache.fill()
    with graph_cache.cached_compilation(Config(graph_cache=str(cache.folder)), CPU, _parameters()) as use:
        assert not ms.get_context("enable_compile_cache")
    assert not use.from_cache


def test_a_failing_compilation_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(RuntimeError, match="as planned"), cache.open():
        raise RuntimeError("as planned")
    assert list(cache.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(cache: Cache) -> None:
    cache.folder = cache.folder / "file"
    cache.folder.write_text("")
    said = r"graph_cache .*file: can't write in this folder \(File exists\)"
    with pytest.raises(UserError, match=said), cache.open():
        pass


def test_a_full_disk_costs_the_entry_and_not_the_run(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_cache, "_publish", full_disk)
    assert cache.fill().trouble.endswith("are not kept (No space left on device)")
    assert list(cache.folder.iterdir()) == []

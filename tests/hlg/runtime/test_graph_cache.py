"""Compiled graphs that are kept between runs: the same numbers, and never a stale or a broken graph."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor

from hlg.config import Config
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.errors import UserError
from hlg.runtime import graph_cache
from hlg.runtime.device import Device
from hlg.training.job import Job
from tests.support.processes import run_module

CPU = Device("CPU", "x86_64")
SMALL = (
    *("--class_num=3", "--train_image_size=112", "--eval_image_size=112", "--batch_size=4", "--eval_batch_size=4"),
    *("--max_epoch=1", "--warmup_epochs=0", "--save_checkpoint_epochs=1", "--train_num_workers=2"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "tiny"
    make_tiny(out, TinyRequest(classes=3, train=3, val=3))
    return out


def train(data: Path, runs: Path, *keys: str) -> tuple[bool, list[float], bytes]:
    """Whether the graphs were kept ones; all losses and the accuracy; the checkpoint."""
    paths = (f"--dataset_path={data / 'train'}", f"--eval_path={data / 'val'}", f"--save_checkpoint_path={runs}")
    done = run_module("tests.support.narrow.train", *SMALL, *paths, "--eval_num_workers=2", *keys)
    assert done.returncode == 0, done.stderr
    (run,) = runs.glob("2*")
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (compiled,) = (event["from_cache"] for event in events if event["event"] == "compile")
    numbers = [event[key] for event in events for key in ("loss", "top1_pct") if key in event]
    return compiled, numbers, (run / "checkpoints/hlg_mobile-0001.ckpt").read_bytes()


def test_kept_graphs_give_the_same_bits_for_another_seed_too_and_broken_ones_are_compiled_again(
    data: Path, tmp_path: Path
) -> None:
    kept = f"--graph_cache={tmp_path / 'graphs'}"
    other = ("--seed=2", "--lr_max=0.003")
    plain, plain_other = train(data, tmp_path / "1"), train(data, tmp_path / "2", *other)
    assert plain[1:] != plain_other[1:]
    assert train(data, tmp_path / "3", kept) == (False, *plain[1:])
    assert train(data, tmp_path / "4", kept) == (True, *plain[1:])
    assert train(data, tmp_path / "5", kept, *other) == (True, *plain_other[1:])
    (entry,) = (tmp_path / "graphs").iterdir()
    largest = max((path for path in entry.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.chmod(0o600)
    os.truncate(largest, largest.stat().st_size // 2)
    assert train(data, tmp_path / "6", kept) == (False, *plain[1:])
    assert [path.name for path in (tmp_path / "graphs").iterdir()] == [entry.name]


def _parameters(size: int = 3) -> list[Parameter]:
    return [Parameter(Tensor(np.zeros(size, np.float32)), name="weight")]


def test_what_the_graphs_depend_on_holds_the_sources_the_stack_and_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = graph_cache.graph_dependencies(Config(), CPU, _parameters())
    assert {
        Job.__module__,
        "hlg.model.network",
        "hlg.training.step",
        "hlg.model.operators",
        "hlg.model.optimizer",
    } <= set(found["sources"])
    assert found["software"]["mindspore"] == ms.__version__
    assert found["variables"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    others = [
        graph_cache.graph_dependencies(Config(), CPU, _parameters(4)),
        graph_cache.graph_dependencies(Config(), Device("GPU", "a"), _parameters()),
    ]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    others.append(graph_cache.graph_dependencies(Config(), CPU, _parameters()))
    assert found not in others


def test_every_key_invalidates_but_those_that_reach_no_graph() -> None:
    found = graph_cache.graph_dependencies(Config(), CPU, _parameters())
    assert graph_cache.graph_dependencies(Config(seed=5, lr_max=0.5, log_interval=9), CPU, _parameters()) == found
    assert graph_cache.graph_dependencies(Config(beta2=0.98), CPU, _parameters()) != found


def _fill(folder: Path, config: Config, content: str = "graph") -> graph_cache.CacheUse:
    """A use of the cache in which nothing but a file stands for what MindSpore writes."""
    with graph_cache.cached_compilation(config, CPU, _parameters()) as use:
        work = Path(ms.get_context("compile_cache_path"))
        assert work.parent == folder
        file = work / "rank_0" / "graph"
        if not file.exists():
            file.parent.mkdir()
            file.write_text(content)
    return use


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch, graph_mode: None) -> None:
    _again(monkeypatch)


def _again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(graph_cache, "_used", False)


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("harm", ["cut", "gone", "changed", "no list", "list cut", "list of nothing"])
def test_an_entry_that_is_not_whole_is_filled_anew(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(graph_cache=str(tmp_path))
    assert not _fill(tmp_path, config).from_cache
    (entry,) = _entries(tmp_path)
    file, known = entry / "rank_0/graph", entry / graph_cache.ENTRY
    match harm:
        case "cut":
            os.truncate(file, 2)
        case "gone":
            file.unlink()
        case "changed":
            file.write_text("grapH")
        case "no list":
            known.unlink()
        case "list cut":
            os.truncate(known, 20)
        case "list of nothing":
            known.write_text("[]")
    for expected in (False, True):
        _again(monkeypatch)
        assert _fill(tmp_path, config).from_cache is expected
    assert list(tmp_path.iterdir()) == [entry]


def test_of_two_processes_that_fill_an_entry_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(graph_cache=str(tmp_path))
    with graph_cache.cached_compilation(config, CPU, _parameters()) as slow:
        work = Path(ms.get_context("compile_cache_path"))
        (work / "graph").write_text("of the slow one")
        _again(monkeypatch)
        fast = _fill(tmp_path, config, "of the fast one")
    assert (slow.trouble, fast.trouble) == ("", "")
    (entry,) = tmp_path.iterdir()
    assert (entry / "rank_0/graph").read_text() == "of the fast one"
    assert not (entry / "graph").exists()


def test_the_entries_that_were_used_last_stay_and_what_a_killed_process_left_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned, fresh = tmp_path / f"{graph_cache.FILLING}old", tmp_path / f"{graph_cache.FILLING}new"
    for path in (abandoned, fresh):
        path.mkdir()
        (path / "half").write_text("x")
    os.utime(abandoned, (0, time.time() - 2 * graph_cache.ABANDONED_S))
    made: list[Path] = []
    for i in range(graph_cache.KEEP + 2):
        _again(monkeypatch)
        _fill(tmp_path, Config(graph_cache=str(tmp_path), batch_size=i + 1))
        made += [path for path in _entries(tmp_path) if path not in made]
        os.utime(made[-1], (0, 1e9 + i))
        if i == graph_cache.KEEP - 1:
            _again(monkeypatch)
            assert _fill(tmp_path, Config(graph_cache=str(tmp_path), batch_size=1)).from_cache
    assert set(_entries(tmp_path)) == {made[0], *made[3:]}
    assert (abandoned.exists(), fresh.exists()) == (False, True)


@pytest.mark.parametrize(
    ("config", "on"),
    [
        (Config(), CPU),
        (Config(context_mode=1, graph_cache="graphs"), CPU),
        (Config(graph_cache="graphs"), replace(CPU, count=2)),
    ],
    ids=["no folder", "PyNative", "two ranks"],
)
def test_nothing_is_kept_without_a_folder_nor_in_pynative_mode_nor_for_several_ranks(
    config: Config, on: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with graph_cache.cached_compilation(config, on, _parameters()) as use:
        assert not ms.get_context("enable_compile_cache")
    assert use == graph_cache.CacheUse()
    assert list(tmp_path.iterdir()) == []


def test_a_second_use_in_one_process_compiles(tmp_path: Path) -> None:
    config = Config(graph_cache=str(tmp_path))
    _fill(tmp_path, config)
    with graph_cache.cached_compilation(config, CPU, _parameters()) as use:
        assert not ms.get_context("enable_compile_cache")
    assert not use.from_cache


def test_a_failing_compilation_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="as planned"),
        graph_cache.cached_compilation(Config(graph_cache=str(tmp_path)), CPU, _parameters()),
    ):
        raise RuntimeError("as planned")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"graph_cache .*file/graphs: can't write in this folder \(Not a directory\)"),
        graph_cache.cached_compilation(Config(graph_cache=str(tmp_path / "file" / "graphs")), CPU, _parameters()),
    ):
        pass


def test_a_full_disk_costs_the_entry_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(graph_cache, "_publish", full)
    use = _fill(tmp_path, Config(graph_cache=str(tmp_path)))
    assert use.trouble.endswith("are not kept (No space left on device)")
    assert list(tmp_path.iterdir()) == []

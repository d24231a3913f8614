"""Fused kernels: the same numbers to rounding, the same bits again, and a plain word where they can't be had."""

import os
from pathlib import Path

import numpy as np
import pytest

from hlg import kernels
from hlg.config import Config
from hlg.data.tiny import Request, make
from hlg.errors import UserError
from tests.hlg.test_graphs import ROOT, train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "tiny"
    make(out, Request(classes=3, train=6, val=3))
    return out


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a test prepares is left for the tests after it."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr("hlg.kernels.atexit.register", lambda *args, **keys: None)


def test_fused_kernels_train_as_mindspores_own_do_and_are_kept(data: Path, tmp_path: Path) -> None:
    fused = ("--graph_kernel=1", f"--graph_cache={tmp_path / 'graphs'}")
    _, plain, _ = train(data, tmp_path / "1")
    first = train(data, tmp_path / "2", *fused)
    losses, kept = first[1][:-1], sorted((tmp_path / "graphs" / kernels.KEPT).glob("*/akg_kernel_meta/*.so"))
    assert len(kept) > 100
    assert losses != plain[:-1]
    np.testing.assert_allclose(losses, plain[:-1], rtol=1e-5)
    made = {path: path.stat().st_mtime_ns for path in kept}
    os.truncate(kept[0], kept[0].stat().st_size // 2)
    assert train(data, tmp_path / "3", *fused) == first
    assert [path for path in kept if path.stat().st_mtime_ns != made[path]] == [kept[0]]  # the one that was not whole
    assert not (ROOT / kernels.SCRATCH).exists()


@pytest.mark.parametrize("other", [{"device_target": "GPU"}, {"context_mode": 1}, {"amp_level": "O2"}])
def test_they_are_for_compiled_float32_graphs_on_a_cpu(other: dict[str, str]) -> None:
    (name,) = other
    with pytest.raises(UserError, match=f"graph_kernel: found 1 with {name} {other[name]}.*set it to 0"):
        kernels.prepare(Config(graph_kernel=True, **other))  # type: ignore[arg-type]


def test_what_they_are_made_with_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlg.kernels.shutil.which", lambda name: None)
    monkeypatch.setattr("hlg.kernels.Path.is_dir", lambda path: False)
    with pytest.raises(UserError, match=r"there is no g\+\+, which links .*; no AKG, .*CPU image.*or set it to 0"):
        kernels.prepare(Config(graph_kernel=True))


@pytest.mark.usefixtures("untouched")
def test_a_folder_that_cannot_hold_them_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"graph_cache .*file.*can't keep kernels in this folder \(Not a directory\)"):
        kernels.prepare(Config(graph_kernel=True, graph_cache=str(tmp_path / "file")))


@pytest.mark.usefixtures("untouched")
def test_a_record_of_a_kernel_that_a_power_cut_left_is_put_away(tmp_path: Path) -> None:
    config = Config(graph_kernel=True, graph_cache=str(tmp_path))
    kernels.prepare(config)
    folder = Path(os.environ["MS_COMPILER_CACHE_PATH"], "akg_kernel_meta")
    folder.mkdir()
    (folder / "broken.json").write_text('{"sha256":"d3')
    (folder / "whole.json").write_text('{"sha256":"d3"}')
    kernels.prepare(config)
    assert [path.name for path in folder.iterdir()] == ["whole.json"]

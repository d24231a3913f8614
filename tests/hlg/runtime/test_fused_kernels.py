"""Fused kernels: a plain word where they can't be had. Their numbers are held by tests/drills/numerics."""

import os
from pathlib import Path

import pytest

from hlg.config import Config
from hlg.errors import UserError
from hlg.runtime import fused_kernels


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a test prepares is left for the tests after it."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr("hlg.runtime.fused_kernels.atexit.register", lambda *args, **keys: None)


@pytest.mark.parametrize("other", [{"device_target": "GPU"}, {"context_mode": 1}, {"amp_level": "O2"}])
def test_they_are_for_compiled_float32_graphs_on_a_cpu(other: dict[str, str]) -> None:
    (name,) = other
    with pytest.raises(UserError, match=f"graph_kernel: found 1 with {name} {other[name]}.*set it to 0"):
        fused_kernels.check_kernels(Config(graph_kernel=True, **other))  # type: ignore[arg-type]


def test_what_they_are_made_with_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlg.runtime.fused_kernels.shutil.which", lambda name: None)
    monkeypatch.setattr("hlg.runtime.fused_kernels.Path.is_dir", lambda path: False)
    with pytest.raises(UserError, match=r"there is no g\+\+, which links .*; no AKG, .*CPU image.*or set it to 0"):
        fused_kernels.check_kernels(Config(graph_kernel=True))


@pytest.mark.usefixtures("untouched")
def test_a_folder_that_cannot_hold_them_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"graph_cache .*file.*can't keep kernels in this folder \(Not a directory\)"):
        fused_kernels.prepare_kernels(Config(graph_kernel=True, graph_cache=str(tmp_path / "file")))


@pytest.mark.usefixtures("untouched")
def test_a_record_of_a_kernel_that_a_power_cut_left_is_put_away(tmp_path: Path) -> None:
    config = Config(graph_kernel=True, graph_cache=str(tmp_path))
    fused_kernels.prepare_kernels(config)
    folder = Path(os.environ["MS_COMPILER_CACHE_PATH"], "akg_kernel_meta")
    folder.mkdir()
    (folder / "broken.json").write_text('{"sha256":"d3')
    (folder / "whole.json").write_text('{"sha256":"d3"}')
    fused_kernels.prepare_kernels(config)
    assert [path.name for path in folder.iterdir()] == ["whole.json"]

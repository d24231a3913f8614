"""Fused kernels: loss and gradients of every kind of block, to rounding, and the same bits again."""

import json
import os
from pathlib import Path

import numpy as np

from hlg.errors import UserError
from hlg.runtime import fused_kernels
from tests.support import ROOT
from tests.support.processes import run_module

Gradients = dict[str, np.ndarray]


def gradients(out: Path, *keys: str) -> Gradients:
    """Loss and gradients as another process computes them with these keys."""
    run_module("tests.support.gradients", out, *keys, timeout=500, code=0)
    return dict(np.load(out))


def assert_close(found: Gradients, own: Gradients) -> None:
    """Those of fused kernels are those of MindSpore's own to rounding."""
    np.testing.assert_allclose(found["loss"], own["loss"], rtol=1e-5)
    assert any((found[name] != own[name]).any() for name in own)  # they were fused
    norm = np.sqrt(sum(float(np.square(gradient).sum()) for gradient in own.values()))
    for name, gradient in own.items():
        # Of a bias before a batch norm the gradient is zero, and what is found is rounding.
        error = np.linalg.norm(found[name] - gradient)
        assert error <= 1e-4 * np.linalg.norm(gradient) + 1e-6 * norm, name


def test_fused_kernels_give_mindspores_own_numbers_and_kept_ones_the_same_bits_again(tmp_path: Path) -> None:
    keys = ("--graph_kernel=1", f"--graph_cache={tmp_path}")
    first = gradients(tmp_path / "first.npz", *keys)
    assert_close(first, gradients(tmp_path / "own.npz", "--context_mode=1"))
    kept = sorted((tmp_path / fused_kernels.KEPT).glob("*/akg_kernel_meta/*.so"))
    assert len(kept) > 100
    # Bias and GELU of an MLP are one kernel, which writes what both are and nothing that lies between.
    kernel = [json.loads(path.with_suffix(".info").read_text()) for path in kept]
    gelu = [k for k in kernel if {"Add", "Maximum", "RealDiv"} <= {operator["name"] for operator in k["op_desc"]}]
    assert any(len(k["input_desc"]) == 2 for k in gelu)
    assert all(len(k["output_desc"]) <= 2 for k in gelu)
    whole = kept[0].stat().st_size
    os.truncate(kept[0], whole // 2)
    made = {path: path.stat().st_mtime_ns for path in kept}
    again = gradients(tmp_path / "again.npz", *keys)  # a broken kernel is made anew
    for name, gradient in first.items():
        np.testing.assert_array_equal(again[name], gradient)
    assert [path for path in kept if path.stat().st_mtime_ns != made[path]] == [kept[0]]
    assert kept[0].stat().st_size == whole
    assert not (ROOT / fused_kernels.SCRATCH).exists()


def test_a_linker_that_fails_is_one_line_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "g++").write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    (tmp_path / "g++").chmod(0o755)
    options = ("--graph_kernel=1", "--batch_size=1", "--steps=1")
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = run_module("tests.support.narrow", "hlg.bench", "forward", *options, env=path)
    assert done.returncode == UserError.exit_code
    assert "out of order" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: graph_kernel: the fused kernels could not be compiled")

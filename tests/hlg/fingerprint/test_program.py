"""What the fingerprint says: its table, the first row out of bounds, exit codes, and mistakes in what was asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest

from hlg.errors import UserError
from hlg.fingerprint.__main__ import main
from hlg.fingerprint.against_golden import compare_by_name, judge_norms_after
from hlg.fingerprint.batch_norm import BIASED, UNBIASED
from hlg.fingerprint.checks import FingerprintCheck, run_checks
from hlg.fingerprint.golden import read_golden
from hlg.fingerprint.initial_weights import compare_initial_weights
from hlg.fingerprint.report import conclusion, exit_code, fingerprint_table
from hlg.fingerprint.rows import FingerprintRow, exact_row, undone_row
from tests.conftest import FIXTURES

GOLDEN = read_golden(FIXTURES / "golden.npz")
ROWS = [
    FingerprintRow("input", "", "decoded", 0.0, 2e-3),
    FingerprintRow("forward", "stem", "convolution", 1e-7, 1e-6),
    FingerprintRow("forward", "stem", "GELU", 9e-7, 1e-6),
    FingerprintRow("forward", "stage 1", "patch embedding", 1e-7, 1e-6),
    FingerprintRow("forward", "stage 1 block 0", "norm 0", 5e-6, 1e-6),
    exact_row("checkpoint", "saved and loaded", ["head.bias"]),
    undone_row("ranks", "exact counts", "one rank was started"),
]


def test_rows_share_a_line_while_they_are_within_bounds_and_stand_alone_when_not() -> None:
    assert fingerprint_table("title", ROWS).splitlines()[2:] == [
        "input: decoded                                0.0e+00  2.0e-03  ok",
        "forward: stem, 2 rows                         9.0e-07  1.0e-06  ok  nearest: GELU",
        "forward: stage 1: patch embedding             1.0e-07  1.0e-06  ok",
        "forward: stage 1 block 0: norm 0              5.0e-06  1.0e-06  OUT",
        "checkpoint: saved and loaded                  1.0e+00  0.0e+00  OUT  head.bias",
        "ranks: exact counts                                 -        -  not done",
    ]


def test_the_first_row_out_of_bounds_is_named_with_a_cause_and_what_was_not_done_with_its_reason() -> None:
    said = conclusion(ROWS)
    assert "2 of 6 rows out of bounds, the first: forward: stage 1 block 0: norm 0" in said
    assert "probable cause: Layer norm: its epsilon (1e-7 as published" in said
    assert said.endswith("not done: ranks: exact counts: one rank was started")
    assert conclusion(ROWS[:2]) == "all 2 rows within bounds"


def test_a_check_that_the_device_cannot_do_is_said_and_the_others_go_on() -> None:
    def fails() -> Iterator[FingerprintRow]:
        yield ROWS[0]
        raise RuntimeError("Unsupported op [LayerNorm] on Ascend\nmore lines")

    checks = [FingerprintCheck("forward", fails), FingerprintCheck("input", lambda: iter(ROWS[:1]))]
    found = list(run_checks(checks))
    assert [row.label for row in found] == ["input: decoded", "forward: the rest", "input: decoded"]
    assert found[1].note == "could not: RuntimeError: Unsupported op [LayerNorm] on Ascend"
    assert [exit_code(rows) for rows in (ROWS, ROWS[:1], [ROWS[0], ROWS[-1]], found)] == [1, 0, 0, 3]


def test_an_error_that_is_not_a_number_is_out_of_bounds() -> None:
    row = compare_by_name("grad_norms", {"a": 1.0, "b": float("nan")}, {"a": 1.0, "b": 1.0})
    assert not row.ok
    assert row.worst == "b"


def test_a_moving_variance_that_the_biased_rule_explains_is_named_and_any_other_one_is_out() -> None:
    by_rule = {
        rule: {"a.moving_variance": np.full(3, value), "head.bias": np.ones(3)}
        for rule, value in ((UNBIASED, 1.0), (BIASED, 0.9966))
    }
    for factor, rule, ok in ((1.0, UNBIASED, True), (0.9966, BIASED, True), (1.0034, UNBIASED, False)):
        expected = {"a.moving_variance": factor * 3**0.5, "head.bias": 3**0.5}
        found, row = judge_norms_after(by_rule, expected)
        assert (found, row.ok) == (rule, ok), factor
        assert row.note == ("batch norm by the biased rule; by the unbiased one 3.4e-03 off" if found == BIASED else "")
    assert not judge_norms_after(by_rule, {"a.moving_variance": 0.9966 * 3**0.5, "head.bias": 1.0034 * 3**0.5})[1].ok


def test_initial_weights_are_held_to_what_the_published_code_drew() -> None:
    draw = np.random.default_rng(0).normal
    drawn = {"w": draw(0, 0.02, (200, 100)).clip(-0.04, 0.04), "b": np.zeros(7)}
    golden = {"init_names": np.array([*drawn])} | {
        f"init_{key}": np.array([getattr(value, key)() for value in drawn.values()])
        for key in ("mean", "std", "min", "max")
    }

    def out(**other: np.ndarray) -> set[str]:
        return {row.name for row in compare_initial_weights(drawn | other, golden) if not row.ok}

    assert out(w=draw(0, 0.02, (200, 100)).clip(-0.04, 0.04)) == set()
    assert out(w=draw(0.001, 0.02, (200, 100)).clip(-0.04, 0.04)) == {"init_mean"}
    assert out(w=draw(0, 0.02, (200, 100)) * 2) == {"init_std", "init_min", "init_max"}
    assert out(b=draw(0, 0.02, 7)) == {"init_mean", "init_std", "init_min", "init_max"}


def test_a_comparison_with_a_golden_file_has_a_row_a_quantity_and_exits_1_when_one_is_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, graph_mode: None
) -> None:
    # A process has one device, set once.
    monkeypatch.setattr("hlg.runtime.device.start", lambda config: ms.set_context(mode=ms.PYNATIVE_MODE))
    wrong = {key: GOLDEN[key] for key in ("logits", "label_a", "label_b", "lam", "lr_cosine")}
    wrong["loss_ce_smooth"] = GOLDEN["loss_ce_smooth"] * np.float32(1.001)
    np.savez(tmp_path / "wrong.npz", **wrong)
    assert main(["--golden", str(tmp_path / "wrong.npz")]) == 1
    lines = capsys.readouterr().out.splitlines()
    verdicts = {line.split()[1]: line.split()[4] for line in lines if line.startswith("published: ")}
    assert verdicts == {"logits": "ok", "loss_ce_smooth": "OUT", "lr_cosine": "ok"}
    assert "the first: published: loss_ce_smooth" in lines[-2]


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("logits", "logits missing; is it a golden file"),
        ("grad_names", "holds grad_norms, but no grad_names of its length"),
        ("stage_means", "holds stage_norms, but no stage_means of its length"),
        ("lr", "holds trajectory, but no lr of its length"),
        ({"trajectory_moving": np.ones(6)}, "holds trajectory_moving, but no lr_moving of its length"),
        ({"init_names": np.array(["cls"])}, "holds init_names, but no init_mean of its length"),
        ({"lr": np.ones((6, 1)), "trajectory": np.ones((6, 1))}, "holds trajectory, but no lr of its length"),
        (b"", "not a readable .npz"),
        (b"not an archive", "not a readable .npz"),
        ((FIXTURES / "golden.npz").read_bytes()[:9000], "not a readable .npz"),
        ({"lr_poly": np.array([None])}, "not a readable .npz of plain arrays .found an array of .1,. and object"),
        ({"lr_poly": np.zeros(40_000_000)}, "not a readable .npz of plain arrays .its arrays have more than"),
        ({"lr_poly": np.array([np.inf])}, "lr_poly: expected finite numbers"),
        ({"logits": np.zeros(4004)}, "logits: found the shape .4004,., expected up to 64 images"),
        ({"label_a": np.full(4, 1001)}, "label_a: expected 4 labels from 0 to 1000"),
        ({"lam": np.array(1.5)}, "lam: expected a number from 0 to 1"),
    ],
)
def test_what_is_no_whole_golden_file_is_one_clear_error(left_out: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    if isinstance(left_out, bytes):
        path.write_bytes(left_out)
    elif isinstance(left_out, dict):
        np.savez_compressed(path, **GOLDEN | left_out)
    else:
        np.savez(path, **{key: value for key, value in GOLDEN.items() if key != left_out})
    with pytest.raises(UserError, match=f"^golden file {path}: {said}"):
        read_golden(path)

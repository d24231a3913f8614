"""The published implementation's numbers, for weights and images made by rule: forward, backward, optimiser."""

from pathlib import Path

import numpy as np
import pytest

from hlg.errors import UserError
from hlg.fingerprint import against_golden, checks, golden, synthetic
from hlg.fingerprint.bounds import Row
from tests.conftest import FIXTURES

GOLDEN = FIXTURES / "golden.npz"
TIGHT = {"logits": 1e-5, "loss_ce_smooth_mixup": 1e-5, "loss_ce_smooth": 1e-5, "trajectory": 1e-4, "logits_after": 1e-3}


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE)
    return {row.name: row for row in against_golden.compare(golden.read(GOLDEN), golden.SALT)}


@pytest.mark.parametrize("quantity", against_golden.BOUNDS)
def test_agrees_with_the_published_implementation(quantity: str, rows: dict[str, Row]) -> None:
    row = rows[quantity]
    assert row.error <= row.bound, row
    assert row.bound <= TIGHT.get(quantity, 1e-3)


def test_the_program_prints_a_row_a_quantity_and_exits_1_when_one_is_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hlg.fingerprint.checks.device.start", lambda config: None
    )  # a process has one device, set once
    with np.load(GOLDEN) as file:
        wrong = {key: file[key] for key in ("logits", "label_a", "label_b", "lam", "lr_cosine", "loss_ce_smooth")}
    wrong["loss_ce_smooth"] = wrong["loss_ce_smooth"] * np.float32(1.001)
    np.savez(tmp_path / "wrong.npz", **wrong)
    assert checks.main(["--golden", str(tmp_path / "wrong.npz"), "--salt", "hlg:"]) == 1
    lines = capsys.readouterr().out.splitlines()
    verdicts = {line.split()[1]: line.split()[4] for line in lines if line.startswith("published: ")}
    assert verdicts == {"logits": "ok", "loss_ce_smooth": "OUT", "lr_cosine": "ok"}
    assert "the first: published: loss_ce_smooth" in lines[-2]


def test_another_salt_is_another_network(tmp_path: Path) -> None:
    first = synthetic.parameter("head.weight", (3, 4), "hlg:")
    assert (first != synthetic.parameter("head.weight", (3, 4), "other:")).all()


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_a_file_that_is_no_golden_file_is_one_clear_error(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.npz").write_bytes(content)
    assert checks.main(["--golden", str(tmp_path / "bad.npz")]) == 2
    assert capsys.readouterr().err.startswith(f"error: golden file {tmp_path}/bad.npz: not a readable .npz")


@pytest.mark.parametrize(
    ("key", "other"), [("grad_norms", "grad_names"), ("stage_norms", "stage_means"), ("trajectory", "lr")]
)
def test_a_golden_file_with_half_of_a_pair_is_one_clear_error(key: str, other: str, tmp_path: Path) -> None:
    with np.load(GOLDEN) as file:
        np.savez(tmp_path / "half.npz", **{name: file[name] for name in file.files if name != other})
    with pytest.raises(UserError, match=f"holds {key}, but no {other} of its length"):
        golden.read(tmp_path / "half.npz")


def test_an_error_that_is_not_a_number_is_out_of_bounds() -> None:
    assert not Row("published", "", "logits", float("nan"), 1e-5).ok
    row = against_golden.by_name("grad_norms", {"a": 1.0, "b": float("nan")}, {"a": 1.0, "b": 1.0})
    assert not row.ok
    assert row.worst == "b"

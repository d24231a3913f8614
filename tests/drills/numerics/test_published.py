"""The network computes what the published implementation computed: forward, backward, optimizer, schedules."""

import pytest

from hlg.fingerprint.against_golden import BOUNDS, compare_with_golden
from hlg.fingerprint.golden import read_golden
from hlg.fingerprint.rows import FingerprintRow
from hlg.fingerprint.synthetic import SALT
from tests.conftest import FIXTURES

TIGHT = {"logits": 1e-5, "loss_ce_smooth_mixup": 1e-5, "loss_ce_smooth": 1e-5, "trajectory": 1e-4, "logits_after": 1e-3}


@pytest.fixture(scope="module")
def rows() -> dict[str, FingerprintRow]:
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE)
    return {row.name: row for row in compare_with_golden(read_golden(FIXTURES / "golden.npz"), SALT)}


@pytest.mark.parametrize("quantity", BOUNDS)
def test_agrees_with_the_published_implementation(quantity: str, rows: dict[str, FingerprintRow]) -> None:
    row = rows[quantity]
    assert row.ok, row
    assert row.bound <= TIGHT.get(quantity, 1e-3)

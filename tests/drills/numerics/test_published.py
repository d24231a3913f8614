"""The network computes what the published implementation computed: forward, backward, optimizer, schedules."""

from hlg.fingerprint.against_golden import BOUNDS, compare_with_golden
from hlg.fingerprint.golden import read_golden
from hlg.fingerprint.synthetic import SALT
from tests.conftest import FIXTURES

TIGHT = {"logits": 1e-5, "loss_ce_smooth_mixup": 1e-5, "loss_ce_smooth": 1e-5, "trajectory": 1e-4, "logits_after": 1e-3}


def test_every_quantity_agrees_with_the_published_implementation(pynative_mode: None) -> None:
    rows = {row.name: row for row in compare_with_golden(read_golden(FIXTURES / "golden.npz"), SALT)}
    assert rows.keys() == BOUNDS.keys()
    assert [row for row in rows.values() if not row.ok] == []
    assert [name for name, row in rows.items() if row.bound > TIGHT.get(name, 1e-3)] == []

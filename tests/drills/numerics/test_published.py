"""The network computes what the published implementation computed: forward, backward, optimizer, schedules."""

import pytest

from hlg.fingerprint.against_golden import BOUNDS, compare_with_golden
from hlg.fingerprint.golden import read_golden
from hlg.fingerprint.initial_weights import INIT
from hlg.fingerprint.synthetic import SALT
from tests.conftest import FIXTURES

TIGHT = {"logits": 1e-5, "loss_ce_smooth_mixup": 1e-5, "loss_ce_smooth": 1e-5, "trajectory": 1e-4, "logits_after": 1e-3}
MOVING, STAGES = {"trajectory_moving", "logits_after_moving"}, {"stage_norms", "stage_means"}
OF_170 = "with layer norm's epsilon at 1e-12", "batch norm by the biased rule; by the unbiased one 3.4e-03 off"


@pytest.mark.parametrize(
    ("file", "quantities", "notes"),
    [
        ("golden.npz", BOUNDS.keys() - MOVING, ("", "")),
        ("golden_170.npz", BOUNDS.keys() - STAGES | set(INIT), OF_170),
    ],
)
def test_every_quantity_agrees_with_the_published_implementation(
    file: str, quantities: set[str], notes: tuple[str, str], pynative_mode: None
) -> None:
    rows = {row.name: row for row in compare_with_golden(read_golden(FIXTURES / file), SALT)}
    assert rows.keys() == quantities
    assert [row for row in rows.values() if not row.ok] == []
    assert [name for name in rows.keys() - set(INIT) if rows[name].bound > TIGHT.get(name, 1e-3)] == []
    for name, note in zip(("logits", "param_norms_after"), notes, strict=True):
        assert rows[name].note.startswith(note)
        assert bool(rows[name].note) == bool(note)

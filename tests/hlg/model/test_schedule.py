"""The learning rate schedules, against the published arrays and at their edges."""

import numpy as np
import pytest

from hlg.config import KEYS
from hlg.model.schedule import learning_rates
from tests.conftest import FIXTURES

MODES = KEYS["lr_decay_mode"].metadata["choices"]


def rates(mode: str, **changes: float) -> np.ndarray:
    """The schedule of the golden arrays, with changes."""
    limits = {"lr_init": 0, "lr_min": 1e-5, "lr_max": 1e-3}
    epochs = {"warmup_epochs": 20, "max_epoch": 300, "steps_per_epoch": 5}
    return learning_rates(**{"mode": mode, **limits, **epochs, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["cosine", "poly", "steps", "linear"])
def test_published_schedules_are_equal_to_one_rounding_of_float32(mode: str) -> None:
    with np.load(FIXTURES / "golden_schedules.npz") as golden:
        published = golden[f"lr_{mode}"]
    assert published.shape == (1500,)
    np.testing.assert_array_max_ulp(rates(mode), published, maxulp=1)


def test_exp_schedule_falls_by_one_factor_and_ends_at_lr_min() -> None:
    lr = rates("exp")
    fall = lr[99:].astype(np.float64)
    np.testing.assert_allclose(fall[1:] / fall[:-1], 0.01 ** (1 / 1400), rtol=1e-6)
    assert lr[-1] == np.float32(1e-5)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "steps"])
def test_without_a_warm_up_the_fall_starts_at_once_and_with_nothing_else_rates_only_rise(mode: str) -> None:
    fall, rise = rates(mode, warmup_epochs=0), rates(mode, warmup_epochs=300)
    assert (fall[0], rise[-1]) == pytest.approx((1e-3, 1e-3), rel=0.01)
    assert (np.diff(fall) < 0).all()
    assert (np.diff(rise) > 0).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (1, 1), (40, 13)])
def test_any_schedule_has_one_finite_rate_a_step_and_stays_in_its_range(mode: str, epochs: int, warmup: int) -> None:
    lr = rates(mode, lr_init=1e-5, max_epoch=epochs, warmup_epochs=warmup, steps_per_epoch=1)
    assert (lr.dtype, lr.shape) == (np.float32, (epochs,))
    bottom = {"cosine": 0, "steps": 1e-6}.get(mode, 1e-5)
    assert (lr >= bottom * (1 - 1e-6)).all()
    assert (lr <= 1e-3 * (1 + 1e-6)).all()


def test_a_higher_power_of_poly_falls_faster_and_an_unknown_mode_is_an_error() -> None:
    assert (rates("poly", poly_power=3)[101:] < rates("poly", poly_power=2)[101:]).all()
    with pytest.raises(ValueError, match="'cos'"):
        rates("cos")

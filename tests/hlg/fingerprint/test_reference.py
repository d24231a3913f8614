"""The kept reference is of the published network, whole, and what its makers make."""

from pathlib import Path

import numpy as np
import pytest

from hlg.errors import UserError
from hlg.fingerprint import bounds
from hlg.fingerprint.bounds import REFERENCE_FOLDER, Expected, ReferenceTensors, load_reference, read_sketches
from hlg.fingerprint.count_sketch import count_sketch, sketch_distance
from hlg.fingerprint.golden import read_golden
from tests.conftest import FIXTURES
from tests.support.reference import images

KEPT, SALT = read_sketches(REFERENCE_FOLDER / "network.npz")
GOLDEN = read_golden(FIXTURES / "golden.npz")
BOUNDS = {
    **dict.fromkeys(("logits", "loss_ce_smooth_mixup", "loss_ce_smooth", "stage_norms", "stage_means"), 1e-6),
    **{"grad_norms": 1e-5, "trajectory": 1e-5, "logits_after": 1e-4, "param_norms_after": 1e-5},
    **dict.fromkeys(("lr_cosine", "lr_poly", "lr_steps", "lr_linear"), 1e-7),
}


def kept_names(kind: str) -> set[str]:
    return {key.partition("/")[2] for key in KEPT if key.startswith(f"{kind}/")}


@pytest.mark.parametrize("key", BOUNDS)
def test_it_was_made_by_the_published_network(key: str) -> None:
    published = GOLDEN[key]
    kind = key.partition("_")[0]
    if f"{kind}_names" in GOLDEN:
        by_name = dict(zip(map(str, GOLDEN[f"{kind}_names"]), published, strict=True))
        used = {
            "stage": by_name.keys() - {"block4_0"},  # recorded after block4_1
            "grad": kept_names("gradient"),
            "param": kept_names("gradient") | kept_names("moving"),
        }
        published = np.array([by_name[name] for name in sorted(used[kind])])
    assert sketch_distance(count_sketch(f"golden/{key}", published), *KEPT[f"golden/{key}"]) < BOUNDS[key]


def test_the_kept_images_and_what_becomes_of_them_are_what_their_command_makes() -> None:
    kept, _ = read_sketches(REFERENCE_FOLDER / "images.npz")
    for name, make in images.IMAGES.items():
        assert make() == (REFERENCE_FOLDER / name).read_bytes(), name
    made = images.reference({name: (REFERENCE_FOLDER / name).read_bytes() for name in images.IMAGES})
    assert {f"input/{key}": count_sketch(f"input/{key}", array).tolist() for key, array in made.items()} == {
        key: expected.sketch.tolist() for key, expected in kept.items()
    }


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("bounds.json", "{", "no noise of O0"),
        ("bounds.json", '{"factor": 4, "noise": {"O2": {}}}', "no noise of O0"),
        ("bounds.json", '{"factor": 4, "noise": {"O0": {"loss: l2": 1}}}', "'loss: l2' is no row of a fingerprint"),
        ("network.npz", "no archive", "not a file of python -m tests.support.reference.network"),
    ],
)
def test_a_damaged_reference_is_one_clear_error(
    file: str, content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bounds.json", "network.npz", "images.npz"):
        (tmp_path / name).write_bytes((REFERENCE_FOLDER / name).read_bytes())
    (tmp_path / file).write_text(content)
    monkeypatch.setattr(bounds, "REFERENCE_FOLDER", tmp_path)
    with pytest.raises(UserError, match=said) as error:
        load_reference("O0")
    assert str(tmp_path / file) in str(error.value)


ONES = {"k": Expected(count_sketch("k", np.ones(3)), 3**0.5)}


def test_a_bound_is_the_noise_times_the_factor_but_never_below_a_rounding() -> None:
    reference = ReferenceTensors(ONES, {"loss: ce_smooth": 1e-3, "input: mixed": 0.0}, 4, "hlg:")
    assert reference.compare("loss", "", "ce_smooth", {"x": ("k", np.ones(3) * 1.003)}).ok
    assert reference.compare("input", "", "mixed", {"x": ("k", np.ones(3))}).bound == 4 * 2.0**-24
    row = reference.compare("loss", "", "ce_smooth", {"x": ("k", np.ones(3) * 2)})
    assert (row.ok, row.error, row.note) == (False, pytest.approx(1), "all of it is 2 times what it should be")


def test_a_row_without_a_measured_bound_and_one_that_is_no_number_are_out() -> None:
    reference = ReferenceTensors(ONES, {}, 4, "hlg:")
    assert not reference.compare("input", "", "mixed", {"x": ("k", np.ones(3))}).ok
    tensors = {"x": ("k", np.ones(3)), "y": ("k", np.full(3, np.nan))}
    row = reference.compare("input", "", "mixed", tensors, bound=1.0)
    assert (row.ok, row.worst, row.facts()["error"]) == (False, "y", "nan")

"""The fingerprint's reference, bounds, table and exit codes. That it finds faults is tested in tests/fingerprint."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hlg.checkpoint.weights import published_name
from hlg.errors import UserError
from hlg.fingerprint import backward, bounds, checks
from hlg.fingerprint.bounds import MEASURED, REFERENCE, Judge, Row, exact, not_done
from hlg.fingerprint.digest import distance, sketch
from hlg.fingerprint.table import conclusion, table
from hlg.model.network import HLG
from tests.conftest import FIXTURES
from tests.support.reference import images

KEPT, SALT = bounds.read_reference(REFERENCE / "network.npz")
BOUNDS = json.loads((REFERENCE / "bounds.json").read_text())


@pytest.mark.parametrize(
    ("key", "bound"),
    [
        ("logits", 1e-6),
        ("loss_ce_smooth_mixup", 1e-6),
        ("loss_ce_smooth", 1e-6),
        ("trajectory", 1e-5),
        ("logits_after", 1e-4),
        ("lr_cosine", 1e-7),
        ("lr_poly", 1e-7),
        ("lr_steps", 1e-7),
        ("lr_linear", 1e-7),
    ],
)
def test_the_kept_reference_was_made_by_the_published_network(key: str, bound: float) -> None:
    with np.load(FIXTURES / "golden.npz") as file:
        published = file[key]
    assert distance(sketch(f"golden/{key}", published), *KEPT[f"golden/{key}"]) < bound


@pytest.mark.parametrize(
    ("key", "names", "bound"),
    [
        ("stage_norms", "stage_names", 1e-6),
        ("stage_means", "stage_names", 1e-6),
        ("grad_norms", "grad_names", 1e-5),
        ("param_norms_after", "param_names", 1e-5),
    ],
)
def test_and_so_were_its_norms_by_name(key: str, names: str, bound: float) -> None:
    with np.load(FIXTURES / "golden.npz") as file:
        published = dict(zip(map(str, file[names]), file[key], strict=True))
    network = HLG()
    used = {published_name(p.name): p.requires_grad for p in network.get_parameters()}
    if key.startswith("stage"):
        wanted = [name for name in published if name != "block4_0"]  # recorded after block4_1
    else:
        wanted = [name for name in published if name in used and (key != "grad_norms" or used[name])]
    found = np.array([published[name] for name in sorted(wanted)])
    assert distance(sketch(f"golden/{key}", found), *KEPT[f"golden/{key}"]) < bound


def test_every_parameter_has_a_reference_of_its_gradient_its_decay_and_three_steps() -> None:
    network = HLG()
    weights = {published_name(p.name) for p in network.trainable_params()}
    for kind in ("gradient", "decay", "optimiser step 1", "optimiser step 2", "optimiser step 3"):
        assert {key.partition("/")[2] for key in KEPT if key.startswith(f"{kind}/")} == weights
    moving = {published_name(p.name) for p in network.get_parameters() if not p.requires_grad}
    assert {key.partition("/")[2] for key in KEPT if key.startswith("moving/")} == moving


def test_only_biases_before_a_norm_and_those_of_keys_have_no_gradient_but_rounding() -> None:
    zero = [key for key, kept in KEPT.items() if key.startswith("gradient/") and kept.sketch[1] < 1e-6 * kept.scale]
    assert len(zero) == 8 + 6 + 6 * 3  # keys of 8 blocks, 6 convolutions of embeddings, 3 of each smoothing
    assert all(key.endswith(".bias") for key in zero)


def test_the_kept_images_and_what_becomes_of_them_are_what_their_command_makes() -> None:
    kept, _ = bounds.read_reference(REFERENCE / "images.npz")
    for name, make in images.IMAGES.items():
        assert make() == (REFERENCE / name).read_bytes(), name
    made = images.reference({name: (REFERENCE / name).read_bytes() for name in images.IMAGES})
    assert {f"input/{key}": sketch(f"input/{key}", array).tolist() for key, array in made.items()} == {
        key: expected.sketch.tolist() for key, expected in kept.items()
    }


def test_bounds_say_where_they_come_from_and_grow_as_precision_falls() -> None:
    assert BOUNDS["factor"] == 4
    assert BOUNDS["measured"]["inputs"] == ["a:", "b:", "c:", "hlg:"]
    assert len(BOUNDS["measured"]["variants"]) == 2
    assert BOUNDS["measured"]["packages"]["mindspore"]
    rows = {precision: set(noise) for precision, noise in BOUNDS["noise"].items()}
    assert rows["O0"] == rows["O2"] == rows["O3"]
    logits = [BOUNDS["noise"][precision]["forward: head: logits"] for precision in ("O0", "O2", "O3")]
    assert logits[0] < 1e-5 < 1e-4 < min(logits[1:]) < 1e-1


def test_the_backward_pass_goes_from_the_head_to_the_stem() -> None:
    parts = backward.in_backward_order({backward.part_of(published_name(p.name)) for p in HLG().trainable_params()})
    assert parts[:3] == [("head", "head"), ("head", "norm"), ("stage 4 block 1", "MLP")]
    assert parts.index(("stage 4 block 0", "norm 1")) < parts.index(("stage 4", "position embedding"))
    assert parts.index(("stage 4", "patch embedding")) < parts.index(("stage 3 block 1", "MLP"))
    assert parts[-1] == ("stage 1", "patch embedding")


def test_a_bound_is_the_noise_times_the_factor_but_never_below_a_rounding() -> None:
    by = Judge({"k": bounds.Expected(sketch("k", np.ones(3)), 3**0.5)}, {"a: b": 1e-3, "a: c": 0.0}, 4, "hlg:")
    assert by.against("a", "", "b", {"x": ("k", np.ones(3) * 1.003)}).ok
    assert by.against("a", "", "c", {"x": ("k", np.ones(3))}).bound == 4 * 2.0**-24
    row = by.against("a", "", "b", {"x": ("k", np.ones(3) * 2)})
    assert (row.ok, row.error, row.note) == (False, pytest.approx(1), "all of it is 2 times what it should be")


def test_a_row_without_a_measured_bound_and_one_that_is_no_number_are_out() -> None:
    by = Judge({"k": bounds.Expected(sketch("k", np.ones(3)), 3**0.5)}, {}, 4, "hlg:")
    assert not by.against("a", "", "unknown", {"x": ("k", np.ones(3))}).ok
    row = by.against("a", "", "b", {"x": ("k", np.ones(3)), "y": ("k", np.full(3, np.nan))}, bound=1.0)
    assert (row.ok, row.worst, row.facts()["error"]) == (False, "y", "nan")


ROWS = [
    Row("input", "", "decoded", 0.0, 2e-3),
    Row("forward", "stem", "convolution", 1e-7, 1e-6, MEASURED),
    Row("forward", "stem", "GELU", 9e-7, 1e-6, MEASURED),
    Row("forward", "stage 1", "patch embedding", 1e-7, 1e-6, MEASURED),
    Row("forward", "stage 1 block 0", "norm 0", 5e-6, 1e-6, MEASURED),
    exact("checkpoint", "", "saved and loaded", ["head.bias"]),
    not_done("ranks", "", "exact counts", "one rank was started"),
]


def test_rows_share_a_line_while_they_are_within_bounds_and_stand_alone_when_not() -> None:
    lines = table("title", ROWS).splitlines()[2:]
    assert [line[:44].rstrip() for line in lines] == [
        "input: decoded",
        "forward: stem, 2 rows",
        "forward: stage 1: patch embedding",
        "forward: stage 1 block 0: norm 0",
        "checkpoint: saved and loaded",
        "ranks: exact counts",
    ]
    assert lines[1].split()[-5:] == ["9.0e-07", "1.0e-06", "ok", "nearest:", "GELU"]
    assert lines[3].split()[-1] == "OUT"
    assert lines[4].endswith("OUT  head.bias")
    assert lines[5].endswith("not done")


def test_the_first_row_out_of_bounds_is_named_with_a_cause_and_what_was_not_done_with_its_reason() -> None:
    said = conclusion(ROWS)
    assert "2 of 6 rows out of bounds, the first: forward: stage 1 block 0: norm 0" in said
    assert "probable cause: Layer norm: its epsilon (1e-7 as published" in said
    assert said.endswith("not done: ranks: exact counts: one rank was started")
    assert conclusion(ROWS[:2]) == "all 2 rows within bounds"


def test_a_check_that_the_device_cannot_do_is_said_and_the_others_go_on() -> None:
    def fails() -> Iterator[Row]:
        yield ROWS[0]
        raise RuntimeError("Unsupported op [LayerNorm] on Ascend\nmore lines")

    found = list(checks.rows([("forward", fails), ("input", lambda: iter(ROWS[:1]))]))
    assert [row.label for row in found] == ["input: decoded", "forward: the rest", "input: decoded"]
    assert found[1].note == "could not: RuntimeError: Unsupported op [LayerNorm] on Ascend"
    assert [checks.exit_code(rows) for rows in (ROWS, ROWS[:1], [ROWS[0], ROWS[-1]], found)] == [1, 0, 0, 3]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("bounds.json", "{", "no noise of O0"),
        ("bounds.json", '{"factor": 4, "noise": {"O2": {}}}', "no noise of O0"),
        ("network.npz", "no archive", "not a file of python -m tests.support.reference.network"),
    ],
)
def test_a_damaged_reference_is_one_clear_error(
    file: str, content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bounds.json", "network.npz", "images.npz"):
        (tmp_path / name).write_bytes((REFERENCE / name).read_bytes())
    (tmp_path / file).write_text(content)
    monkeypatch.setattr(bounds, "REFERENCE", tmp_path)
    with pytest.raises(UserError, match=said) as error:
        bounds.judge_of("O0")
    assert str(tmp_path / file) in str(error.value)


@pytest.mark.parametrize("options", [["--amp_level=O1"], ["--only=everything"], ["--batch_size=4"]])
def test_an_option_that_does_not_exist_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        checks.main(options)
    assert stopped.value.code == 2
    assert options[0].split("=")[0] in capsys.readouterr().err

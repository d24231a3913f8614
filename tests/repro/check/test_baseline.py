"""What a baseline is made of, and what makes none."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from repro.check.baseline import main
from repro.check.baselines import make_baseline, read_baseline, read_baselines, write_baseline
from repro.check.measurements import step_speed
from repro.errors import ReproError
from tests.support.checks import LOSSES, baseline, check_run, off, short_run, sse
from tests.support.programs import Call


def test_a_baseline_holds_losses_accuracy_speeds_and_the_measured_band_and_is_read_again(tmp_path: Path) -> None:
    found = baseline(tmp_path)
    assert found.losses == LOSSES
    assert (found.top1_pct, found.images) == (30.0, 640)
    assert [speed.ratio for speed in found.speeds] == [20.0, 20.0]
    assert found.band.losses[9:11] == pytest.approx((0.0, 0.001))
    assert (found.band.top1_points, found.band.variants) == (1.0, ("ONEDNN_MAX_CPU_ISA AVX2 -> SSE41",))
    write_baseline(found)
    assert read_baselines(tmp_path / "baselines") == [found]


def test_it_is_named_by_recipe_device_and_versions_and_no_text_leads_out_of_the_folder(tmp_path: Path) -> None:
    name = baseline(tmp_path / "a").path.name
    assert name.startswith("check_cpux1_intel-xeon_2cores_mindspore-2.10.0_")
    assert baseline(tmp_path / "b", config={"seed": 2}).path.name != name
    path = baseline(tmp_path, env={"recipe": "../../evil", "cpu": {"model": "/x" * 500, "cores": 2}}).path
    assert path.parent == tmp_path / "baselines"
    assert len(path.name) < 255


def test_the_band_grows_with_the_steps_and_without_a_run_that_rounds_otherwise_there_is_none(tmp_path: Path) -> None:
    losses = [loss + (0.01 if step == 5 else 0.001 if step > 5 else 0) for step, loss in enumerate(LOSSES)]
    runs = [short_run(tmp_path, 1), short_run(tmp_path, 2), short_run(tmp_path, 3, losses=losses, env=sse())]
    band = make_baseline(runs, tmp_path).band
    assert band.losses[4] == 0
    assert band.losses[5:] == pytest.approx((0.01,) * (len(LOSSES) - 5))
    assert make_baseline(runs[:2], tmp_path).band is None


def test_a_speed_is_that_of_calm_moments_and_needs_calibrations_and_steps(tmp_path: Path) -> None:
    assert step_speed(short_run(tmp_path, 1)).ratio == 20.0
    assert step_speed(short_run(tmp_path, 2, slow_moments=range(10, 25))).ratio == pytest.approx(20.0, rel=0.01)
    assert step_speed(short_run(tmp_path, 3, calibration_ms=None)) is None
    assert step_speed(short_run(tmp_path, 4, losses=LOSSES[:10])) is None


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"losses": off(1e-9, since=7)}, "its loss of step 7 is not that of .*is not repeatable"),
        ({"env": {"dirty": True}}, "the code had uncommitted changes; repeat the runs from a clean commit"),
        ({"env": {"commit": None}}, "the commit of the code is not recorded"),
        ({"losses": LOSSES[:30]}, "found 30 steps, but 40 in"),
        ({"losses": (*LOSSES[:30], float("nan"), *LOSSES[31:])}, "a loss that is not finite"),
        ({"calibration_ms": None}, "found no speed: too few steps, no number, or calibration_interval"),
        ({"step_ms": math.nan}, "found no speed: too few steps, no number, or calibration_interval"),
        ({"top1_pct": math.nan}, "found no accuracy"),
        ({"top1_pct": 80.0}, "its accuracy is not that of .*is not repeatable"),
        ({"step_ms": 1200.0}, "20.0 to 30.0 calibrations, which is too much noise"),
        ({"env": {"commit": "0" * 40}}, "its commit is not that of .*take runs of one commit"),
        ({"config": {"lr_max": 0.5}}, "lr_max: found 0.5, but 0.001 in"),
        ({"env": {"cpu": {"model": "Intel Xeon", "cores": 8}}}, "found 1 run in one environment, expected 2 or more"),
    ],
)
def test_runs_that_do_not_belong_together_make_none(tmp_path: Path, second: dict[str, Any], message: str) -> None:
    with pytest.raises(ReproError, match=message):
        make_baseline([short_run(tmp_path, 1), short_run(tmp_path, 2, **second)], tmp_path)


def test_the_program_takes_a_folder_of_runs_and_says_what_it_has_kept(tmp_path: Path, call: Call) -> None:
    check_run(tmp_path / "runs", 1)
    check_run(tmp_path / "runs", 2, slow_moments=[20])
    said = call(main, tmp_path / "runs", "--out", tmp_path / "kept").out
    assert "losses: 40 steps, the same in 2 runs" in said
    assert "accuracy: 30.000 % of 640 images" in said
    assert "speed: a step takes 20.00 to 20.00 calibrations (n = 2 runs)" in said
    assert len(read_baselines(tmp_path / "kept")) == 1


def test_an_unfinished_run_and_an_empty_folder_are_one_line(tmp_path: Path, call: Call) -> None:
    words = tmp_path, "--out", tmp_path / "kept"
    assert "no finished training run" in call(main, *words, code=2).err
    (check_run(tmp_path) / "SHA256SUMS").unlink()
    assert "not finished; remove it" in call(main, *words, code=2).err
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("recipe", None, "recipe: found None, expected text"),
        ("losses", [], "losses: expected a list of numbers; make it again: make baseline"),
        ("top1_pct", 300, "top1_pct: found 300.0, expected 0 to 100"),
        ("speeds", [], "speeds: found none"),
        ("speeds", [7], "speeds: 0: found 7, expected an object"),
        ("speeds", [{"ratio": 0}], "speeds: 0: ratio: found 0.0, expected 1e-06 to inf"),
        ("band", {"losses": [1.0]}, "band: losses: found 1, expected 40 as there are losses"),
    ],
)
def test_a_broken_baseline_is_an_error_with_file_and_key(tmp_path: Path, where: str, value: Any, message: str) -> None:
    kept = baseline(tmp_path)
    write_baseline(kept)
    kept.path.write_text(json.dumps(json.loads(kept.path.read_text()) | {where: value}))
    with pytest.raises(ReproError, match=rf"\.json: {message}"):
        read_baseline(kept.path)

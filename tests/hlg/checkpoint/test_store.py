"""Checkpoints: written atomically, known by their hash, kept by rule."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor

from hlg.checkpoint import store
from hlg.checkpoint.locate import find_checkpoint
from hlg.checkpoint.state import State, read_state
from hlg.errors import DivergedError, UserError
from hlg.files import PARTIAL, follow_links
from tests.support.disks import full_disk

STATE = State(
    step=4,
    epoch=1,
    steps_per_epoch=4,
    loss_scale=1024.0,
    best_top1_pct=50.0,
    best_epoch=0,
    generator={"seed": 1},
    elapsed_s=1.5,
    log_bytes=0,
    metrics_bytes=0,
    skipped=["a/\udcc4.JPEG"],  # a name that is no UTF-8
    scheduled=True,
)
CLASSES = ("n01440764", "käse, und so")


def _weights(value: float = 1.0) -> list[Parameter]:
    return [Parameter(Tensor(np.full((300, 10), value, np.float32)), name=name) for name in ("w", "adam_mw")]


def _save(folder: Path, epoch: int, scheduled: bool = True, value: float | None = None) -> Path:
    state = replace(STATE, step=4 * epoch, epoch=epoch, scheduled=scheduled)
    return store.save_checkpoint(folder / f"hlg_mobile-{epoch:04d}.ckpt", _weights(value or epoch), state, CLASSES)


def _names(folder: Path, pattern: str = "*") -> list[str]:
    links = (store.LAST, store.BEST)
    return sorted(path.name for path in folder.glob(pattern) if path.name not in links)


def test_a_checkpoint_comes_back_with_its_parameters_and_its_state(tmp_path: Path) -> None:
    path = store.save_checkpoint(tmp_path / "c.ckpt", _weights(7), STATE, CLASSES)
    parameters = _weights(0)
    store.restore_checkpoint(path, parameters)
    for parameter in parameters:
        np.testing.assert_array_equal(parameter.asnumpy(), np.full((300, 10), 7, np.float32))
    assert read_state(path) == STATE


def test_the_class_names_go_wherever_the_file_goes_and_an_older_file_has_none(tmp_path: Path) -> None:
    kept = _save(tmp_path, 1)
    kept.rename(tmp_path / "alone.ckpt")
    stored = store.read_checkpoint(tmp_path / "alone.ckpt")
    assert (stored.arrays.keys(), stored.classes) == ({"w", "adam_mw"}, CLASSES)
    older = store.save_checkpoint(tmp_path / "older.ckpt", _weights(), STATE, None)
    assert store.read_checkpoint(older).classes is None


@pytest.mark.parametrize("fault", ["a flipped bit", "cut at a record"])
def test_an_altered_file_is_refused_by_name_and_the_newest_good_one_is_offered(fault: str, tmp_path: Path) -> None:
    paths = [_save(tmp_path, epoch) for epoch in (1, 2, 3)]
    content = bytearray(paths[2].read_bytes())
    if fault == "a flipped bit":
        content[len(content) // 2] ^= 1
    else:  # MindSpore alone would load it, with fewer parameters and without a word
        del content[len(content) // 2 :]
    paths[2].write_bytes(content)
    with pytest.raises(UserError) as error:
        store.restore_checkpoint(paths[2], _weights())
    assert f"checkpoint {paths[2]}: altered or truncated" in str(error.value)
    assert f"the newest good one is {paths[1]}" in str(error.value)


def test_a_missing_state_is_an_error_that_names_it_and_the_weights_can_be_used(tmp_path: Path) -> None:
    path = _save(tmp_path, 1)
    path.with_suffix(".json").unlink()
    with pytest.raises(UserError, match="is missing: it can't be resumed"):
        read_state(path)
    path.with_suffix(".json").write_text('{"classes": 1000}')  # of another tool
    assert store.read_checkpoint(path).arrays.keys() == {"w", "adam_mw"}


def test_parameters_of_another_network_are_named(tmp_path: Path) -> None:
    other = [Parameter(Tensor(np.zeros((2, 2), np.float32)), name=name) for name in ("w", "v")]
    with pytest.raises(UserError, match="these do not fit: adam_mw, v, w"):
        store.restore_checkpoint(_save(tmp_path, 1), other)


@pytest.mark.usefixtures("any_storage")
def test_the_newest_scheduled_ones_stay_and_the_last_and_the_best(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for epoch in range(1, 8):
        path = _save(folder, epoch, scheduled=epoch % 2 == 0)
        store.link_checkpoint(folder, store.LAST, path)
        if epoch == 1:
            store.link_checkpoint(folder, store.BEST, path)
        store.prune_checkpoints(folder, keep=2)
    for suffix in ("ckpt", "json"):
        assert _names(folder, f"*.{suffix}") == [f"hlg_mobile-000{epoch}.{suffix}" for epoch in (1, 4, 6, 7)]
    assert follow_links(folder / store.BEST).resolve().name == "hlg_mobile-0001.ckpt"
    assert find_checkpoint(tmp_path).resolve().name == "hlg_mobile-0007.ckpt"  # a run folder stands for its last
    assert read_state(folder / store.LAST).epoch == 7
    assert store.read_checkpoint(folder / store.LAST).arrays["w"][0, 0] == 7


@pytest.mark.usefixtures("any_storage")
def test_going_back_to_a_step_removes_what_will_be_written_again(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        _save(tmp_path, epoch)
    (tmp_path / f"{PARTIAL}0004.ckpt").write_bytes(b"half")  # no checkpoint
    for link in (store.LAST, store.BEST):
        store.link_checkpoint(tmp_path, link, tmp_path / "hlg_mobile-0003.ckpt")
    store.rewind(tmp_path, tmp_path / "hlg_mobile-0002.ckpt")
    assert _names(tmp_path, "[!.]*") == [f"hlg_mobile-000{epoch}.{end}" for epoch in (1, 2) for end in ("ckpt", "json")]
    assert follow_links(tmp_path / store.LAST).resolve().name == "hlg_mobile-0002.ckpt"
    assert not os.path.lexists(tmp_path / store.BEST)


def test_a_failing_save_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _save(tmp_path, 1)
    before = path.read_bytes()
    monkeypatch.setattr("hlg.files.os.fsync", full_disk)
    with pytest.raises(UserError, match=r"0002\.ckpt: can't be written \(No space left.*0001\.ckpt is intact"):
        _save(tmp_path, 2)
    assert path.read_bytes() == before
    assert _names(tmp_path) == ["hlg_mobile-0001.ckpt", "hlg_mobile-0001.json"]


def test_a_checkpoint_from_which_nobody_could_resume_is_not_written(tmp_path: Path) -> None:
    said = r"after 8 steps, 3,000 of 3,000 values of w are NaN or infinite; .* adam_mw"
    with pytest.raises(DivergedError, match=said):
        _save(tmp_path, 2, value=np.inf)
    assert _names(tmp_path) == []


def test_a_checkpoint_is_for_whom_the_umask_says_and_never_makes_a_removed_run_folder_anew(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert _save(tmp_path, 1).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    assert _save(tmp_path, 2).stat().st_mode & 0o777 == 0o666 & ~before
    with pytest.raises(UserError, match=os.strerror(errno.ENOENT)):
        _save(tmp_path / "removed/checkpoints", 3)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"step": 12,', '"step": 13,', "its state_sha256 does not match its contents"),
        ('"elapsed_s": 1.5', '"elapsed_s": 1.6', "its state_sha256 does not"),
        ('"sha256": "', '"sha256": "0', "its state_sha256 does not"),
        ("state_sha256", "state_sha257", "unknown or missing: state_sha257"),
        ("{", "[", "Expecting"),
    ],
)
def test_an_altered_state_is_refused_by_name_and_the_newest_good_one_is_offered(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    paths = [_save(tmp_path, epoch) for epoch in (1, 2, 3)]
    where = paths[2].with_suffix(".json")
    where.write_text(where.read_text().replace(old, new, 1))
    offer = f"; the newest good one is {paths[1]}"
    for use, end in ((read_state, ""), (store.read_checkpoint, offer)):
        with pytest.raises(UserError, match=rf"hlg_mobile-0003\.json: damaged or altered \(.*{said}.*\){end}$"):
            use(paths[2])


@pytest.mark.parametrize("wrong", [{"step": "1"}, {"step": -1}, {"elapsed_s": None}, {"skipped": [1]}, {"epoch": True}])
def test_a_state_without_its_hash_counts_if_its_types_are_right(wrong: dict[str, object], tmp_path: Path) -> None:
    path = _save(tmp_path, 3)
    where = path.with_suffix(".json")
    kept = json.loads(where.read_text())
    del kept["state_sha256"]
    where.write_text(json.dumps(kept))
    assert read_state(path).step == 12
    where.write_text(json.dumps(kept | wrong))
    with pytest.raises(UserError, match=f"can't be right: {next(iter(wrong))}"):
        read_state(path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full(3000, np.nan, np.float32), "3,000 of 3,000 values of w are NaN or infinite"),
        (np.r_[np.zeros(2999), 1e39], "1 of 3,000 values of w"),  # finite as float64 alone
        (np.zeros(3000, np.int32), "w is of type int32, not float"),
    ],
)
def test_what_no_network_can_compute_with_is_refused(values: np.ndarray, said: str, tmp_path: Path) -> None:
    path, stored = tmp_path / "c.ckpt", {"w": Tensor(values.reshape(300, 10)), "adam_mw": _weights()[1]}
    ms.save_checkpoint([{"name": name, "data": value} for name, value in stored.items()], str(path))
    parameters = _weights(5)
    with pytest.raises(UserError, match=rf"c\.ckpt: no network can compute with it, take another: {said}"):
        store.restore_checkpoint(path, parameters)
    assert parameters[1].asnumpy()[0, 0] == 5  # none is set

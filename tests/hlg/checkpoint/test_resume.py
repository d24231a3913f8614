"""A run goes on only on the classes that it was started on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mindspore import Parameter, Tensor

from hlg.checkpoint import store
from hlg.checkpoint.resume import find_resumption
from hlg.config import Config, dump
from hlg.data.hashes import split_facts
from hlg.data.index import scan
from hlg.errors import UserError
from tests.hlg.checkpoint.test_store import STATE
from tests.hlg.data.test_index import make_files

DEVICE = {"target": "CPU", "names": ["x86_64"], "count": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_files(tmp_path / "data", "a/1.JPEG", "b/2.JPEG", "c/3.JPEG")


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    """The folder of an unfinished run on these data."""
    run, index = tmp_path / "run", scan(data, 3)
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yml").write_text(dump(Config(batch_size=1)))
    env = {"recipe": "tiny", "device": DEVICE, "dataset": {"train": split_facts(index)}, "classes": list(index.classes)}
    (run / "env.json").write_text(json.dumps(env))
    (run / "metrics.jsonl").write_text("")
    state = replace(STATE, steps_per_epoch=3)
    path = run / "checkpoints/hlg_mobile-0001.ckpt"
    store.save_checkpoint(path, [Parameter(Tensor(np.zeros(1, np.float32)), name="w")], state, index.classes)
    store.link_checkpoint(path.parent, store.LAST, path)
    return run


def test_a_folder_that_was_renamed_since_is_named_even_where_changes_are_allowed(data: Path, run: Path) -> None:
    def resume(**keys: object) -> tuple[str, ...]:
        index = scan(data, 3)
        config = Config(batch_size=1, resume=str(run), **keys)  # type: ignore[arg-type]
        return find_resumption(config, DEVICE, {"train": split_facts(index)}, index).changed

    assert resume() == ()
    (data / "a").rename(data / "d")
    for changed in (False, True):
        with pytest.raises(UserError, match=rf"not those of the run {run}: label 0 is b here and a there"):
            resume(resume_changed=changed)
    hashes, key = sorted(resume(resume_changed=True, class_map="order"), reverse=True)
    assert hashes.startswith("hash of the train set")
    assert key == "class_map nothing -> order"


@pytest.mark.parametrize(
    ("then", "now", "changed"),
    [
        ({}, {"verified_content": "content:sha256:1"}, 0),
        ({"hash": "the older one"}, {}, 0),  # of names and sizes, which are as they were
        ({"hash": "files-sizes:sha256:0"}, {}, 1),
        # Though the sample fits.
        ({"verified_content": "content:sha256:0"}, {"verified_content": "content:sha256:1"}, 1),
    ],
)
def test_a_data_set_is_compared_by_what_both_starts_know_of_it(
    then: dict[str, str], now: dict[str, str], changed: int, data: Path, run: Path
) -> None:
    index = scan(data, 3)
    facts = split_facts(index)
    then = {"hash": facts["files_sizes"]} if then.get("hash") == "the older one" else then
    env = json.loads((run / "env.json").read_text())
    (run / "env.json").write_text(json.dumps(env | {"dataset": {"train": facts | then}}))
    config = Config(batch_size=1, resume=str(run), resume_changed=True)
    assert len(find_resumption(config, DEVICE, {"train": facts | now}, index).changed) == changed

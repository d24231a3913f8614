"""One process works, the others wait: they are told when it is done, has failed or is gone, and never wait for ever."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hlg.cloud import handover
from hlg.cloud.handover import Handover
from hlg.errors import LostRankError
from tests.support import ROOT


def another(path: Path, does: str) -> subprocess.Popen[bytes]:
    """A process that does something with the same handover."""
    code = "import sys, time; from hlg.cloud.handover import Handover, Path; h = Handover(Path(sys.argv[1]))"
    return subprocess.Popen([sys.executable, "-c", f"{code}; {does}", str(path)], cwd=ROOT)


def test_the_others_wait_for_the_result(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state"
    first = another(path, "h.begin(); time.sleep(0.5); h.succeed('x.ckpt'); time.sleep(60)")
    try:
        assert Handover(path).wait(20) == "x.ckpt"
    finally:
        first.kill()
        first.wait()


def test_a_failure_is_told_even_by_a_process_that_has_ended(tmp_path: Path) -> None:
    another(tmp_path / "state", "h.begin(); h.fail('no such bucket')").wait()
    with pytest.raises(LostRankError, match=r"the first process of this node \(pid \d+\) has failed: no such bucket"):
        Handover(tmp_path / "state").wait(20)


@pytest.mark.parametrize("word", ["h.begin()", "h.begin(); h.succeed('')"])
def test_a_process_that_is_gone_is_not_waited_for(word: str, tmp_path: Path) -> None:
    another(tmp_path / "state", word).wait()
    with pytest.raises(LostRankError, match="is gone"):
        Handover(tmp_path / "state").wait(20)


def test_the_wait_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(LostRankError, match=r"was not done within 0\.3 s"):
        Handover(tmp_path / "state").wait(0.3)


def test_the_word_of_an_earlier_job_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another(tmp_path / "state", "h.fail('long ago')").wait()
    monkeypatch.setattr(handover, "START_WINDOW_S", -math.inf)  # these tests may have begun long ago
    with pytest.raises(LostRankError, match="was not done within"):
        Handover(tmp_path / "state").wait(0.3)


def test_another_process_under_an_old_number_is_not_taken_for_the_first(tmp_path: Path) -> None:
    word = {"pid": os.getpid(), "started": 0.5, "result": "of another"}
    (tmp_path / "state").write_text(json.dumps(word))
    start = time.monotonic()
    with pytest.raises(LostRankError, match="was not done within"):
        Handover(tmp_path / "state").wait(0.3)
    assert time.monotonic() - start < 5

"""One process works, the others wait: they are told when it is done, has failed or is gone, and never wait for ever."""

import json
import math
import os
import sys
from pathlib import Path

import pytest

from hlg.cloud import handover
from hlg.cloud.handover import Handover
from hlg.errors import LostRankError
from tests.support.processes import run_command


def another(path: Path, does: str) -> None:
    """Another process does something with the same handover, and ends."""
    code = "import sys; from hlg.cloud.handover import Handover, Path; h = Handover(Path(sys.argv[1]))"
    run_command(sys.executable, "-c", f"{code}; {does}", path)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("h.begin(); h.fail('no such bucket')", r"\(pid \d+\) has failed: no such bucket"),  # though it has ended
        ("h.begin()", "is gone"),
        ("h.begin(); h.succeed('')", "is gone"),
    ],
)
def test_a_first_process_that_has_failed_or_is_gone_is_not_waited_for(does: str, said: str, tmp_path: Path) -> None:
    another(tmp_path / "state", does)
    with pytest.raises(LostRankError, match=f"the first process of this node .*{said}"):
        Handover(tmp_path / "state").wait(20)


def test_the_wait_is_bounded_whatever_others_have_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Handover(tmp_path / "state")
    with pytest.raises(LostRankError, match=r"was not done within 0\.3 s"):
        waiting.wait(0.3)
    word = {"pid": os.getpid(), "started": 0.5, "result": "of another process that had this number"}
    (tmp_path / "state").write_text(json.dumps(word))
    with pytest.raises(LostRankError, match="was not done within"):
        waiting.wait(0.3)
    another(tmp_path / "state", "h.fail('long ago')")
    monkeypatch.setattr(handover, "START_WINDOW_S", -math.inf)  # these tests may have begun long ago
    with pytest.raises(LostRankError, match="was not done within"):
        waiting.wait(0.3)

"""The audit's table of the releases on which the code as first published trains."""

import json
from pathlib import Path

import pytest

from repro.audit.first_code import FILE, first_code_section
from repro.errors import ReproError
from tests.support import ROOT


def test_each_release_says_how_far_it_comes_and_what_fails() -> None:
    rows = first_code_section(ROOT / "results/published")
    assert "| 1.7.0 | yes | yes | yes | yes |  |" in rows
    assert any(row.startswith("| 1.6.1 | yes | yes | no | no | step: adam") for row in rows)


def test_a_cell_that_is_no_answer_is_an_error(tmp_path: Path) -> None:
    found = json.loads((ROOT / "results/published" / FILE).read_text())
    del found["releases"][0]["step"]
    (tmp_path / FILE).write_text(json.dumps(found))
    with pytest.raises(ReproError, match=r"releases: 0: step: found nothing, expected true or false"):
        first_code_section(tmp_path)

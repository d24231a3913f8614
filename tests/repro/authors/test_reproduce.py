"""The whole comparison: what is trained is kept with a page, and the page can be made again from what is kept."""

from pathlib import Path

from repro.authors.page import front_table
from repro.authors.reproduce import main
from tests.support.programs import Call


def test_a_mistake_in_the_options_is_said_before_anything_is_trained(call: Call) -> None:
    assert "--seeds: found '1 2'; allowed: 3 or more" in call(main, "--seeds", "1 2", code=2).err
    assert "--published: found nothing; name the authors' code" in call(main, code=2).err
    assert "--repeat: found 'x'; allowed: 1 to 1000" in call(main, "--published", "x", "--repeat", "x", code=2).err


def test_before_anything_is_kept_the_front_page_says_so(tmp_path: Path) -> None:
    assert "| all | not run | not run | not run | not run | can't tell |" in front_table(tmp_path)

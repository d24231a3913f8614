"""Say on which releases of MindSpore the code as first published trains: the published table names one of them."""

from collections.abc import Iterator
from pathlib import Path

from repro.files import field, read_json
from repro.markdown import grid, md

FILE = "releases.json"  # in the folder of the published logs
STAGES = ("imports", "forward", "step", "train.py")
HEADER = ("MindSpore", *STAGES, "What fails")
TITLE = "## On which MindSpore does the code as first published train?"


def first_code_section(folder: Path) -> list[str]:
    """Return the lines of the section.

    Raises:
        ReproError: the file is malformed.
    """
    where = str(folder / FILE)
    found = read_json(folder / FILE)
    text = " ".join(field(where, found, key, str) for key in ("setting", "finding"))
    return [TITLE, "", md(text), "", *grid(HEADER, _rows(where, field(where, found, "releases", list))), ""]


def _rows(where: str, releases: list[dict[str, object]]) -> Iterator[list[str]]:
    for number, release in enumerate(releases):
        at = f"{where}: releases: {number}"
        ran = ["yes" if field(at, release, stage, bool) else "no" for stage in STAGES]
        yield [
            md(field(at, release, "mindspore", str)),
            *ran,
            md(field(at, release, "fails", str, optional=True) or ""),
        ]

"""Show what `make reproduce` kept: the authors' code beside ours, with the verdict on both and on the control."""

from dataclasses import dataclass
from pathlib import Path

from repro.errors import ReproError
from repro.report.run_facts import Link, page_link
from repro.reproduction.comparison import DIFFERENT, SAME, comparison_header, comparison_rows, verdict_of
from repro.reproduction.record import KEPT, RECORD, Reproduction, read_reproduction

FILES = ("report.md", "runs.tar.gz")  # beside the record


@dataclass(frozen=True)
class ComparisonTable:
    """Theirs beside another side."""

    other: str
    caption: str
    verdict: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class AuthorsPart:
    """What was kept in a folder, or what is wrong with it."""

    folder: Path
    found: Reproduction | None = None
    problem: str = ""

    @property
    def words(self) -> str:
        """The outcome in one sentence."""
        if not self.found:
            return f"The comparison with the authors' code can't be shown: {self.problem}."
        ours, control = (table.verdict for table in self.tables)
        said = {SAME: "ours is the same, within the margins", DIFFERENT: "ours is different"}
        told = said.get(ours, "whether ours is the same can't be told from so few runs")
        must = "as it must" if control == DIFFERENT else f"and must come out {DIFFERENT}"
        return f"Beside the authors' own code, {told}; the control came out as {control}, {must}."

    @property
    def tables(self) -> list[ComparisonTable]:
        """Theirs beside ours, and beside the control."""
        if not self.found:
            return []
        beside = {
            ("Ours", "A difference is theirs less ours."): self.found.measures,
            ("Control", f"The control must come out {DIFFERENT}."): self.found.control_measures,
        }
        return [
            ComparisonTable(other, caption, verdict_of(measures), comparison_header(other), comparison_rows(measures))
            for (other, caption), measures in beside.items()
        ]

    def links(self, target: Path) -> list[Link]:
        """Return links to the kept files, from the page `target`."""
        return [page_link(self.folder / name, target) for name in FILES]


def read_authors_part(results: Path) -> AuthorsPart | None:
    """Read what `make reproduce` kept below a folder of results; None if it kept nothing."""
    folder = results / KEPT.name
    if not (folder / RECORD).exists():
        return None
    try:
        return AuthorsPart(folder, read_reproduction(folder / RECORD))
    except ReproError as error:
        return AuthorsPart(folder, problem=str(error))

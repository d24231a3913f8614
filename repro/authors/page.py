"""Write the page that sets the authors' code beside ours, from kept runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.authors.archive import unpacked_runs
from repro.authors.comparison import (
    DIFFERENT,
    HEADER,
    LOSS_MARGIN,
    OPEN,
    TOP1_MARGIN,
    Measure,
    Outcome,
    compare_outcomes,
    comparison_rows,
    verdict_of,
)
from repro.authors.repetition import AuthorsRun, read_repetition
from repro.authors.trainings import our_outcome, their_outcome
from repro.errors import ReproError
from repro.markdown import grid, md
from repro.records.run_folder import list_folders, read_runs
from repro.records.schema import Run

KEPT = Path("results/reproduce")
RUNS = "runs.tar.gz"  # in it, with a folder for each of these
SIDES = ("authors", "ours", "control")


@dataclass(frozen=True)
class Sides:
    """The kept trainings of both sides, and of the control."""

    authors: Sequence[AuthorsRun]
    ours: Sequence[Run]
    control: Sequence[Run]

    @property
    def their_outcomes(self) -> list[Outcome]:
        """What each repetition of theirs reached."""
        return [their_outcome(it) for it in self.authors]

    @property
    def our_outcomes(self) -> list[Outcome]:
        """What each training of ours reached."""
        return [our_outcome(run) for run in self.ours]

    @property
    def control_outcomes(self) -> list[Outcome]:
        """What each training of the control reached."""
        return [our_outcome(run) for run in self.control]

    @property
    def measures(self) -> list[Measure]:
        """Theirs beside ours."""
        return compare_outcomes(self.their_outcomes, self.our_outcomes)

    @property
    def control_measures(self) -> list[Measure]:
        """Theirs beside the control."""
        return compare_outcomes(self.their_outcomes, self.control_outcomes)


def read_sides(archive: Path) -> Sides:
    """Read the kept trainings. Raises ReproError if one is not sealed, was changed, or repeats something else."""
    with unpacked_runs(archive) as folder:
        return _read_sides(folder)


def _read_sides(folder: Path) -> Sides:
    authors = [read_repetition(it) for it in sorted(list_folders(folder / SIDES[0]))]
    if len({it.key for it in authors}) > 1:
        raise ReproError(f"{folder / SIDES[0]}: found repetitions of different codes, stacks, recipes or data")
    found = []
    for side in SIDES[1:]:
        runs, unfinished = read_runs(folder / side)
        if unfinished:
            raise ReproError(f"{unfinished[0]}: not finished; remove it")
        found.append(runs)
    return Sides(authors, *found)


def picture_link(folder: str) -> str:
    """Return the lines that show the picture, which lies in this folder as seen from the page."""
    alt = (
        "Losses by step of the authors' code, of ours and of the control, and the accuracy that each training reached."
    )
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{folder}dark.svg">'
    return f'<picture>\n  {dark}\n  <img alt="{alt}" src="{folder}light.svg">\n</picture>'


def front_table(folder: Path) -> str:
    """Return picture and table of the kept runs for the front page, or a table that says that none are kept."""
    header = ("Measure", "Theirs: mean ± s", "Ours: mean ± s", "Difference, 95 % interval", "Margin", "Verdict")
    if not (folder / RUNS).exists():
        return "\n".join(grid(header, [("all", *["not run"] * 4, OPEN)])) + "\n"
    sides, rows = read_sides(folder / RUNS), []
    for title, a, s, n, b, t, m, difference, span, margin, verdict in _cells(sides.measures):
        rows.append((title, f"{a} ± {s} (n = {n})", f"{b} ± {t} (n = {m})", f"{difference} ({span})", margin, verdict))
    control = verdict_of(sides.control_measures)
    words = f"{control}, as it must be" if control == DIFFERENT else f"{control}, but must be {DIFFERENT}"
    rows.append(("control: our rate stays at its first value", "", "", "", "", words))
    return "\n".join((picture_link(f"{KEPT.as_posix()}/"), "", *grid(header, rows))) + "\n"


def kept_page(sides: Sides) -> str:
    """Return the page in Markdown."""
    code, stack = sides.authors[0].facts["code"], sides.authors[0].facts["stack"]
    first = ", as first published" if code["first"] else ""
    ours = sides.ours[0].env
    changed = f"changed: {', '.join(code['changed'])}" if code["changed"] else "unchanged"
    lines = [
        "# The authors' code on their stack, beside ours",
        "",
        f"**{verdict_of(sides.measures).capitalize()}** within the margins; the control, "
        f"**{verdict_of(sides.control_measures)}**. Made by `make reproduce`; [how it is judged, and why these "
        "margins](../../repro/authors/README.md).",
        "",
        f"Theirs: {md(code['repository'])}, commit {md(code['commit'][:9])}{first}, {md(changed)}; MindSpore "
        f"{md(stack['mindspore'])}, Python {md(stack['python'])}. Ours: commit {md(str(ours.commit)[:9])}, "
        f"{md(ours.software)}. Both on {md(ours.hardware)}, float32, the recipe "
        f"{md(str(sides.authors[0].facts['recipe']))}. A difference is theirs less ours.",
        "",
        picture_link(""),
        "",
        *grid(HEADER, _cells(sides.measures)),
        "",
        f"A loss counts as the same within {LOSS_MARGIN:g}, an accuracy within {TOP1_MARGIN:g} points.",
        "",
        "The control is ours with a learning rate that stays at its first value, which is what their code does from "
        "MindSpore 2.5.0 on. It has to come out *different*:",
        "",
        *grid(HEADER, _cells(sides.control_measures)),
        "",
        "## Runs",
        "",
        f"Each with its seal, without checkpoints, in [{RUNS}]({RUNS}).",
        "",
        *grid(("Side", "Run", "Top-1, %", "Last loss"), _run_rows(sides)),
        "",
    ]
    return "\n".join(lines)


def _cells(measures: Sequence[Measure]) -> list[list[str]]:
    return [[md(cell) for cell in row] for row in comparison_rows(measures)]


def _run_rows(sides: Sides) -> Iterable[tuple[str, ...]]:
    for it in sides.authors:
        yield "theirs", md(it.folder.name), f"{it.top1_pct:.2f}", f"{it.losses[-1]:.3f}"
    for side, runs in zip(SIDES[1:], (sides.ours, sides.control), strict=True):
        for run in runs:
            yield side, md(run.folder.name), f"{our_outcome(run).top1_pct:.2f}", f"{run.steps.loss[-1]:.3f}"

"""Write the page that sets the authors' code beside ours, from kept runs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from repro.authors.archive import unpacked_runs
from repro.authors.repetition import AuthorsRun, read_repetition
from repro.authors.trainings import our_outcome, their_outcome
from repro.errors import ReproError
from repro.markdown import grid, md
from repro.records.run_folder import list_folders, read_runs
from repro.records.schema import Run
from repro.report.charts.page_picture import show_picture
from repro.reproduction.comparison import (
    DIFFERENT,
    LOSS_MARGIN,
    OPEN,
    TOP1_MARGIN,
    Measure,
    comparison_header,
    comparison_rows,
    verdict_of,
)
from repro.reproduction.record import KEPT, SIDES, ComparedSide, Reproduction

RUNS = "runs.tar.gz"  # in it, a folder for each side
CONTROL = (
    "ours with a learning rate that stays at its first value, which is what their code does from MindSpore 2.5.0 on"
)


def read_archive(archive: Path) -> Reproduction:
    """Read the kept trainings. Raises ReproError if one is not sealed, was changed, or repeats something else."""
    with unpacked_runs(archive) as folder:
        return _read_sides(folder)


def _read_sides(folder: Path) -> Reproduction:
    authors = [read_repetition(it) for it in sorted(list_folders(folder / SIDES[0]))]
    if len({it.key for it in authors}) > 1:
        raise ReproError(f"{folder / SIDES[0]}: found repetitions of different codes, stacks, recipes or data")
    found = []
    for side in SIDES[1:]:
        runs, unfinished = read_runs(folder / side)
        if unfinished:
            raise ReproError(f"{unfinished[0]}: not finished; remove it")
        found.append(runs)
    return reproduction_of(authors, *found)


def reproduction_of(authors: Sequence[AuthorsRun], ours: Sequence[Run], control: Sequence[Run]) -> Reproduction:
    """Return what these trainings reached, and whose code they ran on which software."""
    facts, env = authors[0].facts, ours[0].env
    code, stack = facts["code"], facts["stack"]
    first = ", as first published" if code["first"] else ""
    changed = f"changed: {', '.join(code['changed'])}" if code["changed"] else "unchanged"
    theirs = f"{code['repository']}, commit {code['commit'][:9]}{first}, {changed}"
    software = f"MindSpore {stack['mindspore']}, Python {stack['python']}"
    return Reproduction(
        str(facts["recipe"]),
        env.hardware,
        ComparedSide(f"{theirs}; {software}", tuple(map(their_outcome, authors))),
        ComparedSide(f"commit {str(env.commit)[:9]}, {env.software}", tuple(map(our_outcome, ours))),
        ComparedSide(CONTROL, tuple(map(our_outcome, control))),
    )


def picture_link(folder: str) -> str:
    """Return the lines that show the picture, which lies in this folder as seen from the page."""
    alt = (
        "Losses by step of the authors' code, of ours and of the control, and the accuracy that each training reached."
    )
    return show_picture(folder, alt)


def front_table(folder: Path) -> str:
    """Return picture and table of the kept runs for the front page, or a table that says that none are kept."""
    rest = ("Difference, 95 % interval", "Margin", "Verdict")
    if not (folder / RUNS).exists():
        return "\n".join(grid(("Measure", "Theirs", "Ours", *rest), [("all", *["not run"] * 4, OPEN)])) + "\n"
    found, rows = read_archive(folder / RUNS), []
    for title, a, s, _, b, t, _, difference, span, margin, verdict in _cells(found.measures):
        rows.append((title, f"{a} ± {s}", f"{b} ± {t}", f"{difference} ({span})", margin, verdict))
    counts = (len(side.outcomes) for side in (found.authors, found.ours))
    sides = (f"{side}, {n} runs: mean ± s" for side, n in zip(("Theirs", "Ours"), counts, strict=True))
    control = verdict_of(found.control_measures)
    words = f"{control}, as it must be" if control == DIFFERENT else f"{control}, but must be {DIFFERENT}"
    rows.append(("control: our rate stays at its first value", "", "", "", "", words))
    return "\n".join((picture_link(f"{KEPT.as_posix()}/"), "", *grid(("Measure", *sides, *rest), rows))) + "\n"


def kept_page(found: Reproduction) -> str:
    """Return the page in Markdown."""
    lines = [
        "# The authors' code on their stack, beside ours",
        "",
        f"**{verdict_of(found.measures).capitalize()}** within the margins; the control, "
        f"**{verdict_of(found.control_measures)}**. Made by `make reproduce`; [how it is judged, and why these "
        "margins](../../repro/authors/README.md).",
        "",
        f"Theirs: {md(found.authors.origin)}. Ours: {md(found.ours.origin)}. Both on {md(found.hardware)}, float32, "
        f"the recipe {md(found.recipe)}. A difference is theirs less ours.",
        "",
        picture_link(""),
        "",
        *grid(comparison_header("Ours"), _cells(found.measures)),
        "",
        f"A loss counts as the same within {LOSS_MARGIN:g}, an accuracy within {TOP1_MARGIN:g} points. At the first "
        f"step the loss is {_first_loss(found.authors)} with theirs, which begin with one draw of weights, and "
        f"{_first_loss(found.ours)} with ours, which draw them by seed.",
        "",
        f"The control is {md(found.control.origin)}. It has to come out *different*:",
        "",
        *grid(comparison_header("Control"), _cells(found.control_measures)),
        "",
        "## Runs",
        "",
        f"Each with its seal, without checkpoints, in [{RUNS}]({RUNS}).",
        "",
        *grid(("Side", "Run", "Top-1, %", "Last loss"), _run_rows(found)),
        "",
    ]
    return "\n".join(lines)


def _first_loss(side: ComparedSide) -> str:
    """Return mean and standard deviation of the losses before anything was learned."""
    losses = [it.losses[0] for it in side.outcomes]
    return f"{mean(losses):.3f} ± {stdev(losses):.3f}"


def _cells(measures: Sequence[Measure]) -> list[list[str]]:
    return [[md(cell) for cell in row] for row in comparison_rows(measures)]


def _run_rows(found: Reproduction) -> Iterable[tuple[str, ...]]:
    for name, side in (("theirs", found.authors), ("ours", found.ours), ("control", found.control)):
        for it in side.outcomes:
            yield name, md(it.run), f"{it.top1_pct:.2f}", f"{it.losses[-1]:.3f}"

"""Show what recipes measured over several seeds: as Markdown, and in short for a terminal."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from repro.markdown import columns, folder_link, grid, md
from repro.published.schema import SeedGroup, Spread
from repro.published.seeds import find_repetitions, group_seeds, unfit
from repro.records.schema import Run
from repro.report import phrases

HEADER = ("Recipe", "Seeds", "Figure", "n", "Mean", "Standard deviation", "Minimum", "Maximum")
INTRODUCTION = (
    "Runs that differ in their seed alone: n is their number, the standard deviation is that of a sample (n - 1)."
)


def seed_section(runs: Sequence[Run], target: Path) -> list[str]:
    """Write the section: one row a group and figure, below them the runs, and those that fit no group."""
    groups = list(enumerate(group_seeds(runs), 1))
    rows = [
        (f"{md(group_title(group))} ({number})", seed_list(group), *spread_row(spread))
        for number, group in groups
        for spread in group.spreads
    ]
    lines = [INTRODUCTION, "", *grid(HEADER, rows), ""] if groups else ["No recipe was run with two or more seeds."]
    for number, group in groups:
        members = zip(group.seeds, group.runs, strict=True)
        links = (f"seed {seed} {folder_link(run.folder, target)}" for seed, run in members)
        lines.append(f"{number}. {'; '.join((', '.join(links), *map(md, group_notes(group))))}.")
    repetitions = map(phrases.repetition_text, find_repetitions(runs))
    lines += [line for text in repetitions for line in ("", f"{md(text)}.")]
    alone = [(run, reason) for run in runs if run.kind == "train" and (reason := unfit(run))]
    if alone:
        lines += ["", "Never counted together with others:", ""]
        lines += [f"- {folder_link(run.folder, target)}: {md(reason)}" for run, reason in alone]
    return lines


def terminal_seeds(runs: Iterable[Run]) -> str:
    """Write the groups for a terminal: figure, n, mean, standard deviation. Empty without a group."""
    text = ""
    for group in group_seeds(runs):
        rows = [(f"seeds {seed_list(group)}", "n", "mean", "standard deviation")]
        rows += [spread_row(spread)[:4] for spread in group.spreads]
        text += f"\n{'; '.join((group_title(group), *group_notes(group)))}\n{columns(rows)}\n"
    return text


def spread_row(spread: Spread) -> tuple[str, str, str, str, str, str]:
    """Format one measure over the seeds: title, n, mean, standard deviation, minimum, maximum."""
    mean, minimum, maximum = (
        f"{number:,.{spread.decimals}f} {spread.unit}" for number in (spread.mean, spread.minimum, spread.maximum)
    )
    deviation = f"{spread.deviation:,.{spread.decimals}f} {'points' if spread.unit == '%' else spread.unit}"
    return spread.title, str(spread.n), mean, deviation, minimum, maximum


def range_text(spread: Spread) -> str:
    """Say between which values a measure lies over the seeds."""
    *_, minimum, maximum = spread_row(spread)
    return f"{spread.title[0].lower()}{spread.title[1:]}, from {minimum} to {maximum} over {spread.n} seeds"


def group_title(group: SeedGroup) -> str:
    """Name a group by a run folder without its time: recipe, devices and commit."""
    return group.runs[0].folder.name.partition("_")[2]


def seed_list(group: SeedGroup) -> str:
    """List the seeds, such as 1, 2, 3."""
    return ", ".join(map(str, group.seeds))


def group_notes(group: SeedGroup) -> list[str]:
    """Say what was left out."""
    left_out = f"older runs of the same seeds that are left out: {group.repetitions}"
    return [left_out, *group.notes] if group.repetitions else [*group.notes]

"""Shows what recipes measured over several seeds: as Markdown, and in short for a terminal."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from repro.markdown import columns, folder_link, grid, md
from repro.published.schema import SeedGroup, Spread
from repro.published.seeds import group_seeds, unfit
from repro.records.schema import Run

HEADER = ("Recipe", "Seeds", "Figure", "n", "Mean", "Standard deviation", "Minimum", "Maximum")
INTRODUCTION = (
    "Runs that differ in their seed alone: n is their number, the standard deviation is that of a sample (n - 1)."
)


def several_seeds(runs: Sequence[Run], target: Path) -> list[str]:
    """The lines of the section: one row a group and figure, below it the runs, and those that fit no group."""
    groups = list(enumerate(group_seeds(runs), 1))
    rows = [_row(group, number, spread) for number, group in groups for spread in group.spreads]
    lines = [INTRODUCTION, "", *grid(HEADER, rows), ""] if groups else ["No recipe was run with two or more seeds."]
    for number, group in groups:
        links = (
            f"seed {seed} {folder_link(run.folder, target)}" for seed, run in zip(group.seeds, group.runs, strict=True)
        )
        lines.append(f"{number}. {'; '.join((', '.join(links), *map(md, notes(group))))}.")
    alone = [(run, reason) for run in runs if run.kind == "train" and (reason := unfit(run))]
    if alone:
        lines += ["", "Never counted together with others:", ""]
        lines += [f"- {folder_link(run.folder, target)}: {md(reason)}" for run, reason in alone]
    return lines


def summary(runs: Iterable[Run]) -> str:
    """The groups for a terminal: figure, n, mean, standard deviation. Empty without a group."""
    text = ""
    for group in group_seeds(runs):
        rows = [(f"seeds {seed_list(group)}", "n", "mean", "standard deviation")]
        rows += [(s.title, str(s.n), value(s, s.mean), deviation(s)) for s in group.spreads]
        text += f"\n{'; '.join((recipe(group), *notes(group)))}\n{columns(rows)}\n"
    return text


def _row(group: SeedGroup, number: int, spread: Spread) -> tuple[str, ...]:
    return (
        f"{md(recipe(group))} ({number})",
        seed_list(group),
        spread.title,
        str(spread.n),
        value(spread, spread.mean),
        deviation(spread),
        value(spread, spread.minimum),
        value(spread, spread.maximum),
    )


def recipe(group: SeedGroup) -> str:
    """The name of a run folder without its time: recipe, devices and commit."""
    return group.runs[0].folder.name.partition("_")[2]


def seed_list(group: SeedGroup) -> str:
    """The seeds, such as 1, 2, 3."""
    return ", ".join(map(str, group.seeds))


def notes(group: SeedGroup) -> list[str]:
    """What was left out."""
    left_out = f"older runs of the same seeds that are left out: {group.repetitions}"
    return [left_out, *group.notes] if group.repetitions else [*group.notes]


def value(spread: Spread, number: float) -> str:
    """Mean, minimum or maximum, with its unit."""
    return f"{number:,.{spread.decimals}f} {spread.unit}"


def deviation(spread: Spread) -> str:
    """The standard deviation, with its unit."""
    unit = "points" if spread.unit == "%" else spread.unit
    return f"{spread.deviation:,.{spread.decimals}f} {unit}"

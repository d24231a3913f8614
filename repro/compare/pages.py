"""Write a comparison for a terminal and as Markdown."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from repro.compare.comparison import FIGURES, Comparison, difference_groups, figure_rows, short_rows, state_text
from repro.compare.differences import Difference, Effect
from repro.markdown import columns, folder_link, grid, md
from repro.report import phrases

HEADER = ("", "run", "value", "95 % interval", "against A", "verdict")
_HASH = re.compile(r"[0-9a-f]{16,}")
_HASH_SIGNS = 8  # by which hashes and commits are told apart in a terminal


def terminal_comparison(comparison: Comparison) -> str:
    """Write it for a terminal: runs, where their numbers part, what differs, and the figures."""
    lines = [f"{letter}  {run.folder.name}\n   {state_text(run)}" for letter, run in comparison.named]
    for told in comparison.told():
        lines += ["", columns([(told.answer,)]), columns([("", text) for text in (told.cause, *told.hints)])]
    for effect, members in difference_groups(comparison):
        lines += ["", f"what differs and {effect.value}:"]
        if effect is Effect.NOTHING:
            lines.append(columns([("", ", ".join(one.label for one in members))]))
        else:
            header = ("", *(letter for letter, _ in comparison.named))
            lines.append(columns([header, *((one.label, *map(_short, one.values)) for one in members)]))
    lines += ["", columns([HEADER, *_titles_once(short_rows(comparison))])]
    return "\n".join(lines)


def _titles_once(rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    before = ""
    for title, *cells in rows:
        yield ("" if title == before else title, *cells)
        before = title


def _short(value: str) -> str:
    return _HASH.sub(lambda found: found[0][:_HASH_SIGNS], value)


def markdown_comparison(comparison: Comparison, target: Path) -> str:
    """Write the page for the file `target`. It holds no date, so that the same records give the same page."""
    header = ("", "Run", "State", "Devices", "Software", "Commit")
    runs = [
        (
            letter,
            folder_link(run.folder, target),
            *map(md, (state_text(run), run.env.hardware, run.env.software, phrases.commit_text(run))),
        )
        for letter, run in comparison.named
    ]
    lines = [
        "# Runs compared",
        "",
        "Made by `make compare` from the run folders; do not edit.",
        "",
        *grid(header, runs),
    ]
    lines += ["", "## Where the numbers part", "", "Steps and epochs count from 0.", ""]
    for told in comparison.told():
        lines += [f"- **{md(told.answer)}**; {md(told.cause)}.", *(f"  - {md(hint)}." for hint in told.hints)]
    lines += ["", "## Figures", "", *grid(FIGURES, [tuple(map(md, row)) for row in figure_rows(comparison)])]
    lines += ["", "## What differs", ""]
    for effect, members in difference_groups(comparison):
        lines += [f"### What {effect.value}", "", *grid(difference_header(comparison), map(_cells, members)), ""]
    if not comparison.differences:
        lines += ["Nothing that is recorded.", ""]
    return "\n".join(lines)


def _cells(one: Difference) -> tuple[str, ...]:
    return tuple(map(md, difference_row(one)))


def difference_header(comparison: Comparison) -> tuple[str, ...]:
    """Return the cells above the rows of differences."""
    return ("What", "Name", *(letter for letter, _ in comparison.named))


def difference_row(one: Difference) -> tuple[str, ...]:
    """Return the cells of one difference, under `difference_header`."""
    return (one.topic, one.name, *one.values)

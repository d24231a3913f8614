"""Write the report as one self-contained HTML page: no script, no network, its charts inline.

The words are in repro.report.phrases, the charts in repro.report.charts; here both are put in order. The template
engine escapes every text, and characters that cannot be shown are written as their numbers.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
from markupsafe import Markup, escape

from repro.errors import shown_name
from repro.published.schema import Claim, SeedGroup, Verdict
from repro.published.seeds import find_repetitions, group_seeds, unfit
from repro.records.schema import Log, Run
from repro.report import class_scores, phrases, run_facts, seed_table, time_to_target
from repro.report.authors_code import AuthorsPart
from repro.report.charts.build import PageCharts
from repro.report.charts.inline import swatch
from repro.report.run_facts import Link, page_link
from repro.reproduction.comparison import LOSS_MARGIN, TOP1_MARGIN

_TEMPLATES = Path(__file__).with_name("templates")
_NUMBER = re.compile(rf"{phrases.NONE}|nan|[+±-]?[\d.,e-]+( to [+-]?[\d.,]+)?( \S+)?")  # or a range, with a unit
_JUDGED = (Verdict.MATCH, Verdict.BETTER, Verdict.WORSE)


@dataclass(frozen=True)
class _Note:
    """The reasons why one run cannot be compared, in full."""

    run: Link
    reasons: tuple[str, ...]


def html_report(
    claims: Sequence[Claim],
    runs: Sequence[Run],
    unfinished: Sequence[Path],
    broken: Mapping[Path, str],
    logs: Mapping[str, Log],
    target: Path,
    charts: PageCharts,
    files: Iterable[str],
    checks: Sequence[str] = (),
    authors: AuthorsPart | None = None,
) -> str:
    """Write the whole page. It holds no date, so that the same records give the same page.

    Args:
        claims: One for each published figure.
        runs: The sealed runs.
        unfinished: Folders without a seal.
        broken: Folders that cannot be trusted, with the reason.
        logs: The published logs by name.
        target: The file of the page, from which links lead.
        charts: The charts of these runs.
        files: Paths of what lies in the folder beside the page, for download.
        checks: What other checks of this machine concluded.
        authors: What `make reproduce` kept.
    """
    figures = [claim.figure for claim in claims]
    rows, notes = _results(claims, target)
    return page_environment().get_template("report.html.j2").render(
        measured=_measured(runs),
        shown=_shown(runs, checks),
        counts=[(verdict.value, sum(claim.verdict is verdict for claim in claims)) for verdict in Verdict],
        outcome=_outcome(claims),
        authors=authors,
        authors_links=authors.links(target) if authors else [],
        margins=(f"{LOSS_MARGIN:g}", f"{TOP1_MARGIN:g}"),
        rows=rows,
        notes=notes,
        charts=charts,
        drawn=[(label, page_link(run.folder, target)) for label, run in charts.series],
        runs=[_run(run, number, target) for number, run in enumerate(runs, 1)],
        target_header=time_to_target.HEADER,
        target_introduction=time_to_target.INTRODUCTION,
        targets=time_to_target.target_rows(runs),
        unfinished=[page_link(folder, target) for folder in unfinished],
        broken=[(page_link(folder, target), problem) for folder, problem in broken.items()],
        seed_introduction=seed_table.INTRODUCTION,
        seed_header=seed_table.HEADER,
        groups=[_group(group, target) for group in group_seeds(runs)],
        alone=[(page_link(run.folder, target), why) for run in runs if run.kind == "train" and (why := unfit(run))],
        classes=[_classes(run, target) for run in class_scores.scored_runs(runs)],
        deviations=run_facts.deviations(runs, figures, target),
        resumed=[
            (page_link(run.folder, target), run_facts.resumption_sentences(run)) for run in runs if run.resumptions
        ],
        skipped=[(page_link(run.folder, target), run.skipped_images) for run in runs if run.skipped_images],
        logs=[phrases.log_row(name, log) for name, log in sorted(logs.items())],
        verdicts=[(verdict.value, meaning) for verdict, meaning in phrases.VERDICTS.items()],
        choices=(phrases.CHOICE, phrases.EVIDENCE),
        rules=phrases.rule_texts(figures),
        definitions=[(figure.title, phrases.definition_text(figure)) for figure in figures],
        downloads=_downloads(files, target),
        NONE=phrases.NONE,
    )  # fmt: skip


def readable(value: object) -> object:
    """Put a text on one line, with characters that turn, hide or end it escaped; markup stays as it is."""
    return value if isinstance(value, Markup) else shown_name(value)


def breakable(name: object) -> Markup:
    """Let a long name break where its parts end."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_/])", str(readable(name))))


def sides(rows: Sequence[Sequence[str]], columns: int) -> list[Markup]:
    """Return an attribute for each column: numbers stand at the right, text at the left."""
    numbers = [all(_NUMBER.fullmatch(row[column]) for row in rows) for column in range(columns)]
    return [Markup(' class="number"') if number else Markup() for number in numbers]


@cache
def page_environment(*more: Path) -> jinja2.Environment:
    """Return what makes pages of the templates here, and of those in other folders."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader((_TEMPLATES, *more)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=readable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"breakable": breakable, "sides": sides}
    environment.globals["swatch"] = swatch
    return environment


# ------------------------------------------------------------------------------------------------- parts


def _measured(runs: Sequence[Run]) -> str:
    """Say what was measured, in one sentence."""
    if not runs:
        return "No finished run: nothing was measured."
    kinds = Counter(run.kind for run in runs)
    counts = [
        _count(kinds[kind], name) for kind, name in (("train", "training"), ("eval", "evaluation")) if kinds[kind]
    ]
    machines = " and on ".join(dict.fromkeys(run.env.hardware for run in runs))
    software = ", ".join(dict.fromkeys(run.env.software for run in runs))
    return f"{' and '.join(counts)} on {machines}, with {software}."


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _shown(runs: Sequence[Run], checks: Sequence[str]) -> str:
    """Say what is shown whatever was published: repetition, the spread of seeds, and other checks of this machine."""
    found = [phrases.repetition_text(repetition) for repetition in find_repetitions(runs)]
    found += [text for group in group_seeds(runs) for text in map(seed_table.range_text, group.spreads[:1])]
    shown = f"They show: {'; '.join(found)}." if found else ""
    return f"{shown} On this machine: {'; '.join(checks)}." if checks else shown


def _outcome(claims: Sequence[Claim]) -> str:
    """Sum up the verdicts in one sentence."""
    found = Counter(claim.verdict for claim in claims)
    judged = sum(found[verdict] for verdict in _JUDGED)
    if judged:
        return f"{judged} of {len(claims)} published figures were measured in a way that can be compared with them."
    if found[Verdict.INCOMPARABLE]:
        return "No run used the published setup, so nothing here confirms or refutes a published figure."
    return "No published figure was measured."


def _results(claims: Iterable[Claim], target: Path) -> tuple[list[dict[str, Any]], list[_Note]]:
    """Make the rows of the table, each with the number of its note, and the notes."""
    notes: dict[_Note, int] = {}
    rows = []
    for row in map(phrases.figure_row, claims):
        claim = row.claim
        note = None
        if claim.reasons and claim.run:
            found = _Note(page_link(claim.run.folder, target), tuple(reason.text for reason in claim.reasons))
            note = notes.setdefault(found, len(notes) + 1)
        rows.append(
            {
                "title": row.title,
                "published": _amount(row.published),
                "source": row.source,
                "measured": _amount(row.measured),
                "difference": _amount(row.difference),
                "evidence": row.evidence,
                "verdict": row.verdict,
                "topics": row.topics,
                "note": note,
                "run": page_link(claim.run.folder, target) if claim.run else None,
            }
        )
    return rows, list(notes)


def _amount(text: str) -> tuple[str, str]:
    """Part a number from what stands behind it in brackets."""
    number, bracket, rest = text.partition(" (")
    return number, f"{bracket}{rest}".strip()


def _run(run: Run, number: int, target: Path) -> dict[str, Any]:
    return {
        **phrases.run_row(run),
        "number": number,
        "link": page_link(run.folder, target),
        "missing": run.env.missing,
        "facts": list(run_facts.known_facts(run)),
        "files": run_facts.record_links(run, target),
    }


def _group(group: SeedGroup, target: Path) -> dict[str, Any]:
    return {
        "recipe": seed_table.group_title(group),
        "seeds": seed_table.seed_list(group),
        "rows": [seed_table.spread_row(spread) for spread in group.spreads],
        "runs": [(seed, page_link(run.folder, target)) for seed, run in zip(group.seeds, group.runs, strict=True)],
        "notes": seed_table.group_notes(group),
    }


def _classes(run: Run, target: Path) -> dict[str, Any]:
    tables = (
        ("Least accurate classes", class_scores.HARDEST, class_scores.hardest_classes(run)),
        ("Most confused classes", class_scores.CONFUSED, class_scores.confused_pairs(run)),
    )
    return {"run": page_link(run.folder, target), "tables": tables}


def _downloads(files: Iterable[str], target: Path) -> list[tuple[str, list[Link]]]:
    """Link the files, grouped by folder."""
    folders: dict[str, list[Link]] = {}
    for file in sorted(files):
        path = PurePosixPath(file)
        found = page_link(target.with_suffix("") / file, target, path.name)
        folders.setdefault(path.parent.as_posix(), []).append(found)
    return list(folders.items())

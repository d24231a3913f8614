"""The report as one HTML page that needs nothing else: no script, no network, its charts within it.

The words are in repro.report.phrases, the charts in repro.report.charts; here both are put in order. Every text is
escaped by the template's engine, and what cannot be shown in it is replaced.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
from markupsafe import Markup, escape

from repro.published.schema import Claim, SeedGroup, Verdict
from repro.published.seeds import group_seeds, unfit
from repro.records.schema import Log, Run
from repro.report import class_scores, phrases, run_facts, seed_table
from repro.report.charts.description import Numbers
from repro.report.run_facts import Link, link

TEMPLATES = Path(__file__).with_name("templates")
JUDGED = (Verdict.MATCH, Verdict.BETTER, Verdict.WORSE)


@dataclass(frozen=True)
class ChartPart:
    """A chart as the page holds it."""

    key: str
    title: str
    explanation: str
    inline: Markup
    numbers: Numbers


@dataclass(frozen=True)
class Charts:
    """The curves, the distribution of the step times, the runs that are drawn, and how many older ones are not."""

    curves: tuple[ChartPart, ...] = ()
    step_times: ChartPart | None = None
    series: tuple[tuple[str, Run], ...] = ()  # label and run
    more: int = 0


@dataclass(frozen=True)
class Note:
    """The reasons of one run in full."""

    run: Link
    reasons: tuple[str, ...]


def page(
    claims: Sequence[Claim],
    runs: Sequence[Run],
    unfinished: Sequence[Path],
    logs: Mapping[str, Log],
    target: Path,
    charts: Charts,
    files: Iterable[str],
) -> str:
    """The whole page for the file `target`. `files`: paths of what lies in the folder beside it, for download.

    It holds no time of making, so that the same records give the same page.
    """
    figures = [claim.figure for claim in claims]
    rows, notes = _results(claims, target)
    return _environment().get_template("report.html.j2").render(
        measured=_measured(runs),
        counts=[(verdict.value, sum(claim.verdict is verdict for claim in claims)) for verdict in Verdict],
        outcome=_outcome(claims),
        rows=rows,
        notes=notes,
        charts=charts,
        drawn=[(label, link(run.folder, target)) for label, run in charts.series],
        runs=[_run(run, number, target) for number, run in enumerate(runs, 1)],
        unfinished=[link(folder, target) for folder in unfinished],
        seed_introduction=seed_table.INTRODUCTION,
        seed_header=seed_table.HEADER,
        groups=[_group(group, target) for group in group_seeds(runs)],
        alone=[(link(run.folder, target), why) for run in runs if run.kind == "train" and (why := unfit(run))],
        classes=[_classes(run, target) for run in class_scores.shown(runs)],
        deviations=run_facts.deviations(runs, figures, target),
        resumed=[(link(run.folder, target), run_facts.resumptions(run)) for run in runs if run.resumptions],
        skipped=[(link(run.folder, target), run.skipped_images) for run in runs if run.skipped_images],
        logs=[_log(name, log) for name, log in sorted(logs.items())],
        verdicts=[(verdict.value, meaning) for verdict, meaning in phrases.VERDICTS.items()],
        choices=(phrases.CHOICE, phrases.EVIDENCE),
        rules=phrases.rules(figures),
        definitions=[(figure.title, phrases.definition(figure)) for figure in figures],
        downloads=_downloads(files, target),
        NONE=phrases.NONE,
    )  # fmt: skip


def readable(value: object) -> object:
    """A text on one line, without what turns, hides or ends it; markup as it is."""
    if isinstance(value, Markup):
        return value
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co") else sign
        for sign in " ".join(str(value).split())
    )


def breakable(name: object) -> Markup:
    """A long name that may be broken where its parts end."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_/])", str(readable(name))))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=readable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = breakable
    return environment


# ------------------------------------------------------------------------------------------------- parts


def _measured(runs: Sequence[Run]) -> str:
    """What was measured, in one sentence."""
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


def _outcome(claims: Sequence[Claim]) -> str:
    """What the verdicts come to, in one sentence."""
    found = Counter(claim.verdict for claim in claims)
    judged = sum(found[verdict] for verdict in JUDGED)
    if judged:
        return f"{judged} of {len(claims)} published figures were measured in a way that can be compared with them."
    if found[Verdict.INCOMPARABLE]:
        return "No run was made as what was published: nothing here confirms a published figure, or refutes one."
    return "No published figure was measured."


def _results(claims: Iterable[Claim], target: Path) -> tuple[list[dict[str, Any]], list[Note]]:
    """The rows of the table, each with the number of its note, and the notes."""
    notes: dict[Note, int] = {}
    rows = []
    for row in map(phrases.row, claims):
        claim = row.claim
        note = None
        if claim.reasons and claim.run:
            found = Note(link(claim.run.folder, target), tuple(reason.text for reason in claim.reasons))
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
                "run": link(claim.run.folder, target) if claim.run else None,
            }
        )
    return rows, list(notes)


def _amount(text: str) -> tuple[str, str]:
    """The number, and behind it what it is of."""
    number, bracket, rest = text.partition(" (")
    return number, f"{bracket}{rest}".strip()


def _run(run: Run, number: int, target: Path) -> dict[str, Any]:
    return {
        "number": number,
        "link": link(run.folder, target),
        "kind": run.kind,
        "devices": run.env.hardware,
        "software": run.env.software,
        "data": phrases.data(run),
        "epochs": str(len(run.log.epochs)) if run.kind == "train" else phrases.NONE,
        "commit": phrases.commit(run),
        "foreign": str(run.log.foreign_lines),
        "checkpoints": phrases.checkpoints(run),
        "missing": run.env.missing,
        "facts": list(run_facts.environment(run)),
        "files": run_facts.files(run, target),
    }


def _group(group: SeedGroup, target: Path) -> dict[str, Any]:
    members = [(seed, link(run.folder, target)) for seed, run in zip(group.seeds, group.runs, strict=True)]
    rows = [
        (
            s.title,
            str(s.n),
            seed_table.value(s, s.mean),
            seed_table.deviation(s),
            seed_table.value(s, s.minimum),
            seed_table.value(s, s.maximum),
        )
        for s in group.spreads
    ]
    return {
        "recipe": seed_table.recipe(group),
        "seeds": seed_table.seed_list(group),
        "rows": rows,
        "runs": members,
        "notes": seed_table.notes(group),
    }


def _classes(run: Run, target: Path) -> dict[str, Any]:
    tables = (
        ("right least often", class_scores.HARDEST, class_scores.hardest(run)),
        ("confused most", class_scores.CONFUSED, class_scores.confused(run)),
    )
    return {"run": link(run.folder, target), "tables": tables}


def _log(name: str, log: Log) -> tuple[str, str, str]:
    records = f"{len(log.epochs)} epochs" if log.epochs else "1 evaluation"
    if log.epochs:
        records += f", {log.epochs[0].epoch} to {log.epochs[-1].epoch}"
    return name, records, str(log.foreign_lines)


def _downloads(files: Iterable[str], target: Path) -> list[tuple[str, list[Link]]]:
    """The files by the folder in which they are, one link each."""
    folders: dict[str, list[Link]] = {}
    for file in sorted(files):
        path = PurePosixPath(file)
        found = link(target.with_suffix("") / file, target, path.name)
        folders.setdefault(path.parent.as_posix(), []).append(found)
    return list(folders.items())

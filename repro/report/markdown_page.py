"""Write the report as Markdown: the table of results for any page, and the whole page."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repro.markdown import END, begin_marker, columns, folder_link, grid, md
from repro.published.schema import Claim, Published
from repro.records.schema import Log, Run
from repro.report import class_scores, phrases, seed_table, time_to_target
from repro.report.authors_code import AuthorsPart

TABLE_NAME = "results"  # between the markers of a page


def results_table(claims: Iterable[Claim], target: Path) -> str:
    """Write one row a published figure, and below them the reasons in full. Links are relative to the page `target`."""
    header = ("Figure", "Published", "Source", "Measured", "Difference", "Evidence", "Verdict", "Run")
    notes: dict[tuple[str, ...], int] = {}  # the reasons in full -> their number
    rows = []
    for row in map(phrases.figure_row, claims):
        claim, verdict = row.claim, f"**{row.verdict}**"
        if claim.reasons and claim.run:
            texts = (folder_link(claim.run.folder, target), *(md(reason.text) for reason in claim.reasons))
            verdict += f": {md(row.topics)} ({notes.setdefault(texts, len(notes) + 1)})"
        cells = map(md, (row.title, row.published, row.source, row.measured, row.difference, row.evidence))
        rows.append((*cells, verdict, folder_link(claim.run.folder, target) if claim.run else phrases.NONE))
    lines = [*grid(header, rows), ""]
    lines += [f"{number}. {run}: {'; '.join(texts).rstrip('.')}." for (run, *texts), number in notes.items()]
    return "\n".join(lines).rstrip() + "\n"


def terminal_table(claims: Iterable[Claim]) -> str:
    """Write the table for a terminal: figure, published, measured, verdict; below it the reasons, once each."""
    rows = [("figure", "published", "measured", "verdict")]
    notes: dict[str, int] = {}
    for row in map(phrases.figure_row, claims):
        figure, found = row.claim.figure, row.claim.measured
        measured = phrases.value_text(figure, found) if found else phrases.NONE
        note = f" ({notes.setdefault(row.topics, len(notes) + 1)})" if row.topics else ""
        rows.append((row.title, f"{figure.value:,} {figure.unit}", measured, row.verdict + note))
    reasons = [f"({number}) because of {topics}" for topics, number in notes.items()]
    return "\n".join([columns(rows), *reasons])


def markdown_report(
    claims: Sequence[Claim],
    runs: Sequence[Run],
    unfinished: Sequence[Path],
    broken: Mapping[Path, str],
    logs: Mapping[str, Log],
    target: Path,
    authors: AuthorsPart | None = None,
) -> str:
    """Write the whole page for the file `target`. It holds no date, so that the same records give the same page."""
    return "\n".join(
        [
            "# Published and measured figures",
            "",
            "Made by `make report` from the run folders; do not edit. Sources are lines of the published",
            "README_CN.md (mindspore/models, branch r2.0, research/cv/hlg). What the verdicts mean is below.",
            "",
            *_authors(authors, target),
            begin_marker(TABLE_NAME),
            results_table(claims, target).rstrip(),
            END,
            "",
            "## Runs",
            "",
            *_run_list(runs, unfinished, broken, target),
            "",
            *_targets(runs),
            "## Several seeds",
            "",
            *seed_table.seed_section(runs, target),
            "",
            *_classes(runs, target),
            "## The published logs",
            "",
            *_published_logs(logs),
            "",
            "## Definitions",
            "",
            *_definitions([claim.figure for claim in claims]),
            "",
        ]
    )


def _authors(part: AuthorsPart | None, target: Path) -> list[str]:
    """Say how the authors' code came out beside ours, with a link; nothing where that was not kept."""
    return [f"{md(part.words)} [The comparison]({part.links(target)[0].href}).", ""] if part else []


def _run_list(runs: Sequence[Run], unfinished: Sequence[Path], broken: Mapping[Path, str], target: Path) -> list[str]:
    """List the sealed runs, what could not be found out about them, the unfinished ones and the broken ones."""
    header = ("Run", "Kind", "Devices", "Software", "Data", "Epochs", "Commit", "Unrecognized log lines", "Checkpoints")
    rows = [(folder_link(run.folder, target), *map(md, phrases.run_row(run).values())) for run in runs]
    lines = grid(header, rows) if rows else ["No finished run."]
    resumed = [run for run in runs if run.resumptions]
    if resumed:
        lines += ["", "Interrupted and resumed; steps and epochs count from 0:", ""]
        lines += [f"- {folder_link(run.folder, target)}: {_resumptions(run)}" for run in resumed]
    unknown = [run for run in runs if run.env.missing]
    if unknown:
        lines += ["", "Not recorded, since it could not be found out:", ""]
        lines += [f"- {folder_link(run.folder, target)}: {md('; '.join(run.env.missing))}" for run in unknown]
    if unfinished:
        lines += ["", "Unfinished, without a seal, and therefore not judged:", ""]
        lines += [f"- {folder_link(folder, target)}" for folder in unfinished]
    if broken:
        lines += ["", "Broken, and therefore not judged:", ""]
        lines += [f"- {folder_link(folder, target)}: {md(problem)}" for folder, problem in broken.items()]
    return lines


def _targets(runs: Sequence[Run]) -> list[str]:
    """Say when the trainings that have a target accuracy reached it; nothing if none has one."""
    rows = [tuple(map(md, row)) for row in time_to_target.target_rows(runs)]
    introduction = ["## Time to target accuracy", "", md(time_to_target.INTRODUCTION), ""]
    return [*introduction, *grid(time_to_target.HEADER, rows), ""] if rows else []


def _classes(runs: Sequence[Run], target: Path) -> list[str]:
    """List the hardest classes of each evaluation; nothing if none was counted class by class."""
    shown = class_scores.scored_runs(runs)
    lines = ["## Classes", ""] if shown else []
    for run in shown:
        for title, header, rows in (
            ("Least accurate classes", class_scores.HARDEST, class_scores.hardest_classes(run)),
            ("Most confused classes", class_scores.CONFUSED, class_scores.confused_pairs(run)),
        ):
            lines += [
                f"{title}, of {folder_link(run.folder, target)}:",
                "",
                *grid(header, [tuple(map(md, row)) for row in rows]),
                "",
            ]
    return lines


def _resumptions(run: Run) -> str:
    """Tell where the run was resumed, and what had changed by then, in full."""
    parts = []
    for found in run.resumptions:
        changed = [f"**changed**: {md(', '.join(found.changed))}"] if found.changed else []
        parts.append(", ".join([*map(md, phrases.resumption_parts(found)), *changed]))
    parts += [f"**in a different environment**: {md(', '.join(run.env.resumed_on))}"] if run.env.resumed_on else []
    return "; ".join(parts)


def _published_logs(logs: Mapping[str, Log]) -> list[str]:
    """List what each of the published logs holds."""
    header = ("File", "Records", "Unrecognized lines")
    rows = [tuple(map(md, phrases.log_row(name, log))) for name, log in sorted(logs.items())]
    return ["Every published value that stands in a log was read from it again and agrees.", "", *grid(header, rows)]


def _definitions(figures: Sequence[Published]) -> list[str]:
    """Explain the verdicts, the rules in their own words, and how each figure is measured."""
    lines = [f"- **{verdict.value}**: {md(meaning)}" for verdict, meaning in phrases.VERDICTS.items()]
    lines += [f"- {md(phrases.CHOICE)}", f"- {md(phrases.EVIDENCE)}", ""]
    lines += [f"- Rule *{kind}*. {md(text)}" for kind, text in phrases.rule_texts(figures)]
    return lines + [f"- *{md(figure.title)}*: {md(phrases.definition_text(figure))}" for figure in figures]

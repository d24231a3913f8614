"""Writes the table of published and measured figures as Markdown.

    python -m repro.report                       # results/runs -> results/report.md
    python -m repro.report RUN RUN               # these run folders only
    python -m repro.report --update README.md    # and put the table between its markers
    python -m repro.report --check README.md     # write nothing; exit 1 when that table is out of date

Exit code 2 when a record cannot be trusted. No arithmetic is done here: see repro.compare and repro.seeds.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repro import seed_table
from repro.compare import compare, hardware, hours
from repro.figures import read_published, verify_published
from repro.markdown import END, begin, columns, grid, link, md, read_table, write_table
from repro.parse import read_folders, read_runs
from repro.schema import Claim, DataSet, Log, Measured, Published, ReproError, Resumption, Run

NAME = "results"  # of the table between markers
LONG = 600  # seconds; longer times are shown in hours too
VERDICTS = """\
- **match**: comparable, and within what the rule allows.
- **better**, **worse**: comparable, and outside of it. A measured value that is not finite is worse.
- **incomparable**: other hardware, data, batch, image size, precision or recipe; no difference is given.
- **not measured**: no finished run measures it.
- A row shows the newest comparable run, or else the newest run. Every measured value is one run: n = 1.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m repro.report", description="Published and measured figures.")
    parser.add_argument("runs_named", metavar="RUN", nargs="*", type=Path, help="run folders (default: all in --runs)")
    parser.add_argument("--runs", type=Path, default=Path("results/runs"), help="folder of the run folders")
    parser.add_argument(
        "--published", type=Path, default=Path("results/published"), help="folder of the published logs"
    )
    parser.add_argument("--out", type=Path, default=Path("results/report.md"), help="file to write")
    parser.add_argument("--update", metavar="FILE", type=Path, help="also renew the table between the markers in FILE")
    parser.add_argument("--check", metavar="FILE", type=Path, help="write nothing, compare the table in FILE")
    options = parser.parse_args(argv)
    try:
        figures = read_published()
        logs = verify_published(figures, options.published)
        runs, unfinished = read_folders(options.runs_named) if options.runs_named else read_runs(options.runs)
        claims = compare(figures, runs)
        if options.check:
            return check(options.check, table(claims, options.check))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(report(claims, runs, unfinished, logs, options.out), encoding="utf-8")
        if options.update:
            write_table(options.update, NAME, table(claims, options.update))
        print(summary(claims), seed_table.summary(runs), sep="\n", end="")
        print(f"{options.out}: the whole table with sources, runs and reasons")
    except (ReproError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


# ------------------------------------------------------------------------------------------------- table


def table(claims: Iterable[Claim], target: Path) -> str:
    """One row a published figure, below it the reasons in full. Links are relative to the page `target`."""
    header = ("Figure", "Published", "Source", "Measured", "Difference", "Verdict", "Run")
    notes: dict[tuple[str, ...], int] = {}  # the reasons in full -> their number
    rows = []
    for claim in claims:
        number = 0
        if claim.reasons and claim.run:
            texts = (link(claim.run.folder, target), *(md(reason.text) for reason in claim.reasons))
            number = notes.setdefault(texts, len(notes) + 1)
        rows.append(row(claim, number, target))
    lines = [*grid(header, rows), ""]
    lines += [f"{number}. {run}: {'; '.join(texts).rstrip('.')}." for (run, *texts), number in notes.items()]
    return "\n".join(lines).rstrip() + "\n"


def summary(claims: Iterable[Claim]) -> str:
    """The table for a terminal: figure, published, measured, verdict."""
    rows = [("figure", "published", "measured", "verdict")]
    for claim in claims:
        figure, found = claim.figure, claim.measured
        topics = ", ".join(dict.fromkeys(reason.topic for reason in claim.reasons))
        rows.append(
            (
                figure.title,
                f"{figure.value:,} {figure.unit}",
                f"{found.value:,.{figure.decimals}f} {figure.unit}" if found else "–",
                claim.verdict.value + (f": {topics}" if topics else ""),
            )
        )
    return columns(rows)


def row(claim: Claim, note: int, target: Path) -> tuple[str, ...]:
    """The cells of one figure. No difference is shown for an incomparable run: it would suggest otherwise."""
    figure, run, found = claim.figure, claim.run, claim.measured
    difference = "–"
    if claim.difference is not None:
        unit = "points" if figure.unit == "%" else figure.unit
        difference = f"{claim.difference:+,.{figure.decimals}f} {unit}"
        difference += f", {claim.relative:+.2f} %" if figure.unit != "%" else ""
        difference += f" (match within {claim.allowed:.{figure.decimals}f})"
    verdict = f"**{claim.verdict.value}**"
    if claim.reasons:
        verdict += f": {', '.join(dict.fromkeys(reason.topic for reason in claim.reasons))} ({note})"
    return (
        md(figure.title),
        published(figure),
        md(figure.source),
        measured(figure, found) if found else "–",
        difference,
        verdict,
        link(run.folder, target) if run else "–",
    )


def published(figure: Published) -> str:
    """The value with the digits it was published with, and the hardware it stands for."""
    setting = figure.setting
    count = f"{setting.count} x " if setting.count else ""
    on = f" ({count}{md(setting.hardware)})" if setting.hardware else ""
    return f"{figure.value:,} {figure.unit}{in_hours(figure, figure.value)}{on}"


def measured(figure: Published, found: Measured) -> str:
    number = f"{found.value:,.{figure.decimals}f} {figure.unit}"
    return f"{number}{in_hours(figure, found.value)} ({md(found.n)})"


def in_hours(figure: Published, time: float) -> str:
    return f" = {hours(time):.2f} h" if figure.unit == "s" and time > LONG else ""


def check(path: Path, expected: str) -> int:
    """0 when the table between the markers of `path` is `expected`, or 1."""
    if read_table(path, NAME) == expected:
        return 0
    print(f"{path}: the table of results is out of date; renew it with --update {path}", file=sys.stderr)
    return 1


# ------------------------------------------------------------------------------------------------- report


def report(
    claims: Sequence[Claim],
    runs: Sequence[Run],
    unfinished: Sequence[Path],
    logs: Mapping[str, Log],
    target: Path,
) -> str:
    """The whole page. It holds no time of making, so that the same records give the same page."""
    return "\n".join(
        [
            "# Published and measured figures",
            "",
            "Made by `make report` from the run folders; do not edit. Sources are lines of the published",
            "README_CN.md (mindspore/models, branch r2.0, research/cv/hlg). What the verdicts mean is below.",
            "",
            begin(NAME),
            table(claims, target).rstrip(),
            END,
            "",
            "## Runs",
            "",
            *run_list(runs, unfinished, target),
            "",
            "## Several seeds",
            "",
            *seed_table.several_seeds(runs, target),
            "",
            "## The published logs",
            "",
            *published_logs(logs),
            "",
            "## Definitions",
            "",
            *definitions([claim.figure for claim in claims]),
            "",
        ]
    )


def run_list(runs: Sequence[Run], unfinished: Sequence[Path], target: Path) -> list[str]:
    """The sealed runs, what could not be found out about them, and the unfinished ones."""
    header = (
        "Run",
        "Kind",
        "Devices",
        "Software",
        "Data",
        "Epochs",
        "Commit",
        "Foreign log lines",
        "Checkpoints",
    )
    rows = []
    for run in runs:
        sets = [f"{split}: {images(data)}" for split, data in run.env.datasets.items()]
        commit = (run.env.commit or "not recorded")[:12] + (", with changes" if run.env.dirty else "")
        rows.append(
            (
                link(run.folder, target),
                run.kind,
                md(hardware(run)),
                md(run.env.software),
                md("; ".join(sets)),
                str(len(run.log.epochs)) if run.kind == "train" else "–",
                md(commit),
                str(run.log.foreign_lines),
                f"{run.absent_checkpoints} sealed, not kept here" if run.absent_checkpoints else "–",
            )
        )
    lines = grid(header, rows) if rows else ["No finished run."]
    resumed = [run for run in runs if run.resumptions]
    if resumed:
        lines += ["", "Interrupted and resumed; steps and epochs count from 0:", ""]
        lines += [f"- {link(run.folder, target)}: {resumptions(run)}" for run in resumed]
    unknown = [run for run in runs if run.env.missing]
    if unknown:
        lines += ["", "Not recorded, since it could not be found out:", ""]
        lines += [f"- {link(run.folder, target)}: {md('; '.join(run.env.missing))}" for run in unknown]
    if unfinished:
        lines += ["", "Unfinished, without a seal, and therefore not judged:", ""]
        lines += [f"- {link(folder, target)}" for folder in unfinished]
    return lines


def resumptions(run: Run) -> str:
    """Where the run went on, and what was another then, in full."""
    parts = [resumption(found) for found in run.resumptions]
    parts += [f"**on another footing**: {md(', '.join(run.env.resumed_on))}"] if run.env.resumed_on else []
    return "; ".join(parts)


def resumption(found: Resumption) -> str:
    parts = [
        f"resumed at step {found.step} (epoch {found.epoch}) from {md(found.checkpoint)} on {md(found.time)}",
        f"steps run again: {found.repeated_steps}",
    ]
    parts += [] if found.compile_time_s is None else [f"compiled again in {found.compile_time_s:.2f} s"]
    parts += [f"**changed**: {md(', '.join(found.changed))}"] if found.changed else []
    return ", ".join(parts)


def images(data: DataSet) -> str:
    kind = f"hash of {data.hash_kind}" if data.hash_kind else "no hash"
    return f"{data.images:,} images of {data.classes:,} classes ({kind})"


def published_logs(logs: Mapping[str, Log]) -> list[str]:
    header = ("File", "Records", "Foreign lines")
    rows = []
    for name, log in sorted(logs.items()):
        records = f"{len(log.epochs)} epochs" if log.epochs else "1 evaluation"
        if log.epochs:
            records += f", {log.epochs[0].epoch} to {log.epochs[-1].epoch}"
        rows.append((md(name), records, str(log.foreign_lines)))
    return [
        "Every published value that stands in a log was read from it again and agrees.",
        "",
        *grid(header, rows),
    ]


def definitions(figures: Sequence[Published]) -> list[str]:
    """What the verdicts mean, the rules in their own words, and how each figure is taken."""
    rules = {figure.rule.text: figure.rule for figure in figures}
    lines = [f"- Rule *{rule.kind}*. {md(text)}" for text, rule in rules.items()]
    for figure in figures:
        setting = figure.setting
        parts = [f"rule *{figure.rule.kind}*", f"published: {md(figure.statistic)}"]
        parts += [md(setting.software)] if setting.hardware else []
        note = f" {md(figure.note)}" if figure.note else ""
        lines.append(f"- *{md(figure.title)}*: {'; '.join(parts)}.{note}")
    return [VERDICTS, *lines]


if __name__ == "__main__":
    sys.exit(main())

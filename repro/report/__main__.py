"""Compare runs with the published figures: a page in Markdown, a page in HTML, and files for programs and papers.

    python -m repro.report                       # results/runs -> results/report.md, .html and files in results/report/
    python -m repro.report RUN RUN               # these run folders only
    python -m repro.report --update FILE.md      # also write the table between its markers
    python -m repro.report --check FILE.md       # write nothing; exit 1 if that table is out of date

Everything is made before anything is written, and each file replaces an older one as a whole. A run that cannot be
trusted is named, is in no table, and makes the exit code 2, and so does a comparison of make reproduce; 130 after
Ctrl-C. The arithmetic is in repro.published, repro.reproduction and repro.report.charts.
"""

import argparse
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import replace_file
from repro.markdown import read_table, write_table
from repro.published.compare import compare_runs
from repro.published.figures import read_published, verify_published
from repro.records.run_folder import list_folders, sort_folders
from repro.report import html_page, markdown_page, seed_table
from repro.report.authors_code import read_authors_part
from repro.report.charts.build import build_charts
from repro.report.charts.painter import Painter
from repro.report.exports.files import export_files
from repro.report.machine_checks import machine_checks
from repro.report.time_to_target import terminal_targets

MUCH = 10_000_000  # bytes of metrics, which take long enough to read for matplotlib to be loaded elsewhere


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = _read_options(argv)
    try:
        return _report(options)
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2
    except KeyboardInterrupt:
        tell("stopped by Ctrl-C: each file of the report is complete, either the old or the new one", file=sys.stderr)
        return 128 + signal.SIGINT


def _read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(prog="python -m repro.report", description="Published and measured figures.")
    add = parser.add_argument
    add("runs_named", metavar="RUN", nargs="*", type=Path, help="run folders (default: all in --runs)")
    add("--runs", type=Path, default=Path("results/runs"), help="folder of the run folders")
    add("--published", type=Path, default=Path("results/published"), help="folder of the published logs")
    add(
        "--out",
        type=Path,
        default=Path("results/report.md"),
        help="page to write; the page of the same name in HTML and the folder of that name lie beside it",
    )
    add("--checks", type=Path, default=Path("results"), help="folder of what check, fingerprint and reproduce found")
    add("--update", metavar="FILE", type=Path, help="also renew the table between the markers in FILE")
    add("--check", metavar="FILE", type=Path, help="write nothing, compare the table in FILE")
    return parser.parse_args(argv)


def _report(options: argparse.Namespace) -> int:
    out: Path = options.out
    if out.suffix != ".md":
        raise ReproError(f"--out: found {str(out)!r}, expected the name of a page that ends with .md")
    figures = read_published()
    logs = verify_published(figures, options.published)
    with Painter(aside=not options.check and _is_much(options.runs_named or [options.runs])) as painter:
        runs, unfinished, broken = sort_folders(options.runs_named or list_folders(options.runs))
        for problem in broken.values():
            tell_error(problem)
        claims = compare_runs(figures, runs)
        if options.check:
            drifted = _check_table(options.check, markdown_page.results_table(claims, options.check))
            return 2 if broken else drifted
        authors = read_authors_part(options.checks)
        if authors and authors.problem:
            tell_error(authors.problem)
        charts, figure_files = build_charts(runs, figures, logs, painter, authors.found if authors else None)
    beside: dict[str, str | bytes] = {**figure_files, **export_files(claims, runs)}
    html, folder = out.with_suffix(".html"), out.with_suffix("")
    made: dict[Path, str | bytes] = {
        out: markdown_page.markdown_report(claims, runs, unfinished, broken, logs, out, authors),
        html: html_page.html_report(
            *(claims, runs, unfinished, broken, logs, html, charts, beside), machine_checks(options.checks), authors
        ),
        **{folder / name: content for name, content in beside.items()},
    }
    for path, content in made.items():
        replace_file(path, content)
    if options.update:
        write_table(options.update, markdown_page.TABLE_NAME, markdown_page.results_table(claims, options.update))
    more = seed_table.terminal_seeds(runs) + terminal_targets(runs)
    tell(f"{markdown_page.terminal_table(claims)}\n{more}".removesuffix("\n"))
    tell(f"{html}: the same with curves and runs; {folder}: figures, tables and formats")
    tell(f"{out}: the whole table with sources, runs and reasons")
    return 2 if broken or (authors and authors.problem) else 0


def _is_much(folders: Iterable[Path]) -> bool:
    """Tell whether these run folders, or those in these folders, take a while to read."""
    metrics = (path for folder in folders for path in (folder / "metrics.jsonl", *folder.glob("*/metrics.jsonl")))
    return sum(path.stat().st_size for path in metrics if path.is_file()) > MUCH


def _check_table(path: Path, expected: str) -> int:
    """Return 0 if the table between the markers of `path` is `expected`, or 1."""
    if read_table(path, markdown_page.TABLE_NAME) == expected:
        return 0
    tell(f"{path}: the table of results is out of date; renew it with --update {path}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    run_tool(main)

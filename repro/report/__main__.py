"""Sets the runs beside the published figures, in a page of Markdown, a page of HTML, and files for programs and papers.

    python -m repro.report                       # results/runs -> results/report.md, .html and files in results/report/
    python -m repro.report RUN RUN               # these run folders only
    python -m repro.report --update README.md    # and put the table between its markers
    python -m repro.report --check README.md     # write nothing; exit 1 when that table is out of date

Everything is made before anything is written, and each file takes the place of an older one as a whole. Exit code 2
when a record cannot be trusted, 130 after Ctrl-C. No arithmetic is done here: see repro.published and
repro.report.charts.curves.
"""

import argparse
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repro.errors import ReproError
from repro.files import replace_file
from repro.markdown import read_table, write_table
from repro.published.compare import compare_runs
from repro.published.figures import read_published, verify_published
from repro.records.run_folder import read_folders, read_runs
from repro.report import html_page, markdown_page, seed_table
from repro.report.charts.build import charts
from repro.report.charts.painter import Painter
from repro.report.exports import files

MUCH = 10_000_000  # bytes of metrics: so many are read while matplotlib is loaded elsewhere


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m repro.report", description="Published and measured figures.")
    parser.add_argument("runs_named", metavar="RUN", nargs="*", type=Path, help="run folders (default: all in --runs)")
    parser.add_argument("--runs", type=Path, default=Path("results/runs"), help="folder of the run folders")
    parser.add_argument(
        "--published", type=Path, default=Path("results/published"), help="folder of the published logs"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/report.md"),
        help="page to write; the page of the same name in HTML and the folder of that name lie beside it",
    )
    parser.add_argument("--update", metavar="FILE", type=Path, help="also renew the table between the markers in FILE")
    parser.add_argument("--check", metavar="FILE", type=Path, help="write nothing, compare the table in FILE")
    options = parser.parse_args(argv)
    out: Path = options.out
    try:
        if out.suffix != ".md":
            raise ReproError(f"--out: found {str(out)!r}, expected the name of a page that ends with .md")
        figures = read_published()
        logs = verify_published(figures, options.published)
        with Painter(aside=not options.check and is_much(options.runs_named or [options.runs])) as painter:
            runs, unfinished = read_folders(options.runs_named) if options.runs_named else read_runs(options.runs)
            claims = compare_runs(figures, runs)
            if options.check:
                return check(options.check, markdown_page.table(claims, options.check))
            drawn, pictures = charts(runs, figures, logs, painter)
        beside = pictures | {name: text_bytes(text) for name, text in files.files(claims, runs).items()}
        html, folder = out.with_suffix(".html"), out.with_suffix("")
        made = {
            out: text_bytes(markdown_page.page(claims, runs, unfinished, logs, out)),
            html: text_bytes(html_page.page(claims, runs, unfinished, logs, html, drawn, beside)),
            **{folder / name: content for name, content in beside.items()},
        }
        write(made)
        if options.update:
            write_table(options.update, markdown_page.NAME, markdown_page.table(claims, options.update))
        print(markdown_page.summary(claims), seed_table.summary(runs), sep="\n", end="")
        print(f"{html}: the same with curves and runs; {folder}: figures, tables and formats")
        print(f"{out}: the whole table with sources, runs and reasons")
    except (ReproError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "stopped by Ctrl-C: every file of the report is the older one or the new one, as a whole", file=sys.stderr
        )
        return 128 + signal.SIGINT
    return 0


def is_much(folders: Iterable[Path]) -> bool:
    """Whether it takes a while to read these run folders, or what is in these folders of them."""
    metrics = (path for folder in folders for path in (folder / "metrics.jsonl", *folder.glob("*/metrics.jsonl")))
    return sum(path.stat().st_size for path in metrics if path.is_file()) > MUCH


def text_bytes(text: str) -> bytes:
    """UTF-8; half a character, which a record can hold and no file can, becomes a question mark."""
    return text.encode("utf-8", "replace")


def write(made: Mapping[Path, bytes]) -> None:
    """Each file takes the place of an older one as a whole."""
    for path, content in made.items():
        replace_file(path, content)


def check(path: Path, expected: str) -> int:
    """0 when the table between the markers of `path` is `expected`, or 1."""
    if read_table(path, markdown_page.NAME) == expected:
        return 0
    print(f"{path}: the table of results is out of date; renew it with --update {path}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

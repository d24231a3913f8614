"""Compare runs: what differs, where their numbers part, and by how much more than chance. `make compare A=... B=...`

    python -m repro.compare RUN RUN ...          # the first is A; terminal, results/compare.md and results/compare.html

A run need not be finished: one that still trains is read as far as it has come. Exit codes: 0 the trainings have the
same numbers, 1 they differ, 2 a run that can't be read or another mistake; 130 after Ctrl-C.
"""

from collections.abc import Sequence
from pathlib import Path

from repro.compare.comparison import compare_folders
from repro.compare.curves import comparison_charts
from repro.compare.html_page import html_comparison
from repro.compare.pages import markdown_comparison, terminal_comparison
from repro.compare.reading import read_compared
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import replace_file


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.compare", description="Compare runs with the first of them.")
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", type=Path, help="run folders, finished or not, or links to them")
    add("--target-top1", type=float, help="accuracy in percent, to which the time is compared (the runs' own)")
    add(
        "--out",
        type=Path,
        default=Path("results/compare.md"),
        help="page to write, and beside it in HTML (%(default)s)",
    )
    options = parser.parse_args(argv)
    out: Path = options.out
    try:
        if out.suffix != ".md":
            raise ReproError(f"--out: found {str(out)!r}, expected the name of a page that ends with .md")
        target: float | None = options.target_top1
        if target is not None and not 0 < target <= 100:
            raise ReproError(f"--target-top1: found {target:g}, expected an accuracy in percent, above 0 and up to 100")
        comparison = compare_folders(read_compared(options.runs), target)
        html = out.with_suffix(".html")
        pages = {
            out: markdown_comparison(comparison, out),
            html: html_comparison(comparison, comparison_charts(comparison), html),
        }
        for path, page in pages.items():
            replace_file(path, page)
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2
    tell(terminal_comparison(comparison))
    tell(f"\n{html}: the same with curves; {out}: the same with what each verdict rests on")
    return 0 if comparison.same else 1


if __name__ == "__main__":
    run_tool(main)

"""Set the authors' code on their stack beside ours, with statistics: `make reproduce`.

    python -m repro.authors.reproduce --published models/research/cv/hlg --repeat 5 --seeds "1 2 3 4 5"
    python -m repro.authors.reproduce --kept              # the page again, from the kept runs

Trains what is missing of their repetitions, of our seeds, and of a control that must come out *different*; keeps the
runs, without checkpoints, as one archive, and in results/reproduce a page, and what `make report` shows. Exit codes: 0
the verdict is *same* and the control *different*, 1 it is another one, 2 a mistake, or a program that fails, 130
Ctrl-C, 143 SIGTERM.
"""

import argparse
from collections.abc import Sequence
from functools import partial

from repro.authors.archive import pack_runs
from repro.authors.options import BUILD, KEEPS, RECIPE, add_options, job_of
from repro.authors.page import RUNS, kept_page, read_archive
from repro.authors.picture import draw_sides
from repro.authors.trainings import CONTROL, draw_data, repeat_theirs, train_ours
from repro.errors import CommandParser, ReproError, resumable, run_tool, tell
from repro.files import replace_file
from repro.markdown import columns
from repro.report.charts.page_picture import COLORS
from repro.reproduction.comparison import DIFFERENT, FEWEST, SAME, comparison_rows, verdict_of
from repro.reproduction.record import KEPT, RECORD, SIDES, record_text

PAGE = "report.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.authors.reproduce", description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--seeds", default="1 2 3 4 5", help='of our trainings ("%(default)s")')
    parser.add_argument("--kept", action="store_true", help="train nothing, make the page from the kept runs")
    options = parser.parse_args(argv)
    return resumable(partial(_compare, options), KEEPS)


def _compare(options: argparse.Namespace) -> int:
    """Train what is missing, keep it, and judge; return the exit code."""
    if not options.kept:
        seeds = _seeds(options.seeds)
        job = job_of(options, BUILD / SIDES[0])
        draw_data(RECIPE)
        ours = train_ours(RECIPE, seeds, BUILD / SIDES[1])
        control = train_ours(RECIPE, seeds[:FEWEST], BUILD / SIDES[2], CONTROL)  # it differs by far
        theirs = repeat_theirs(job, options.repeat)
        runs = ([it.folder for it in theirs], [run.folder for run in ours], [run.folder for run in control])
        pack_runs(KEPT / RUNS, dict(zip(SIDES, runs, strict=True)))
    found = read_archive(KEPT / RUNS)
    verdicts = verdict_of(found.measures), verdict_of(found.control_measures)
    replace_file(KEPT / PAGE, kept_page(found))
    replace_file(KEPT / RECORD, record_text(found))
    for colors in COLORS:
        replace_file(KEPT / f"{colors}.svg", draw_sides(found, colors))
    tell(columns(comparison_rows(found.measures)), f"verdict: {verdicts[0]}")
    tell(f"control: {verdicts[1]}, expected {DIFFERENT}", str(KEPT / PAGE))
    return 0 if verdicts == (SAME, DIFFERENT) else 1


def _seeds(text: str) -> list[int]:
    words = text.split()
    if not all(word.isdecimal() for word in words) or len(set(words)) < FEWEST:
        raise ReproError(f'--seeds: found {text!r}; allowed: {FEWEST} or more whole numbers, such as "1 2 3 4 5"')
    return [int(word) for word in words]


if __name__ == "__main__":
    run_tool(main)

"""Record how a recipe converges over many seeds, for `make check` to compare with.

    python -m repro.check.convergence build/convergence --update repro/check/README.md      # also: make convergence

Exit codes: 0 written, 2 the runs make no reference.
"""

from collections.abc import Sequence
from pathlib import Path

from repro.check.references import Reference, make_reference, write_reference
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.markdown import columns, grid, write_table
from repro.records.run_folder import read_runs

NAME = "convergence"  # of the table between the markers of a page
HEADER = ("Point", "Mean", "Deviation", "Least", "Largest", "A new run passes from", "to")


def convergence_table(reference: Reference) -> str:
    """Return the points of a reference as a Markdown table."""
    return "\n".join(grid(HEADER, _rows(reference))) + "\n"


def _rows(reference: Reference) -> list[tuple[str, ...]]:
    return [
        (p.title, *(f"{value:.3f}" for value in (p.mean, p.deviation, p.least, p.largest, p.low, p.high)))
        for p in reference.points
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.check.convergence", description=__doc__.splitlines()[0])
    parser.add_argument(
        "runs", metavar="FOLDER", type=Path, help="folder of run folders that differ in their seed alone"
    )
    parser.add_argument("--out", type=Path, default=Path("results/convergence"), help="folder of the references")
    parser.add_argument("--update", metavar="FILE", type=Path, help="also renew the table between the markers in FILE")
    options = parser.parse_args(argv)
    try:
        runs, unfinished = read_runs(options.runs)
        if unfinished:
            raise ReproError(
                f"{unfinished[0]}: not finished; remove it, or finish it: make train RESUME={unfinished[0]}"
            )
        reference = make_reference(runs, options.out)
        write_reference(reference)
        if options.update:
            write_table(options.update, NAME, convergence_table(reference))
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2
    tell(f"{reference.path}: {len(reference.seeds)} seeds, {reference.images} images to evaluate")
    tell(columns([tuple(name.lower() for name in HEADER), *_rows(reference)]))
    return 0


if __name__ == "__main__":
    run_tool(main)

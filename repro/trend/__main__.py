"""Show kept measurements by commit, and the first commit at which each moved: `make trend`.

    python -m repro.trend --trend results/baselines --out build/trend   # trend.md, light.svg, dark.svg

Any folder with files of `make baseline`, `make bench` and `make bench-cpu` and its like, however deep, such as what CI
has kept. Only readings of the
same machine are compared. Exit codes: 0 done, 2 a mistake.
"""

from collections.abc import Sequence
from pathlib import Path

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import replace_file
from repro.markdown import columns, grid, md
from repro.report.charts.page_picture import COLORS, show_picture
from repro.trend.moves import follow
from repro.trend.page import HEADER, draw_trend, rows
from repro.trend.readings import commit_order, read_readings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.trend", description=__doc__.splitlines()[0])
    parser.add_argument("--trend", type=Path, default=Path("results/baselines"), help="folder of the measurements")
    parser.add_argument("--out", type=Path, default=Path("build/trend"), help="folder of what is written")
    options = parser.parse_args(argv)
    try:
        readings, left_out = read_readings(options.trend)
        order = commit_order()
        unknown = sorted({reading.commit for reading in readings} - order.keys())
        left_out += [
            f"{commit[:12]}: no commit below HEAD here; git fetch --unshallow gets old ones" for commit in unknown
        ]
        lines = follow([reading for reading in readings if reading.commit in order], order)
        if not lines:
            raise ReproError("; ".join([f"{options.trend}: found no measurement of a commit", *left_out]))
        cells = list(rows(lines))
        made = {f"{page}.svg": draw_trend(lines, order, page) for page in COLORS}
        table = grid(HEADER, [[cell if "**" in cell else md(cell) for cell in row] for row in cells])
        made["trend.md"] = "\n".join(
            ["# Measures by commit", "", show_picture("", "Measures by commit."), "", *table, ""]
        )
        for name, text in made.items():
            replace_file(options.out / name, text)
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2
    tell(columns([HEADER, *([cell.replace("**", "") for cell in row] for row in cells)]))
    tell(*(f"left out: {text}" for text in left_out), f"{options.out}: {', '.join(made)}")
    return 0


if __name__ == "__main__":
    run_tool(main)

"""Make the front page's part of the kept results: a picture for light and for dark pages, and tables between markers.

    python -m repro.report.overview                       # results/overview/light.svg and dark.svg
    python -m repro.report.overview --update README.md    # also the tables between its markers

In the picture the line is the newest training in `kept`, and the band reaches from the lowest to the highest of those
in `seeds`; the control, trained on shuffled labels, shows what learning nothing looks like. The same runs give the same
bytes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import replace_file
from repro.markdown import write_table
from repro.records.schema import Run
from repro.report.charts.curves import Values
from repro.report.charts.page_picture import COLORS, draw_picture
from repro.report.front_page import KeptTrainings, measured_table, published_table, read_kept, report_excerpt

TABLES: dict[str, Callable[[Path], str]] = {  # by the name between the markers, made from the folder of the results
    "measured": measured_table,
    "published": lambda _: published_table(),
    "report-excerpt": report_excerpt,
}
STRETCHES = 24  # of the steps, each with the mean of its losses


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = CommandParser(prog="python -m repro.report.overview", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--results", metavar="FOLDER", type=Path, default=Path("results"), help="folder of the kept results")
    add("--out", metavar="FOLDER", type=Path, default=Path("results/overview"), help="folder of the two pictures")
    add("--update", metavar="FILE", type=Path, help="also renew the tables between the markers in FILE")
    options = parser.parse_args(argv)
    try:
        kept = read_kept(options.results)
        for page in COLORS:
            replace_file(options.out / f"{page}.svg", draw_overview(kept, page))
        for name, make in TABLES.items() if options.update else ():
            write_table(options.update, name, make(options.results))
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2
    tell(f"{options.out}: {' and '.join(f'{page}.svg' for page in COLORS)}")
    return 0


def draw_overview(kept: KeptTrainings, page: str) -> str:
    """Draw accuracy and loss of the kept trainings, in the colors of a light or a dark page, as SVG."""
    if len(kept.run.steps.loss) < STRETCHES:
        raise ReproError(f"{kept.run.folder}: found {len(kept.run.steps.loss)} steps, expected {STRETCHES} or more")
    epochs = np.arange(1, len(kept.run.log.epochs) + 1, dtype=np.float64)
    middles = (np.arange(STRETCHES) + 0.5) * len(epochs) / STRETCHES

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        _panel(left, epochs, _accuracy_pct, kept, page)
        left.set(title="Top-1 accuracy, %", xlabel="epoch", ylim=(0, 100), xticks=epochs)
        left.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.12))
        _panel(right, middles, _losses, kept, page)
        right.set(title="Training loss", xlabel="epoch", ylim=(0, None), xlim=(0, len(epochs)))

    title = "Accuracy and loss of the kept training, beside other seeds and shuffled labels"
    return draw_picture(page, "overview", title, draw)


def _panel(axes: Axes, x: Values, values: Callable[[Run], Values], kept: KeptTrainings, page: str) -> None:
    _, quiet, line, band = COLORS[page]
    each = np.array([values(other) for other in kept.seeds])
    named = f"seeds {', '.join(str(other.config.get('seed')) for other in kept.seeds)}: lowest to highest"
    axes.fill_between(x, each.min(axis=0), each.max(axis=0), color=band, alpha=0.35, linewidth=0, label=named)
    axes.plot(x, values(kept.run), color=line, linewidth=2, label=f"kept run, seed {kept.run.config.get('seed')}")
    axes.plot(x, values(kept.control), color=quiet, linewidth=1.2, linestyle=(0, (4, 2)), label="labels shuffled")


def _accuracy_pct(run: Run) -> Values:
    return np.array([100 * (epoch.accuracy or 0.0) for epoch in run.log.epochs])


def _losses(run: Run) -> Values:
    return np.array([part.mean() for part in np.array_split(np.asarray(run.steps.loss), STRETCHES)])


if __name__ == "__main__":
    run_tool(main)

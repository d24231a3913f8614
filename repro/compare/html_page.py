"""Write a comparison as one self-contained HTML page, with the report's templates and charts."""

from pathlib import Path

from repro.compare.comparison import FIGURES, Comparison, difference_groups, figure_rows, state_text
from repro.compare.pages import difference_header, difference_row
from repro.report.charts.build import PageCharts
from repro.report.html_page import page_environment
from repro.report.run_facts import known_facts, page_link, record_links, resumption_sentences

_TEMPLATES = Path(__file__).with_name("templates")


def html_comparison(comparison: Comparison, charts: PageCharts, target: Path) -> str:
    """Write the page for the file `target`. It holds no date, so that the same records give the same page."""
    return page_environment(_TEMPLATES).get_template("compare.html.j2").render(
        told=comparison.told(),
        figure_header=FIGURES,
        figures=list(figure_rows(comparison)),
        difference_header=difference_header(comparison),
        groups=[
            (effect.name.lower(), effect.value, [difference_row(one) for one in members])
            for effect, members in difference_groups(comparison)
        ],
        charts=charts,
        runs=[
            {
                "letter": letter,
                "link": page_link(run.folder, target),
                "state": state_text(run),
                "hardware": run.env.hardware,
                "software": run.env.software,
                "resumed": resumption_sentences(run),
                "facts": list(known_facts(run)),
                "files": record_links(run, target),
            }
            for letter, run in comparison.named
        ],
        drawn=[(label, page_link(run.folder, target)) for label, run in charts.series],
    )  # fmt: skip

"""Reports of run folders, with the published figures and logs that they are set beside."""

from pathlib import Path

from repro.published.compare import compare_runs
from repro.published.figures import read_published, verify_published
from repro.published.schema import Claim
from repro.records.schema import Run
from repro.report.__main__ import main
from tests.support import ROOT

PUBLISHED = ROOT / "results/published"
FIGURES = read_published()
LOGS = verify_published(FIGURES, PUBLISHED)


def run_report(runs: Path, out: Path, *options: object) -> int:
    """Run the program as `make report` does; returns its exit code."""
    places = ("--runs", runs, "--published", PUBLISHED, "--checks", out.parent, "--out", out)
    return main([*map(str, places), *map(str, options)])


def claims_of(*runs: Run) -> list[Claim]:
    """One claim for each published figure, by these runs."""
    return compare_runs(FIGURES, runs)

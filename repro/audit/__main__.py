"""Check that the figures of a run, or of any log, can all be true at once: `make audit`.

    python -m repro.audit                        # the published text and logs, to results/published/audit.md
    python -m repro.audit RUN_FOLDER OR_LOG ...  # any run, or any log in the published format

Exit codes: 0 nothing contradicts, 1 something does, 2 a record cannot be read. The published text contradicts itself
in places that are known, so its own audit ends with 0.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from repro.audit.consistency import Agreement, Check, Known, audit_log, known_of
from repro.audit.first_code import first_code_section
from repro.audit.published_text import audit_published
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import pointed_path, replace_file
from repro.markdown import columns, grid, md
from repro.published.document import read_statements
from repro.published.figures import read_published, verify_published
from repro.records.logs import read_log
from repro.records.run_folder import read_folders

PAGE = """\
# What was published, held against itself

Holds the figures of a run against each other: can they all be true at once?

Printed numbers are rounded: two contradict each other where they can't be the same however they were
rounded, and by how much is counted from there. Made by `make audit`.
"""
HEADER = ("Claim", "Check", "Numbers", "Verdict")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.audit", description="Can its figures all be true at once?")
    parser.add_argument("records", metavar="RUN_OR_LOG", nargs="*", type=Path, help="default: what was published")
    parser.add_argument("--published", type=Path, default=Path("results/published"), help="folder of published logs")
    parser.add_argument(
        "--check", action="store_true", help="write nothing, compare the kept audit of what was published"
    )
    options = parser.parse_args(argv)
    try:
        if options.records:
            return max([_audit_record(path) for path in options.records])
        return _audit_published_text(options.published, options.check)
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2


def _audit_record(path: Path) -> int:
    """Audit one record on the terminal; return 1 if something contradicts."""
    path = pointed_path(path)
    if path.is_dir():
        runs, unfinished = read_folders([path])
        if unfinished:
            raise ReproError(f"{path}: this run is not finished; give its log, which can be audited as it is")
        log, known = runs[0].log, known_of(runs[0])
    else:
        log, known = read_log(path), Known()
    checks = list(audit_log(log, known))
    if not checks:
        raise ReproError(f"{path}: found no epoch and no evaluation, expected a log in the published format")
    tell(f"{path}\n{columns(_rows(checks))}\n{_summary(checks)}")
    return int(any(check.agreement is Agreement.CONTRADICTORY for check in checks))


def _audit_published_text(folder: Path, check: bool) -> int:
    """Write the audit of what was published, or compare it with the one that is kept."""
    figures = read_published()
    checks = list(audit_published(read_statements(), figures, verify_published(figures, folder)))
    table = grid(HEADER, [[md(cell) for cell in row] for row in _rows(checks)[1:]])
    page = "\n".join([PAGE, *table, "", _summary(checks), "", *first_code_section(folder)])
    target = folder / "audit.md"
    if check:
        if target.read_text(encoding="utf-8") == page:
            return 0
        tell(f"{target}: out of date; run make audit", file=sys.stderr)
        return 1
    replace_file(target, page)
    tell(f"{columns(_rows(checks))}\n{_summary(checks)}\n{target}")
    return 0


def _rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    """Return the header and cells of the table."""
    cells = [
        (check.claim, check.check, check.numbers, check.agreement.value + (f" by {check.by}" if check.by else ""))
        for check in checks
    ]
    return [tuple(HEADER), *cells]


def _summary(checks: Sequence[Check]) -> str:
    """Count the checks of each outcome."""
    counts = [f"{sum(check.agreement is kind for check in checks)} {kind.value}" for kind in Agreement]
    return f"{len(checks)} checks: {', '.join(counts)}"


if __name__ == "__main__":
    run_tool(main)

"""What is generated in the project's pages: text between markers, each by its name, and the picture of the front page.

python -m tests.support.readme             # names what is out of date
python -m tests.support.readme --update    # writes it
"""

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

from repro.authors.page import front_table
from repro.check.baselines import read_baselines
from repro.check.convergence import NAME as CONVERGENCE
from repro.check.convergence import convergence_table
from repro.check.formats import as_text
from repro.check.judge import judge_run
from repro.check.references import read_references
from repro.markdown import grid, md, read_table, write_table
from repro.published.compare import compare_runs
from repro.published.figures import read_published
from repro.records.run_folder import read_runs
from repro.releases import stacks
from repro.releases import table as releases
from repro.releases.kept import read_kept_releases
from repro.report import overview
from repro.report.markdown_page import TABLE_NAME, results_table
from repro.reproduction.record import KEPT
from repro.stacks.releases import read_releases
from tests.benchmarks import speeds
from tests.drills.faults import drill
from tests.drills.numerics import example, planted
from tests.support import ROOT, migration, plan_check

ROOMS = ("*", "configs/*", "docker/*", "hlg/**/*", "repro/**/*", "tests/**/*", "results/*", "results/[bp]*/*")
WRITTEN = {ROOT / "results/report.md", ROOT / "results/compare.md"}  # by the programs, where they run
PAGES = sorted({page for room in ROOMS for page in ROOT.glob(f"{room}.md")} - WRITTEN)
MODULES = "modules/"  # and a folder: the modules in it


def check_excerpt() -> str:
    """What `make check` said of the kept short run, without what changed since the baseline."""
    run, baselines = read_runs(ROOT / "results/checked")[0][-1], ROOT / "results/baselines"
    judgment = judge_run(run, read_baselines(baselines), baselines, read_references(ROOT / "results/convergence"))
    return f"```\n{as_text(replace(judgment, changes=()))}\n```\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(grid(header, [tuple(map(md, row)) for row in rows])) + "\n"


def stacks_table() -> str:
    """The known releases of MindSpore."""
    return _table(stacks.HEADER, stacks.stack_rows(read_kept_releases(ROOT / "results/releases", read_releases())))


def releases_table() -> str:
    """The kept measurements of the known releases of MindSpore."""
    known = read_releases()
    kept = read_kept_releases(ROOT / "results/releases", known)
    default = next(iter(known))
    rows = releases.release_rows(kept, default, read_baselines(ROOT / "results/baselines"))
    return _table(releases.release_header(kept[default]), rows)


TABLES: dict[str, Callable[[], str]] = {  # by the name between a page's markers
    TABLE_NAME: lambda: results_table(
        compare_runs(read_published(), read_runs(ROOT / "results/kept")[0]), ROOT / "results/README.md"
    ),
    **{name: partial(make, ROOT / "results") for name, make in overview.TABLES.items()},
    "fingerprint-excerpt": example.excerpt,
    "check-excerpt": check_excerpt,
    "faults-excerpt": drill.excerpt,
    drill.NAME: drill.table,
    migration.NAME: migration.table,
    planted.NAME: planted.table,
    example.NAME: example.text,
    stacks.NAME: stacks_table,
    releases.NAME: releases_table,
    "reproduce": lambda: front_table(ROOT / KEPT),
    "plan": plan_check.page,
    "plan-error": plan_check.kept_table,
    CONVERGENCE: lambda: convergence_table(*read_references(ROOT / "results/convergence")),
    **speeds.TABLES,
}


def generated() -> Iterator[tuple[Path, str]]:
    """Each page with the name of each text that is generated in it."""
    for page in PAGES:
        for name in re.findall(r"^<!-- table: (\S+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE):
            yield page, name


def make_text(name: str) -> str:
    """What belongs between the markers of this name, whatever the width of this terminal."""
    with patch.dict(os.environ, COLUMNS="1000"):
        return modules(ROOT / name.removeprefix(MODULES)) if name.startswith(MODULES) else TABLES[name]()


def modules(folder: Path) -> str:
    """The first line of each module's docstring, or room's below the folder."""
    rows = []
    for path in sorted((*folder.glob("*.py"), *folder.glob("*/__init__.py"))):
        shown = path.parent if path.name == "__init__.py" else path
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if docstring and shown != folder:
            link = shown.relative_to(folder).as_posix()
            rows.append((f"[{md(link)}]({link})", re.sub(r"(\\`)+", "`", md(docstring.splitlines()[0].rstrip(":.")))))
    return "\n".join(grid(("Where", "What"), rows)) + "\n"


def main(update: bool) -> int:
    """Write what is generated, or compare it; returns the exit code."""
    stale = [(page, name, made) for page, name in generated() if read_table(page, name) != (made := make_text(name))]
    for page, name, made in stale:
        if update:
            write_table(page, name, made)
        print(f"{page.relative_to(ROOT)}: {name}: {'written' if update else 'out of date'}")
    return overview.main([]) if update else int(bool(stale))


if __name__ == "__main__":
    sys.exit(main("--update" in sys.argv[1:]))

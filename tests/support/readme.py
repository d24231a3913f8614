"""The README's tables that are made from the tests.

python -m tests.support.readme             # names those that are out of date
python -m tests.support.readme --update    # writes them
"""

import sys
from collections.abc import Callable

from repro.markdown import read_table, write_table
from tests.benchmarks import speeds
from tests.drills.faults import drill
from tests.drills.numerics import example, planted
from tests.support import ROOT, migration, plan_check

README = ROOT / "README.md"
TABLES: dict[str, Callable[[], str]] = {  # by the name between the README's markers
    drill.NAME: drill.table,
    migration.NAME: migration.table,
    planted.NAME: planted.table,
    example.NAME: example.text,
    "plan": plan_check.page,
    "plan-error": plan_check.kept_table,
    **speeds.TABLES,
}


def main(update: bool) -> int:
    """Write the tables, or compare them; returns the exit code."""
    stale = {name: made for name, make in TABLES.items() if read_table(README, name) != (made := make())}
    for name, made in stale.items() if update else ():
        write_table(README, name, made)
    for name in stale:
        print(f"{name}: {'written' if update else 'out of date'}")
    return int(bool(stale) and not update)


if __name__ == "__main__":
    sys.exit(main("--update" in sys.argv[1:]))

"""The README's example of a fingerprint, made of a kept one.

python -m tests.drills.numerics.example --update README.md
"""

import argparse
import json
import sys
from pathlib import Path

from hlg.fingerprint.bounds import Row
from hlg.fingerprint.table import conclusion, table
from repro.markdown import read_table, write_table
from tests.support import ROOT

NAME = "fingerprint"
KEPT = ROOT / "results/fingerprints/cpu_o0_graph.json"


def rows() -> list[Row]:
    """The kept rows as the program had them."""
    found = json.loads(KEPT.read_text(encoding="utf-8"))["rows"]
    names = ("area", "group", "name", "error", "bound", "source", "worst", "note")
    return [Row(**{name: row[name] for name in names}) for row in found]


def text() -> str:
    """What the program printed."""
    facts = json.loads(KEPT.read_text(encoding="utf-8"))
    return f"```\n{table(facts['title'], rows())}\n{conclusion(rows())}\n```\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills.numerics.example")
    parser.add_argument("--update", metavar="FILE", type=Path)
    parser.add_argument("--check", metavar="FILE", type=Path)
    options = parser.parse_args()
    if options.update:
        write_table(options.update, NAME, text())
    if options.check and read_table(options.check, NAME) != text():
        print(f"{options.check}: the example is out of date; renew it with --update", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

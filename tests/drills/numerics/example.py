"""The README's example of a fingerprint, made from a kept one."""

import json

from hlg.fingerprint.bounds import Row
from hlg.fingerprint.table import conclusion, table
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

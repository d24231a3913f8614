"""The example of a fingerprint in its page, made from a kept one."""

import json

from hlg.fingerprint.report import conclusion, fingerprint_table
from hlg.fingerprint.rows import FingerprintRow
from tests.support import ROOT

NAME = "fingerprint"
EXCERPT = (" " * 9, "forward: head", "backward: stage 1", "optimiser: step 3", "all ")  # what its lines begin with
KEPT = ROOT / "results/fingerprints/cpu_o0_graph.json"


def text() -> str:
    """What the program printed."""
    facts = json.loads(KEPT.read_text(encoding="utf-8"))
    rows = [FingerprintRow(**{key: row[key] for key in row if key != "verdict"}) for row in facts["rows"]]
    return f"```\n{fingerprint_table(facts['title'], rows)}\n{conclusion(rows)}\n```\n"


def excerpt() -> str:
    """Six lines of it."""
    mark, title, *lines, end = text().splitlines()
    return "\n".join((mark, title, *(line for line in lines if line.startswith(EXCERPT)), end)) + "\n"

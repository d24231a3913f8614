"""Compare two fingerprints, of machines, versions or precisions. ``make fingerprint-diff A=... B=...``

python -m repro.fingerprint_diff results/fingerprint/cpu_o0_graph.json other.json

Needs no MindSpore. Prints what differs between the two environments, the rows whose errors or verdicts differ, and the
first row that is within its bound in one and not in the other, or that only one of them has.
Exit codes: 0 the same verdict in every row, 1 not, 2 a file that is no fingerprint.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.markdown import columns
from repro.records.fingerprint import Fingerprint, KeptRow, read_fingerprint

FACTOR = 2  # errors that differ by more than this factor are shown although both are within bounds


def differing_facts(a: Fingerprint, b: Fingerprint) -> list[tuple[str, str, str]]:
    """The facts that differ: name, in the first, in the second."""
    names = list(dict.fromkeys([*a.facts, *b.facts]))
    both = [(name, a.facts.get(name, "-"), b.facts.get(name, "-")) for name in names]
    return [(name, left, right) for name, left, right in both if left != right]


def _all_labels(a: Fingerprint, b: Fingerprint) -> list[str]:
    """The rows of both, in the order of the first."""
    return list(dict.fromkeys([*a.rows, *b.rows]))


def first_difference(a: Fingerprint, b: Fingerprint) -> str | None:
    """The first row whose verdict is not the same, or that one of them lacks."""
    return next((name for name in _all_labels(a, b) if _verdict(a, name) != _verdict(b, name)), None)


def _verdict(of: Fingerprint, label: str) -> str:
    return of.rows[label].verdict if label in of.rows else "missing"


def _differ(a: KeptRow | None, b: KeptRow | None) -> bool:
    """Whether two rows differ so much that a reader wants to see them."""
    if a is None or b is None or a.verdict != b.verdict:
        return True
    if a.error is None or b.error is None:
        return False
    if a.verdict == "out":
        return True
    if not (math.isfinite(a.error) and math.isfinite(b.error)):
        return a.error != b.error
    return max(a.error, b.error) > FACTOR * min(a.error, b.error) and max(a.error, b.error) > 0


def compare_fingerprints(a: Fingerprint, b: Fingerprint, every: bool = False) -> str:
    """Describe how two fingerprints differ, as text.

    Args:
        a, b: The fingerprints.
        every: Show every row, not only those that differ.
    """
    lines = [f"A: {a.title}  ({a.path})", f"B: {b.title}  ({b.path})", ""]
    facts = differing_facts(a, b)
    lines += ["what differs:", columns([("", "A", "B"), *facts])] if facts else ["no fact of the environment differs"]
    shown = [name for name in _all_labels(a, b) if every or _differ(a.rows.get(name), b.rows.get(name))]
    same = len(_all_labels(a, b)) - len(shown)
    if shown:
        lines += ["", columns([("row", "A", "", "B", ""), *((n, *_cells(a, n), *_cells(b, n)) for n in shown)])]
    if same:
        lines.append(f"{same} rows with the same verdict and errors within a factor of {FACTOR} are not shown (--all)")
    first = first_difference(a, b)
    lines += ["", f"they part first at: {first}" if first else "the same verdict in every row"]
    return "\n".join(lines)


def _cells(of: Fingerprint, label: str) -> tuple[str, str]:
    row = of.rows.get(label)
    return ("-" if row is None or row.error is None else f"{row.error:.1e}"), _verdict(of, label)


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = CommandParser(prog="python -m repro.fingerprint_diff", description="Compare two fingerprints.")
    parser.add_argument("a", metavar="A", type=Path, help="JSON file of a fingerprint")
    parser.add_argument("b", metavar="B", type=Path, help="another one")
    parser.add_argument("--all", action="store_true", help="show every row")
    options = parser.parse_args(argv)
    try:
        a, b = read_fingerprint(options.a), read_fingerprint(options.b)
    except ReproError as error:
        tell_error(error)
        return 2
    tell(compare_fingerprints(a, b, options.all))
    return 1 if first_difference(a, b) else 0


if __name__ == "__main__":
    run_tool(main)

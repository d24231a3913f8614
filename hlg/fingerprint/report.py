"""Report a fingerprint: a short table, the first row out of bounds, its probable cause, the exit code."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import yaml

from hlg.fingerprint.rows import ROWS, THE_REST, FingerprintRow

SAME_FACTOR = "loss scaling is not undone, or ranks are summed where the mean belongs."


def _read_causes() -> dict[str, dict[str, str]]:
    """The sentences of ``causes.yml`` by area and row.

    Raises:
        ValueError: a row has none, or one is for no row.
    """
    causes = yaml.safe_load(Path(__file__).with_name("causes.yml").read_text(encoding="utf-8"))
    wanted = {(area, name) for area, parts in ROWS.items() for _, name in parts}
    if wrong := wanted.symmetric_difference((area, name) for area, names in causes.items() for name in names):
        raise ValueError(f"causes.yml does not match hlg/fingerprint/rows.py at {', '.join(map(': '.join, wrong))}")
    return causes


_CAUSES = _read_causes()


def probable_cause(row: FingerprintRow) -> str:
    """Name the probable cause if this row is the first one out of bounds."""
    text = _CAUSES.get(row.area, {}).get(row.name) or "not known; run make fingerprint to look closer."
    if not row.note:
        return text
    return f"{row.note[0].upper()}{row.note[1:]}: {SAME_FACTOR if row.area == 'backward' else text}"


def fingerprint_table(title: str, rows: Sequence[FingerprintRow]) -> str:
    """The rows as text. Rows of a stage that are all within bounds share the line of the one nearest its bound."""
    lines = [title, f"{'':<44}{'error':>9}{'bound':>9}"]
    for (area, stage), together in groupby(rows, key=lambda row: (row.area, row.group.partition(" block")[0])):
        group = list(together)
        if len(group) > 1 and stage and all(row.ok and row.done for row in group):
            nearest = max(group, key=_nearness)
            where = nearest.label.removeprefix(f"{area}: {stage}").strip(": ")
            lines.append(_line(f"{area}: {stage}, {len(group)} rows", nearest, f"nearest: {where}"))
        else:
            lines += [_line(row.label, row, row.note if row.ok else row.worst) for row in group]
    return "\n".join(lines)


def conclusion(rows: Sequence[FingerprintRow]) -> str:
    """Conclude in a few lines what was found and what to do."""
    out = [row for row in rows if not row.ok]
    undone = [row for row in rows if not row.done]
    done = len(rows) - len(undone)
    if out:
        lines = [f"{len(out)} of {done} rows out of bounds, the first: {out[0].label}"]
        lines.append(f"probable cause: {probable_cause(out[0])}")
    else:
        lines = [f"all {done} rows within bounds"]
    for note, same in groupby(undone, key=lambda row: row.note):
        lines.append(f"not done: {', '.join(row.label for row in same)}: {note}")
    return "\n".join(lines)


def exit_code(rows: Sequence[FingerprintRow]) -> int:
    """0: all within bounds, 1: not, 3: within bounds, but the device could not compute all."""
    if any(not row.ok for row in rows):
        return 1
    return 3 if any(row.name == THE_REST for row in rows) else 0


def _nearness(row: FingerprintRow) -> float:
    """The row's error as a share of its bound."""
    if row.error is None or not row.bound:
        return 0.0
    return row.error / row.bound


def _line(label: str, row: FingerprintRow, remark: str) -> str:
    if row.error is None or row.bound is None:
        return f"{label:<44}{'-' if row.error is None else format(row.error, '.1e'):>9}{'-':>9}  not done"
    return f"{label:<44}{row.error:>9.1e}{row.bound:>9.1e}  {'ok' if row.ok else 'OUT'}  {remark}".rstrip()

"""The fingerprint as a short table: a line a group, and more where something is out of bounds."""

from collections.abc import Sequence
from itertools import groupby

from hlg.fingerprint.bounds import Row


def table(title: str, rows: Sequence[Row]) -> str:
    """The rows as text. Those of a stage share a line, of the one nearest its bound, while all are within bounds."""
    lines = [title, f"{'':<44}{'error':>9}{'bound':>9}"]
    for fold, together in groupby(rows, key=_fold):
        group = list(together)
        if len(group) > 1 and fold[1] and all(row.ok and row.done for row in group):
            nearest = max(group, key=_nearness)
            where = nearest.label.removeprefix(f"{': '.join(fold)}").strip(": ")
            lines.append(_line(f"{': '.join(fold)}, {len(group)} rows", nearest, f"nearest: {where}"))
        else:
            lines += [_line(row.label, row, "" if row.ok else row.worst) for row in group]
    return "\n".join(lines)


def conclusion(rows: Sequence[Row]) -> str:
    """What a reader is to do, in a sentence or a few."""
    out = [row for row in rows if not row.ok]
    left = [row for row in rows if not row.done]
    lines = []
    if out:
        first = out[0]
        lines.append(f"{len(out)} of {len(rows) - len(left)} rows out of bounds, the first: {first.label}")
        lines.append(f"probable cause: {first.cause}")
    else:
        lines.append(f"all {len(rows) - len(left)} rows within bounds")
    for note, same in groupby(left, key=lambda row: row.note):
        lines.append(f"not done: {', '.join(row.label for row in same)}: {note}")
    return "\n".join(lines)


def _fold(row: Row) -> tuple[str, str]:
    """Area and stage."""
    return row.area, row.group.partition(" block")[0]


def _nearness(row: Row) -> float:
    if row.error is None or not row.bound:
        return 0.0
    return row.error / row.bound


def _line(label: str, row: Row, remark: str) -> str:
    if row.error is None or row.bound is None:
        return f"{label:<44}{'-' if row.error is None else format(row.error, '.1e'):>9}{'-':>9}  not done"
    return f"{label:<44}{row.error:>9.1e}{row.bound:>9.1e}  {'ok' if row.ok else 'OUT'}  {remark}".rstrip()

"""Profile which operators the time goes to, with MindSpore's own profiler."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mindspore.profiler import ProfilerActivity, profile, tensorboard_trace_handler

from hlg.errors import UserError

ACTIVITIES = {"CPU": ProfilerActivity.CPU, "GPU": ProfilerActivity.GPU, "Ascend": ProfilerActivity.NPU}
TABLE = "operators.csv"
SHOWN = 25
WIDTH = 32  # of a name on a terminal: that of a fused kernel lists what it fuses


@contextmanager
def profiled(folder: Path, target: str) -> Iterator[None]:
    """Profile what runs in this context; write MindSpore's files and a table of the operators to ``folder``.

    Raises:
        UserError: the folder is not empty: the profile of another run would be mixed in.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: is not empty; name another folder for the profile, or remove it")
    activities = [ProfilerActivity.CPU] if target == "CPU" else [ProfilerActivity.CPU, ACTIVITIES[target]]
    with profile(activities=activities, on_trace_ready=tensorboard_trace_handler(str(folder))):
        yield
    write_operator_table(folder)


def write_operator_table(folder: Path) -> list[dict[str, str]]:
    """Sum the times of each type of operator on the host: the rows of ``operators.csv``, the costliest first.

    On Ascend and GPU the devices' own times stand in MindSpore's files beside it.
    """
    calls: defaultdict[str, int] = defaultdict(int)
    times: defaultdict[str, float] = defaultdict(float)
    for file in folder.rglob("cpu_op_detail_info_*.csv"):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                calls[row["op_type"]] += int(row["op_occurrences"])
                times[row["op_type"]] += float(row["op_total_time(ms)"])
    total = sum(times.values())
    rows = [
        {"operator": name, "calls": str(calls[name]), "total_ms": f"{ms:.3f}", "share_pct": f"{100 * ms / total:.2f}"}
        for name, ms in sorted(times.items(), key=lambda item: -item[1])
    ]
    if not rows:
        raise UserError(f"{folder}: MindSpore's profiler wrote no operator times there")
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def costliest(folder: Path, steps: int) -> str:
    """Format the head of the table for a terminal, with times and calls of one of ``steps`` steps."""
    with (folder / TABLE).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    head = f"{'operator':{WIDTH}} {'calls':>7} {'ms a step':>10} {'share':>7}"
    body = [
        f"{_shortened(row['operator']):{WIDTH}} {int(row['calls']) / steps:7.0f} "
        f"{float(row['total_ms']) / steps:10.2f} {row['share_pct']:>6} %"
        for row in rows[:SHOWN]
    ]
    return "\n".join([head, *body, f"all {len(rows)} types: {folder / TABLE}"])


def _shortened(name: str) -> str:
    half = WIDTH // 2
    return name if len(name) <= WIDTH else f"{name[: half - 1]}…{name[-half:]}"

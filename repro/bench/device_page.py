"""Write the tables of a device: for a terminal and in Markdown, from what `repro.bench.record` has put together."""

from collections.abc import Mapping, Sequence
from typing import Any

from repro.bench.record import CHANGED
from repro.markdown import columns, grid, md

HEADER = (
    *("Work", "Images", "Precision", "Batch", "Cards", "Images/s", "Median", "p95", "p99", "Of O0", "Scaling"),
    *("GFLOP/s", "Of peak", "Memory", "On the device"),
)
BESIDE = ("Published", "On", "Published time", "a card", "Nearest here", "Mean time", "a card", "Differs in")
NOTES = (
    "Times are of a batch: a training step, or the latency of an inference, each until its result is back on the host; "
    "median, 95th and 99th percentile by nearest rank, so that of fewer than 100 the last is the slowest. Images/s are "
    "of all cards over all batches.",
    "Of O0: images/s as a multiple of float32's. Scaling: images/s over those of one card times the cards, each card "
    "with this batch. Memory: the most that rank 0 had resident, and what MindSpore's pool gave out on its device.",
    "Images: random numbers, the same at each step, on the device where it keeps them; or files, read, decoded, "
    "augmented and handed over, with the wait for them in the time.",
)
CPU_NOTE = (
    "On a CPU a card is a rank; all ranks share the cores and their peak, so that scaling by 1/n is the most to expect "
    "of n ranks where one already uses all cores."
)
Record = Mapping[str, Any]


def device_rows(record: Record) -> list[tuple[str, ...]]:
    """Return a row of text for each configuration."""
    return [_cells(row) for row in record["rows"]]


def _cells(row: Record) -> tuple[str, ...]:
    what = (row["work"], row["images"], row["precision"], str(row["batch"]), str(row["cards"]))
    if "failed" in row:
        return *what, "failed (1)", *[""] * (len(HEADER) - len(what) - 1)
    return (
        *what,
        _digits(row["images_per_s"]),
        *(f"{_digits(row[key])} ms" for key in ("median_ms", "p95_ms", "p99_ms")),
        "" if row["precision"] == "O0" else _scaled(row["of_o0"], 1, "{:.2f} x"),
        "" if row["cards"] == 1 else _scaled(row["efficiency"], 100, "{:.0f} %"),
        _digits(row["flops_per_s"] / 1e9),
        _scaled(row["share_of_peak"], 100, "{:.1f} %"),
        f"{row['resident_bytes'] / 1e9:.2f} GB",
        "–" if row["device_bytes"] is None else f"{row['device_bytes'] / 1e9:.2f} GB",
    )


def _digits(value: float) -> str:
    """Format a number with four digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _scaled(value: float | None, scale: int, form: str) -> str:
    return "–" if value is None else form.format(scale * value)


def beside_rows(record: Record) -> list[tuple[str, ...]]:
    """Return a row for each published time, with what comes nearest here."""
    rows: list[tuple[str, ...]] = []
    for one in record["published"]:
        told = (one["title"], one["published_on"], f"{one['published_ms']:g} ms", _rate(one["published_per_card"]))
        if "row" not in one:
            rows.append((*told, "not measured", "", "", ""))
            continue
        row = one["row"]
        here = f"{row['cards']} x {record['device']}, {row['batch']} images each, {row['precision']}"
        own = (here, f"{_digits(one['mean_ms'])} ms", _rate(one["per_card"]))
        rows.append((*told, *own, ", ".join(one["differs"]) or "nothing that is checked here"))
    return rows


def _rate(images_per_s: float) -> str:
    return f"{_digits(images_per_s)} images/s"


def device_notes(record: Record) -> list[str]:
    """Return the sentences below the table: what the peaks are, and what failed."""
    peaks = [
        f"{level}: {peak['flops_per_s'] / 1e12:,.4g} TFLOP/s, {peak['source']}"
        for level, peak in record["peaks"].items()
    ]
    each = "all cores together" if record["target"] == "CPU" else "each card"
    notes = [f"Peak of {each}: {'; '.join(peaks) or 'not known'}."]
    failed = [(row, row["failed"]) for row in record["rows"] if "failed" in row]
    for row, why in failed:
        notes.append(f"(1) {row['work']}, {row['images']}, {row['precision']}, {row['batch']} x {row['cards']}: {why}")
    return [*notes, *([CPU_NOTE] if record["target"] == "CPU" and len(_cards(record)) > 1 else [])]


def _cards(record: Record) -> set[int]:
    return {row["cards"] for row in record["rows"]}


def device_title(record: Record) -> str:
    """Say on one line what was measured on what, when, by which code."""
    cores = f", {record['cpu']['cores']} cores" if record["target"] == "CPU" else ""
    keys = f", {' '.join(record['keys'])}" if record["keys"] else ""
    commits = [f"{commit[:9]}{CHANGED if commit.endswith(CHANGED) else ''}" for commit in record["commits"]]
    code = f"MindSpore {record['packages'].get('mindspore')}, commit {', '.join(commits)}"
    return f"{record['device']}{cores}: {record['steps']} batches each{keys}; {code}; {record['measured']}"


def terminal_page(record: Record) -> str:
    """Write the tables for a terminal."""
    tables = [columns([HEADER, *device_rows(record)]), "\n".join(device_notes(record))]
    return "\n\n".join([device_title(record), *tables, columns([BESIDE, *beside_rows(record)])])


def markdown_tables(record: Record) -> str:
    """Write title, tables and notes in Markdown."""
    parts = [[f"{md(device_title(record))}."], _grid(HEADER, device_rows(record)), _grid(BESIDE, beside_rows(record))]
    parts.append([f"- {md(note)}" for note in (*device_notes(record), *NOTES)])
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return grid(header, [tuple(map(md, row)) for row in rows])

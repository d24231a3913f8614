"""Put all measurements of a device together: what `make bench-cpu` and its like write as JSON and as tables."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from repro.bench.measurement import Chip, DeviceMeasurement, arithmetic, find_chip, time_facts
from repro.bench.sweep import TARGETS, Configuration, Sweep
from repro.published.figures import read_published
from repro.published.schema import Published
from repro.records.run_folder import cpu_name

FORMAT = 1
CHANGED = "-changed"  # behind a commit whose files were changed
SHOWN = {"train_step_time": "training", "eval_gpu_step_time": "inference"}  # published figures, and the work they time

Found = Mapping[Configuration, DeviceMeasurement]


def make_record(sweep: Sweep, found: Found, failed: Mapping[Configuration, str]) -> dict[str, Any]:
    """Return everything that is known after a sweep, as JSON; `failed` has a reason for what could not be measured."""
    first = next(iter(found.values()))
    name = str(first.environment["device"]["names"][0])
    chip = find_chip(name) if sweep.device != "cpu" else None
    peaks = _peaks(found, chip)
    rows = [_row(one, found.get(one), failed.get(one), found, peaks) for one in _sorted(sweep.configurations())]
    return {
        "format": FORMAT,
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": cpu_name("cpu", first.environment["cpu"]) if sweep.device == "cpu" else name,
        "target": TARGETS[sweep.device],
        "cpu": first.environment["cpu"],
        "packages": first.environment["packages"],
        "commits": sorted({_commit(one.environment) for one in found.values()}),
        "steps": sweep.steps,
        "keys": list(sweep.keys),
        "peaks": peaks,
        "rows": rows,
        "published": [
            _beside(figure, SHOWN[figure.key], rows, first.environment)
            for figure in read_published()
            if figure.key in SHOWN
        ],
    }


def _commit(environment: Mapping[str, Any]) -> str:
    return f"{environment.get('commit') or 'unknown'}{CHANGED if environment.get('dirty') else ''}"


def _sorted(configurations: Iterable[Configuration]) -> list[Configuration]:
    """Put precisions beside each other, and below each other what scales."""
    return sorted(
        configurations, key=lambda one: (one.work != "training", one.files, one.batch, one.cards, one.precision)
    )


def _peaks(found: Found, chip: Chip | None) -> dict[str, dict[str, Any]]:
    """Return by precision what one card, or all of a CPU, can do at most: published, or a product that was measured."""
    peaks = {}
    for precision in dict.fromkeys(one.precision for one in found):
        kind = arithmetic(precision)
        if chip and kind in chip.peaks:
            peaks[precision] = {"flops_per_s": chip.peaks[kind], "source": chip.source}
        elif alone := [
            m.product_flops_per_s for one, m in found.items() if (one.precision, one.cards) == (precision, 1)
        ]:
            peaks[precision] = {
                "flops_per_s": max(alone),
                "source": f"measured: MindSpore's product of matrices in {kind}",
            }
    return peaks


def _row(
    one: Configuration, measured: DeviceMeasurement | None, failed: str | None, found: Found, peaks: Mapping[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "work": one.work,
        "images": "files" if one.files else "random",
        "precision": one.precision,
        "batch": one.batch,
        "cards": one.cards,
    }
    if measured is None:
        return {**row, "failed": failed or "not measured"}
    # All ranks share a CPU, so that their peak is one, however many there are.
    devices = 1 if measured.environment["device"]["target"] == "CPU" else one.cards
    peak = devices * peaks.get(one.precision, {}).get("flops_per_s", 0)
    return {
        **row,
        "steps": len(measured.times_s),
        "images_per_s": measured.images_per_s,
        **time_facts(measured.times_s),
        "of_o0": _ratio(measured, found.get(_other(one, precision="O0"))),
        "efficiency": _ratio(measured, found.get(_other(one, cards=1)), one.cards),
        "flops_per_s": measured.flops_per_s,
        "share_of_peak": measured.flops_per_s / peak if peak else None,
        "resident_bytes": measured.resident_bytes,
        "device_bytes": measured.device_bytes,
        "compile_s": measured.compile_s,
    }


def _other(one: Configuration, precision: str = "", cards: int = 0) -> Configuration:
    return Configuration(one.work, one.files, precision or one.precision, one.batch, cards or one.cards)


def _ratio(measured: DeviceMeasurement, base: DeviceMeasurement | None, times: int = 1) -> float | None:
    return measured.images_per_s / base.images_per_s / times if base else None


def _beside(
    figure: Published, work: str, rows: Iterable[Mapping[str, Any]], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Set a published time beside the row that differs least in how it was measured."""
    setting, cards = figure.setting, figure.setting.count or 1
    batch = setting.workload["batch_size" if work == "training" else "eval_batch_size"]
    facts = {
        "title": figure.title,
        "published_ms": figure.value,
        "published_on": f"{cards} x {setting.hardware}, {batch} images each, {setting.workload['amp_level']}",
        "published_per_card": 1000 * batch / figure.value,
    }

    plain = {"".join(one.split()).casefold() for one in setting.devices}
    always = [] if "".join(environment["device"]["names"][0].split()).casefold() in plain else ["hardware"]
    varied = {"batch_size", "eval_batch_size", "amp_level"}
    config = environment["config"]
    always += [key for key, value in setting.workload.items() if key not in varied and config.get(key) != value]

    def differs(row: Mapping[str, Any]) -> list[str]:
        pairs = {
            "batch": (row["batch"], batch),
            "cards": (row["cards"], cards),
            "precision": (row["precision"], setting.workload["amp_level"]),
            "images": (row["images"], "files"),
        }
        return always + [what for what, (own, other) in pairs.items() if own != other]

    measured = [row for row in rows if row["work"] == work and "failed" not in row]
    if not measured:
        return facts
    row = min(measured, key=lambda row: (len(differs(row)), abs(row["batch"] - batch), -row["cards"]))
    return {
        **facts,
        "row": {key: row[key] for key in ("work", "images", "precision", "batch", "cards")},
        "mean_ms": 1000 * row["batch"] * row["cards"] / row["images_per_s"],
        "per_card": row["images_per_s"] / row["cards"],
        "differs": differs(row),
    }

"""Write measured figures for github-action-benchmark: `customSmallerIsBetter` and `customBiggerIsBetter`.

A name holds recipe and hardware, so that no line of a chart leads from one to another. Figures without a better
direction are left out, and so are values that are not finite, for which the action refuses a file.
"""

import math
import re
from collections.abc import Iterable

from repro.published.schema import Claim, Measured, Published
from repro.records.schema import Run
from repro.report import phrases
from repro.report.exports.csv_json import json_text
from repro.report.run_values import config_name, tidy

_PUBLISHED_SETTING = re.compile(r" on (GPU|Ascend)$|, batch \d+$")  # of a title; what was measured has its own


def benchmark_text(claims: Iterable[Claim], better: str) -> str | None:
    """Write the measured figures for which `better` is "lower" or "higher"; None without one."""
    entries = [
        _entry(claim, claim.run, claim.measured)
        for claim in claims
        if claim.run and claim.measured and math.isfinite(claim.measured.value)
        if claim.figure.rule.kind != "unjudged" and claim.figure.rule.better == better
    ]
    # Two published figures may be measured by one value, which is one line of a chart.
    return json_text([*{entry["name"]: entry for entry in entries}.values()]) if entries else None


def _entry(claim: Claim, run: Run, measured: Measured) -> dict[str, object]:
    figure = claim.figure
    on = f"{config_name(run) or 'recipe not recorded'}, {run.env.hardware}"
    entry: dict[str, object] = {
        "name": " ".join(f"{_PUBLISHED_SETTING.sub('', figure.title)} ({on})".split()),
        "unit": figure.unit,
        "value": tidy(measured.value),
        "extra": _extra(claim, run, measured),
    }
    return entry | _range(figure, measured)


def _range(figure: Published, measured: Measured) -> dict[str, str]:
    """Return the standard deviation between epochs, if there is one."""
    if measured.spread is None or not math.isfinite(measured.spread):
        return {}
    return {"range": f"± {measured.spread:.{figure.decimals + 1}f}"}


def _extra(claim: Claim, run: Run, measured: Measured) -> str:
    row = phrases.figure_row(claim)
    lines = [f"published: {row.published}", f"verdict: {row.verdict}{f': {row.topics}' if row.topics else ''}"]
    lines += [f"measured: {measured.n}", *claim.evidence]
    lines += [f"run: {run.folder.name}", f"software: {run.env.software}", f"commit: {phrases.commit_text(run)}"]
    return "\n".join(" ".join(line.split()) for line in lines)

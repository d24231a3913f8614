"""Write a judgment as text for a terminal, as Markdown, JUnit XML and JSON."""

import json
import platform
import re
from xml.etree import ElementTree

from repro.check.judge import Judgment
from repro.check.measurements import step_speed
from repro.check.workload import environment_of
from repro.errors import shown_name
from repro.markdown import columns, grid, md
from repro.published.schema import Verdict

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_NEVER = "1970-01-01T00:00:00Z"  # where a run does not say when it was started


def _headline(judgment: Judgment) -> str:
    """Say the verdict in one sentence."""
    against = f"baseline {judgment.baseline.path.stem}" if judgment.baseline else "no baseline that fits"
    return f"{judgment.verdict.value}: {judgment.run.folder.name} against {against}"


def as_text(judgment: Judgment) -> str:
    """Return the findings and the verdict as lines for a terminal."""
    lines = [columns([(found.name, found.verdict.value, found.reason) for found in judgment.findings])]
    lines += ["changed since the baseline:", *(f"  {text}" for text in judgment.changes)] if judgment.changes else []
    return "\n".join([*lines, _headline(judgment)])


def as_markdown(judgment: Judgment) -> str:
    """Return the findings as Markdown, for the summary page of a CI job."""
    rows = [(found.name, f"**{found.verdict.value}**", md(found.reason)) for found in judgment.findings]
    lines = [f"### {md(_headline(judgment))}", "", *grid(("What", "Verdict", "Why"), rows), ""]
    if judgment.changes:
        lines += ["Changed since the baseline:", "", *(f"- {md(text)}" for text in judgment.changes), ""]
    return "\n".join(lines)


def as_junit(judgment: Judgment) -> str:
    """Return JUnit XML: a test case for each finding, skipped with the reason if it cannot be compared.

    Time stamp, host and times are there because older readers ask for them: when the run was started, and how long it
    trained.
    """
    run = judgment.run
    verdicts = [found.verdict for found in judgment.findings]
    started = str(run.env.facts.get("started"))
    suite = ElementTree.Element(
        "testsuite",
        name=shown_name(f"check {run.folder.name}"),
        timestamp=(started if _TIME.fullmatch(started) else _NEVER).removesuffix("Z"),
        hostname=shown_name(platform.node()) or "localhost",
        time=f"{run.log.training_time_s or 0:.3f}",
        tests=str(len(verdicts)),
        failures=str(verdicts.count(Verdict.WORSE)),
        errors="0",
        skipped=str(verdicts.count(Verdict.INCOMPARABLE) + verdicts.count(Verdict.NOT_MEASURED)),
    )
    if judgment.changes:
        properties = ElementTree.SubElement(suite, "properties")
        for text in judgment.changes:
            ElementTree.SubElement(properties, "property", name="changed", value=shown_name(text))
    for found in judgment.findings:
        case = ElementTree.SubElement(suite, "testcase", classname="repro.check", name=found.name, time="0")
        if found.verdict is Verdict.WORSE:
            ElementTree.SubElement(case, "failure", type=found.verdict.value, message=shown_name(found.reason))
        elif found.verdict in (Verdict.INCOMPARABLE, Verdict.NOT_MEASURED):
            ElementTree.SubElement(case, "skipped", message=shown_name(found.reason))
        else:
            ElementTree.SubElement(case, "system-out").text = shown_name(found.reason)
    ElementTree.indent(suite)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ElementTree.tostring(suite, encoding='unicode')}\n"


def as_json(judgment: Judgment) -> str:
    """Return the judgment as JSON, for other programs."""
    run, found = judgment.run, step_speed(judgment.run)
    record = {
        "verdict": judgment.verdict.value,
        "run": run.folder.name,
        "baseline": judgment.baseline.path.name if judgment.baseline else None,
        "findings": [{"name": f.name, "verdict": f.verdict.value, "reason": f.reason} for f in judgment.findings],
        "changes": list(judgment.changes),
        "commit": run.env.commit,
        "environment": environment_of(run),
        "step_over_calibration": found and found.ratio,
        "step_time_ms": found and found.step_ms,
        "calibration_ms": found and found.calibration_ms,
    }
    return json.dumps(record, indent=1) + "\n"

"""Does it still? Holds a short run against the kept baselines: ``make check``.

    python -m repro.check results/runs/latest_check

Writes ``verdict.json``, ``junit.xml`` and ``summary.md`` under --out, and appends the latter to the file that
GITHUB_STEP_SUMMARY names. Exit codes: 0 nothing is worse, 1 something is, 2 a record cannot be trusted, 3 a number was
not measured or no baseline fits, so that nothing can be said.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from repro.check import convergence
from repro.check.baselines import read_all
from repro.check.judge import Judgement, judge
from repro.check.short_run import environment, speed
from repro.errors import ReproError
from repro.files import replace_file
from repro.markdown import columns, grid, md
from repro.published.schema import Verdict
from repro.records.run_folder import read_folders

EXIT_CODES = {Verdict.MATCH: 0, Verdict.WORSE: 1, Verdict.NOT_MEASURED: 3, Verdict.INCOMPARABLE: 3}


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m repro.check", description="Hold a run against its baseline.")
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder, or a link to one")
    parser.add_argument("--baselines", type=Path, default=Path("results/baselines"), help="folder of the baselines")
    parser.add_argument(
        "--convergence", type=Path, default=Path("results/convergence"), help="folder of what other seeds gave"
    )
    parser.add_argument("--out", type=Path, default=Path("results/check"), help="folder for what is written")
    options = parser.parse_args(argv)
    files = [options.out / name for name in ("verdict.json", "junit.xml", "summary.md")]
    try:
        for file in files:  # of another run
            file.unlink(missing_ok=True)
        runs, unfinished = read_folders([options.run])
        if unfinished:
            raise ReproError(f"{options.run}: this run is not finished, so it says nothing yet")
        if runs[0].kind != "train":
            raise ReproError(f"{options.run}: found an evaluation, expected a training")
        references = convergence.read_all(options.convergence)
        judgement = judge(runs[0], read_all(options.baselines), options.baselines, references)
        print(terminal(judgement).encode("utf-8", "replace").decode())  # a folder's name need not be UTF-8
        texts = json.dumps(verdict(judgement), indent=1) + "\n", junit(judgement), summary(judgement)
        for file, text in zip(files, texts, strict=True):
            replace_file(file, text)
    except (ReproError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tell_github(summary(judgement))
    return EXIT_CODES[judgement.verdict]


def tell_github(text: str) -> None:
    """Add it to the page of the job, where there is one."""
    if target := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(target).open("a", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError as error:
            print(f"GITHUB_STEP_SUMMARY {target}: cannot be written: {error.strerror}", file=sys.stderr)


def headline(judgement: Judgement) -> str:
    """The verdict in a sentence."""
    against = f"baseline {judgement.baseline.path.stem}" if judgement.baseline else "no baseline that fits"
    return f"{judgement.verdict.value}: {judgement.run.folder.name} against {against}"


def terminal(judgement: Judgement) -> str:
    """For a person."""
    lines = [columns([(found.name, found.verdict.value, found.reason) for found in judgement.findings])]
    lines += ["changed since the baseline:", *(f"  {text}" for text in judgement.changes)] if judgement.changes else []
    return "\n".join([*lines, headline(judgement)])


def summary(judgement: Judgement) -> str:
    """Markdown, for the page of a CI job."""
    rows = [(found.name, f"**{found.verdict.value}**", md(found.reason)) for found in judgement.findings]
    lines = [f"### {md(headline(judgement))}", "", *grid(("What", "Verdict", "Why"), rows), ""]
    if judgement.changes:
        lines += ["Changed since the baseline:", "", *(f"- {md(text)}" for text in judgement.changes), ""]
    return "\n".join(lines)


def junit(judgement: Judgement) -> str:
    """One test case for each finding; what cannot be compared is skipped, with the reason."""
    verdicts = [found.verdict for found in judgement.findings]
    suite = ElementTree.Element(
        "testsuite",
        name=f"check {judgement.run.folder.name}",
        tests=str(len(verdicts)),
        failures=str(verdicts.count(Verdict.WORSE)),
        errors="0",
        skipped=str(verdicts.count(Verdict.INCOMPARABLE) + verdicts.count(Verdict.NOT_MEASURED)),
    )
    if judgement.changes:
        properties = ElementTree.SubElement(suite, "properties")
        for text in judgement.changes:
            ElementTree.SubElement(properties, "property", name="changed", value=_printable(text))
    for found in judgement.findings:
        case = ElementTree.SubElement(suite, "testcase", classname="repro.check", name=found.name)
        if found.verdict is Verdict.WORSE:
            ElementTree.SubElement(case, "failure", message=_printable(found.reason))
        elif found.verdict in (Verdict.INCOMPARABLE, Verdict.NOT_MEASURED):
            ElementTree.SubElement(case, "skipped", message=_printable(found.reason))
        else:
            ElementTree.SubElement(case, "system-out").text = _printable(found.reason)
    ElementTree.indent(suite)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ElementTree.tostring(suite, encoding='unicode')}\n"


def _printable(text: str) -> str:
    """XML has no control characters, however they are written."""
    return "".join(character if character.isprintable() else " " for character in text)


def verdict(judgement: Judgement) -> dict[str, object]:
    """For programs."""
    run, found = judgement.run, speed(judgement.run)
    return {
        "verdict": judgement.verdict.value,
        "run": run.folder.name,
        "baseline": judgement.baseline.path.name if judgement.baseline else None,
        "findings": [{"name": f.name, "verdict": f.verdict.value, "reason": f.reason} for f in judgement.findings],
        "changes": list(judgement.changes),
        "commit": run.env.commit,
        "environment": environment(run),
        "step_over_calibration": found and found.ratio,
        "step_time_ms": found and found.step_ms,
        "calibration_ms": found and found.calibration_ms,
    }


if __name__ == "__main__":
    sys.exit(main())

"""Does it still? Compare a short run with the kept baselines: `make check`.

    python -m repro.check results/runs/latest_check

Writes ``verdict.json``, ``junit.xml`` and ``summary.md`` under --out, and appends the latter to the file that
GITHUB_STEP_SUMMARY names. Exit codes: 0 nothing is worse, 1 something is, 2 a record cannot be trusted, 3 a number was
not measured or no baseline fits, so that nothing can be said.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from repro.check.baselines import read_baselines
from repro.check.formats import as_json, as_junit, as_markdown, as_text
from repro.check.judge import judge_run
from repro.check.references import read_references
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import replace_file
from repro.published.schema import Verdict
from repro.records.run_folder import read_folders

EXIT_CODES = {Verdict.MATCH: 0, Verdict.WORSE: 1, Verdict.NOT_MEASURED: 3, Verdict.INCOMPARABLE: 3}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.check", description="Hold a run against its baseline.")
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
        references = read_references(options.convergence)
        judgment = judge_run(runs[0], read_baselines(options.baselines), options.baselines, references)
        tell(as_text(judgment))
        texts = as_json(judgment), as_junit(judgment), as_markdown(judgment)
        for file, text in zip(files, texts, strict=True):
            replace_file(file, text)
    except (ReproError, OSError) as error:
        tell_error(error)
        return 2
    _tell_github(as_markdown(judgment))
    return EXIT_CODES[judgment.verdict]


def _tell_github(text: str) -> None:
    """Add the text to the page of the CI job, if there is one."""
    if target := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(target).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            tell(f"GITHUB_STEP_SUMMARY {target}: cannot be written: {error.strerror}", file=sys.stderr)


if __name__ == "__main__":
    run_tool(main)

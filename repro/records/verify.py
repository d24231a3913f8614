"""Verify run folders: no file changed since the folder was sealed, and log and metrics agree.

    python -m repro.records.verify RUN_FOLDER ...        # also: make verify RUN=results/runs/latest_tiny

The last column is the hash of the seal itself: noted elsewhere, it tells whether somebody has changed a file and sealed
the folder again. Exit codes: 0 all are what they were, 1 one is unfinished, 2 one was changed or is broken.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.markdown import columns
from repro.records.run_folder import read_folders
from repro.records.seal import SEAL


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.records.verify", description="Is a run what it was when sealed?")
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="run folders, or links to them")
    code, rows = 0, []
    for folder in parser.parse_args(argv).runs:
        try:
            runs, unfinished = read_folders([folder])
        except ReproError as error:
            tell_error(error)
            code = 2
            continue
        for path in unfinished:
            rows.append((str(path), "unfinished: it has no seal yet", ""))
            code = max(code, 1)
        for run in runs:
            seal = hashlib.sha256((run.folder / SEAL).read_bytes()).hexdigest()
            absent = f", {run.absent_checkpoints} checkpoints are not kept" if run.absent_checkpoints else ""
            partial = f"; not known when it was made: {', '.join(run.env.missing)}" if run.env.missing else ""
            rows.append((str(run.folder), f"as it was sealed{absent}{partial}", f"seal {seal}"))
    if rows:
        tell(columns(rows))
    return code


if __name__ == "__main__":
    run_tool(main)

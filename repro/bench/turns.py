"""Compare the speeds of several programs, which are measured by turns.

    python -m repro.bench.turns --rounds 10 --json FILE ours="..." other="..."

How a turn is measured, and what a program must answer, says repro.bench.pacing. Exit codes: 0 done, 2 a mistake or a
program that fails.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from repro.bench.pacing import pace_programs, summarize_turns, turns_table
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import replace_file
from repro.markdown import columns


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.bench.turns", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="turns of each program (10)")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--what", default="", help="what is measured, kept in the file")
    parser.add_argument("commands", nargs="+", metavar="NAME=COMMAND", help="the first one is what ratios refer to")
    options = parser.parse_args(argv)
    try:
        if options.rounds < 1:
            raise ReproError(f"--rounds: found {options.rounds}; allowed: 1 or more")
        commands = dict(text.partition("=")[::2] for text in options.commands)
        if len(commands) < len(options.commands) or not all(commands.values()):
            raise ReproError("commands: expected NAME=COMMAND, each with a name of its own")
        rows = summarize_turns(pace_programs(commands, options.rounds))
        tell(columns(turns_table(rows)))
        if options.json:
            kept = {
                "what": options.what,
                "rounds": options.rounds,
                "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "cores": len(os.sched_getaffinity(0)),
                "commands": commands,
                "programs": rows,
            }
            try:
                replace_file(options.json, json.dumps(kept, indent=1) + "\n")
            except OSError as error:
                fault = f"--json {options.json}: {error.strerror}; the result above is in no file"
                raise ReproError(fault) from None
    except ReproError as error:
        tell_error(error)
        return 2
    except KeyboardInterrupt:
        tell("stopped by Ctrl-C: no result, and the programs have ended", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    run_tool(main)

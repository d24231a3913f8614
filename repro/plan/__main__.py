"""Predict how long a training takes, what it waits for, and where more cards stop helping: `make plan`.

    python -m repro.plan                                                   # from the published figures alone
    python -m repro.plan --step step.json --input input.json --cards 4     # from what hlg.bench has measured

What is neither measured nor given is published or assumed, and the table says which. Exit codes: 0 done, 2 a wrong
option or file.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import replace_file
from repro.plan.inputs import LATENCY_US, LINK_GBPS, read_inputs
from repro.plan.page import plan_page
from repro.plan.plan import make_plan, plan_record


def plan_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; `--help` and what argparse refuses end the process."""
    description = "How long will it take, what does it wait for, and what stops helping where?"
    parser = CommandParser("python -m repro.plan", description=description, allow_abbrev=False)
    add = parser.add_argument
    add("--cards", type=_count, metavar="N", help="of each machine (the published 8)")
    add("--nodes", type=_count, metavar="N", help="machines (1)")
    add("--step", type=Path, metavar="FILE", help="of python -m hlg.bench step --json FILE")
    add("--input", type=Path, metavar="FILE", help="of python -m hlg.bench input --json FILE")
    add("--evaluate", type=Path, metavar="FILE", help="of python -m hlg.bench evaluate --json FILE")
    add("--step-ms", type=_positive, metavar="MS", help="time of a step on the device, instead of a measured one")
    add("--step-cards", type=_count, default=1, metavar="N", help="cards of that step (%(default)s)")
    add("--batch", type=_count, metavar="N", help="images a card of that step (the published 128)")
    add("--input-rate", type=_positive, metavar="N", help="images a second that a core prepares")
    add("--cores", type=_positive, metavar="N", help="of a machine")
    add("--workers", type=_count, metavar="N", help="threads that prepare images, of each card")
    add("--link-gbps", type=_positive, metavar="N", help=f"slowest link between cards, in Gbit/s ({LINK_GBPS:g})")
    add("--latency-us", type=_latency, metavar="N", help=f"of a hop, in microseconds ({LATENCY_US:g})")
    add("--epochs", type=_count, metavar="N", help="length of the training (the published 300)")
    add("--training", metavar="COMMAND", help="show this command for the training, with the time that it takes")
    add("--json", type=Path, metavar="FILE", help="write the plan there too")
    return parser.parse_args(argv)


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1 << 24:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a whole number from 1 on")
    return int(text)


def _positive(text: str) -> float:
    value = _latency(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a number above 0")
    return value


def _latency(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e12:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a number from 0 on")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = plan_options(argv)
    try:
        plan = make_plan(read_inputs(options))
        if options.json:
            replace_file(options.json, json.dumps(plan_record(plan), indent=1) + "\n")
    except (ReproError, ValueError, OSError) as error:
        tell_error(error)
        return 2
    tell(plan_page(plan, options.training).removesuffix("\n"))
    return 0


if __name__ == "__main__":
    run_tool(main)

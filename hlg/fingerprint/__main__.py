"""Does this stack compute HLG-Mobile, and if not, where does it first go wrong? ``make fingerprint``

python -m hlg.fingerprint [--device_target CPU] [--amp_level O0] [--context_mode 0] [--out results/fingerprint]

Compares with float64, in the order in which data flows: the input, every operator group of the forward pass, the
gradient of every parameter, the training step, the optimizer, what ranks do together, and checkpoints. Weights and
inputs are synthetic. Several ranks: python -m hlg.launch --ranks 2 hlg.fingerprint. Prints a table, the first row out
of bounds and its probable cause, and keeps a JSON file for python -m repro.fingerprint_diff.

--golden FILE compares the network with numbers of the published implementation instead.

Exit codes: 0 all within bounds, 1 not, 2 a mistake in what was asked, 3 this device could not do some of it.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from hlg.config import Config
from hlg.console import say, say_error
from hlg.errors import OptionParser, UserError
from hlg.files import write_result
from hlg.fingerprint.report import conclusion, exit_code, fingerprint_table, probable_cause
from hlg.fingerprint.rows import AREAS
from hlg.signals import StopRequest, run_main

# What imports MindSpore is imported in the functions that need it: mistakes and --help are answered at once. So is what
# imports NumPy, whose threads would take the signals that StopRequest waits for, had they begun before.


def fingerprint(options: argparse.Namespace) -> int:
    """Run the checks, print the table, keep the JSON file; return the exit code."""
    from hlg.fingerprint.bounds import load_reference
    from hlg.fingerprint.checks import all_checks, run_checks
    from hlg.fingerprint.ranks import check_other_ranks
    from hlg.record.environment import environment_facts
    from hlg.runtime import collective, device
    from hlg.runtime.watchdog import Watchdog

    start = time.perf_counter()
    config = Config(
        **{key: getattr(options, key) for key in ("device_target", "device_id", "context_mode", "amp_level")},
        run_distribute=bool(options.run_distribute),
    )
    on = device.start(config)
    reference = load_reference(config.amp_level)
    who = f"rank {on.rank}" if on.count > 1 else "the fingerprint"
    with Watchdog(config.stall_timeout, who) as watchdog, collective.detect_lost_ranks(on.rank, on.count):
        watchdog.expect("a check, or another rank")
        checks = all_checks(reference, config.amp_level, on)
        rows = list(run_checks(check for check in checks if check.area in (options.only or AREAS)))
        rows += check_other_ranks(on, sum(not row.ok for row in rows))
    mode = "PyNative" if config.context_mode else "graph"
    title = f"HLG-Mobile in {config.amp_level} on {on.target} ({on.name}), {mode} mode"
    first_out = next((row for row in rows if not row.ok), None)
    facts = {
        "format": 1,
        "title": title,
        "first_out": first_out and first_out.label,
        "cause": first_out and probable_cause(first_out),
        "amp_level": config.amp_level,
        "mode": mode,
        "salt": reference.salt,
        "rank": on.rank,
        "seconds": round(time.perf_counter() - start, 1),
        "environment": environment_facts(on.facts()),
        "rows": [row.facts() for row in rows],
    }
    of_rank = f"_rank{on.rank}of{on.count}" if on.count > 1 else ""
    path = options.out / f"{f'{on.target}_{config.amp_level}_{mode}'.lower()}{of_rank}.json"
    write_result(path, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    if on.rank == 0:
        say(fingerprint_table(title, rows), conclusion(rows), f"kept in {path}")
    return exit_code(rows)


def compare_with_published(options: argparse.Namespace) -> int:
    """Compare the network with a golden file; return the exit code."""
    from hlg.fingerprint.golden import read_golden
    from hlg.fingerprint.synthetic import SALT

    golden = read_golden(options.golden)
    from hlg.fingerprint.against_golden import compare_with_golden
    from hlg.runtime import device

    device.start(Config(device_target=options.device_target, context_mode=options.context_mode))
    rows = list(compare_with_golden(golden, SALT if options.salt is None else options.salt))
    say(fingerprint_table(f"HLG-Mobile against {options.golden}", rows), conclusion(rows))
    return exit_code(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = OptionParser(
        prog="python -m hlg.fingerprint", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device_target", default="CPU", choices=("CPU", "GPU", "Ascend"))
    parser.add_argument("--device_id", type=int, default=0, help="number of the device in this machine")
    parser.add_argument("--amp_level", default="O0", choices=("O0", "O2", "O3"), help="precision (default %(default)s)")
    parser.add_argument("--context_mode", type=int, default=0, choices=(0, 1), help="0: graph, 1: PyNative")
    parser.add_argument("--run_distribute", type=int, default=0, choices=(0, 1), help="as one of several ranks")
    parser.add_argument("--out", type=Path, default=Path("results/fingerprint"), help="folder of the JSON file")
    parser.add_argument("--only", nargs="+", choices=AREAS, metavar="AREA", help=f"these alone: {', '.join(AREAS)}")
    parser.add_argument("--golden", help="golden file (.npz) of the published implementation")
    parser.add_argument("--salt", help="salt of the golden file's synthetic weights")
    options = parser.parse_args(argv)
    try:
        with StopRequest():
            return compare_with_published(options) if options.golden else fingerprint(options)
    except UserError as error:
        say_error(error)
        return error.exit_code


if __name__ == "__main__":
    run_main(main)

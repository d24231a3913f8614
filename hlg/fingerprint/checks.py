"""Does this stack compute HLG-Mobile, and if not, where does it part first? ``make fingerprint``

python -m hlg.fingerprint [--device_target CPU] [--amp_level O0] [--context_mode 0] [--out results/fingerprint]

Holds every operator group of the forward pass, the gradient of every parameter, the training step, the optimiser, the
input, what ranks do together and checkpoints against float64, in the order in which data flows; weights and inputs are
made by rule. Several ranks: python -m hlg.launch --ranks 2 hlg.fingerprint. A table is printed, with the first row out
of bounds and its probable cause, and a JSON file kept, for python -m repro.fingerprint_diff.

--golden FILE holds the network against numbers of the published implementation instead.

Exit codes: 0 all within bounds, 1 not, 2 a mistake in what was asked, 3 this device could not do some of it.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hlg.config import Config
from hlg.errors import UserError
from hlg.files import write_result
from hlg.fingerprint import against_golden, backward, forward, golden, inputs, optimizer, ranks, synthetic
from hlg.fingerprint.bounds import Judge, Row, judge_of, not_done
from hlg.fingerprint.table import conclusion, table
from hlg.record.environment import environment_facts
from hlg.runtime import collective, device
from hlg.runtime.watchdog import Watchdog

Check = tuple[str, Callable[[], Iterator[Row]]]  # an area, and what yields rows of it
COULD_NOT = "could not: "
AREAS = ("input", "initial weights", "forward", "loss", "backward", "optimiser", "ranks", "checkpoint")


def checks(judge: Judge, amp_level: str, on: device.Device) -> list[Check]:
    """All checks by their areas, in the order in which data flows; that of ``backward`` is of all of training."""
    return [
        ("input", lambda: inputs.images(judge)),
        ("input", lambda: inputs.batches(judge)),
        ("initial weights", forward.initial_weights),
        ("forward", lambda: forward.Forward(amp_level).rows(judge)),
        ("loss", lambda: forward.losses(judge)),
        ("backward", lambda: backward.Training(amp_level).rows(judge)),
        ("optimiser", lambda: optimizer.schedule(judge)),
        ("optimiser", lambda: optimizer.Optimiser().rows(judge)),
        ("ranks", lambda: ranks.ranks(on)),
        ("checkpoint", ranks.checkpoints),
    ]


def rows(wanted: Sequence[Check]) -> Iterator[Row]:
    """The rows of these checks. One that the device can't do ends with a row that says so."""
    for area, check in wanted:
        try:
            yield from check()
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:  # whatever an operator raises
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            yield not_done(area, "", "the rest", f"{COULD_NOT}{type(error).__name__}: {reason}")


def fingerprint(options: argparse.Namespace) -> int:
    """Check, print, keep; returns the exit code."""
    start = time.perf_counter()
    config = Config(
        **{key: getattr(options, key) for key in ("device_target", "device_id", "context_mode", "amp_level")},
        run_distribute=bool(options.run_distribute),
    )
    on = device.start(config)
    judge = judge_of(config.amp_level)
    who = f"rank {on.rank}" if on.count > 1 else "the fingerprint"
    with Watchdog(config.stall_timeout, who) as watchdog, collective.detect_lost_ranks(on.rank, on.count):
        watchdog.expect("a check, or another rank")
        wanted = [
            check for check in checks(judge, config.amp_level, on) if not options.only or check[0] in options.only
        ]
        found = list(rows(wanted))
        found += ranks.others(on, sum(not row.ok for row in found))
    mode = "PyNative" if config.context_mode else "graph"
    title = f"HLG-Mobile in {config.amp_level} on {on.target} ({on.name}), {mode} mode"
    facts = {
        "format": 1,
        "title": title,
        "first_out": next((row.label for row in found if not row.ok), None),
        "amp_level": config.amp_level,
        "mode": mode,
        "salt": judge.salt,
        "rank": on.rank,
        "seconds": round(time.perf_counter() - start, 1),
        "environment": environment_facts(on.facts()),
        "rows": [row.facts() for row in found],
    }
    path = keep(options.out, facts, f"{on.target}_{config.amp_level}_{mode}", on)
    if on.rank == 0:
        print(table(title, found), conclusion(found), f"kept in {path}", sep="\n")
    return exit_code(found)


def exit_code(found: Sequence[Row]) -> int:
    """As the module's head says."""
    if any(not row.ok for row in found):
        return 1
    return 3 if any(row.note.startswith(COULD_NOT) for row in found if not row.done) else 0


def keep(folder: Path, facts: dict[str, Any], stem: str, on: device.Device) -> Path:
    """Write the JSON file, one a rank; returns its path.

    Raises:
        UserError: it can't be written.
    """
    path = folder / f"{stem.lower()}{f'_rank{on.rank}of{on.count}' if on.count > 1 else ''}.json"
    write_result(path, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return path


def against_published(options: argparse.Namespace) -> int:
    """Hold the network against a golden file; returns the exit code."""
    reference = golden.read(options.golden)
    device.start(Config(device_target=options.device_target, context_mode=options.context_mode))
    found = list(against_golden.compare(reference, options.salt))
    print(table(f"HLG-Mobile against {options.golden}", found), conclusion(found), sep="\n")
    return exit_code(found)


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(
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
    parser.add_argument("--salt", default=synthetic.SALT, help="what the golden file's rule puts before each name")
    options = parser.parse_args(argv)
    try:
        return against_published(options) if options.golden else fingerprint(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code

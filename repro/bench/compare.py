"""Compare the speed of two commits, or two kept measurements.

    python -m repro.bench.compare A B --what step --rounds 8 [-- keys of the configuration]

A and B are commits, ``.`` for the code as it stands, or two files of ``python -m hlg.bench --json``. Commits are
checked out beside each other and measured by turns, so that what else the machine does slows both; their ratio counts.
Files were measured at different times: they are only set side by side, with what differs of their environments. Exit
codes: 0 done, 2 a mistake or a program that fails.
"""

import shlex
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from repro.bench.pacing import pace_programs, summarize_turns, turns_table
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.files import field, number_list, read_json
from repro.markdown import columns

CHECKOUTS = Path("build/compare")
HERE = "."
NUMBERS = ("median_s", "images_per_s", "share_of_product", "share_of_decoding", "compile_time_s")


@contextmanager
def _checked_out(commit: str) -> Iterator[Path]:
    """Check the commit out into a folder, which is removed afterwards; ``.`` is the code as it stands."""
    if commit == HERE:
        yield Path.cwd()
        return
    full = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", fault=f"{commit}: is no commit and no file")
    another = f"{commit}: this commit has no hlg/, so git answers for another repository here"
    _git("rev-parse", "--verify", "--quiet", f"{full}:hlg", fault=another)
    folder = (CHECKOUTS / full[:12]).absolute()
    _git("worktree", "add", "--force", "--detach", str(folder), full, fault=f"{commit}: can't be checked out")
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder), fault=f"{folder}: can't be removed")


def _by_turns(a: str, b: str, what: str, rounds: int, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Measure both commits by turns; return the rows of :func:`repro.bench.pacing.summarize_turns`, A first."""
    with ExitStack() as stack:
        commands = {}
        for name, commit in (("A", a), ("B", b)):
            folder = stack.enter_context(_checked_out(commit))
            run = ["env", "-C", str(folder), sys.executable, "-m", "hlg.bench", what, "--paced", *keys]
            commands[f"{name} {commit}"] = shlex.join(run)
        return summarize_turns(pace_programs(commands, rounds))


def _read_bench(path: Path) -> dict[str, Any]:
    """Read a file of ``hlg.bench --json``. Raises ReproError unless it is one."""
    found, where = read_json(path), str(path)
    field(where, found, "what", str)
    times = field(where, found, "times_s", list)
    if min(number_list(f"{where}: times_s", times, "give a file of python -m hlg.bench --json")) <= 0:
        raise ReproError(f"{where}: times_s: found {min(times)}, expected times above 0")
    field(where, found, "environment", dict)
    for name in NUMBERS:
        field(where, found, name, float, optional=name != "median_s")
    return found


def _side_by_side(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, ...]]:
    """Set two measurements side by side: numbers with ratios, then what differs of batch and environment.

    Raises:
        ReproError: they measured different things.
    """
    if a["what"] != b["what"]:
        raise ReproError(f"A measured {a['what']} and B {b['what']}; name two files of the same")
    rows: list[tuple[str, ...]] = [("", "A", "B", "B / A")]
    for name in NUMBERS:
        if a.get(name) and b.get(name):
            rows.append((name, f"{a[name]:.4g}", f"{b[name]:.4g}", f"{b[name] / a[name]:.3f}"))
    spread = [max(found["times_s"]) / statistics.median(found["times_s"]) for found in (a, b)]
    rows.append(("slowest / median", f"{spread[0]:.3f}", f"{spread[1]:.3f}", ""))
    facts = [dict(_flat({"batch_size": found.get("batch_size"), **found["environment"]})) for found in (a, b)]
    for name in sorted(facts[0].keys() | facts[1].keys()):
        old, new = (str(found.get(name, "nothing")) for found in facts)
        if old != new:
            rows.append((name, old, new, ""))
    return rows


def _flat(facts: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield prefix + name, value


def _git(*arguments: str, fault: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ReproError(f"git can't be started: {error}") from None
    if done.returncode:
        raise ReproError(f"{fault} {done.stderr.strip()}".rstrip())
    return done.stdout.strip()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(
        prog="python -m repro.bench.compare",
        description=__doc__.splitlines()[0],
        epilog="Behind a further -- stand keys of the configuration, such as --batch_size=8.",
    )
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--what", default="step", choices=("forward", "step", "input", "evaluate"))
    parser.add_argument("--rounds", type=int, default=8, help="turns of each (8)")
    arguments = list(sys.argv[1:] if argv is None else argv)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, keys = parser.parse_args(arguments[:end]), arguments[end + 1 :]
    try:
        if options.rounds < 1:
            raise ReproError(f"--rounds: found {options.rounds}; allowed: 1 or more")
        if not options.a or not options.b:
            raise ReproError("A and B: expected two commits, such as A=main B=., or two files of hlg.bench")
        files = [Path(options.a), Path(options.b)]
        if all(path.is_file() for path in files):
            tell(columns(_side_by_side(*map(_read_bench, files))))
        else:
            rows = _by_turns(options.a, options.b, options.what, options.rounds, keys)
            tell(columns(turns_table(rows)))
    except ReproError as error:
        tell_error(error)
        return 2
    except KeyboardInterrupt:
        tell("stopped by Ctrl-C: no result; the checkouts of the commits are removed", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    run_tool(main)

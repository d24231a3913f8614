"""Run a job of several ranks, or one for each seed, and say what went wrong and how to resume."""

import argparse
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hlg.console import say
from hlg.errors import UserError
from hlg.launch.placement import RANK_VARIABLES, RankPlan, plan_ranks
from hlg.launch.supervise import EXPLAINED, Child, Ending, Supervisor, end_all
from hlg.limits import out_of_memory_kills
from hlg.signals import StopSignals

TAIL_LINES = 20
SEEDS = 1 << 32


def read_seeds(text: str | None, arguments: Sequence[str]) -> list[int]:
    """Read the seeds of --seeds; without that option there are none.

    Raises:
        UserError: no seed, one that is no seed or twice there, or several that were to resume the same run.
    """
    if text is None:
        return []
    words = text.split()
    wrong = [word for word in words if not re.fullmatch(r"\d{1,10}", word, re.ASCII) or int(word) >= SEEDS]
    seeds = [int(word) for word in words if word not in wrong]
    if wrong or not seeds or len(set(seeds)) < len(seeds):
        raise UserError(
            f'--seeds: found {text!r}; allowed: different whole numbers from 0 to {SEEDS - 1}, such as "1 2 3"'
        )
    if len(seeds) > 1 and any(argument.partition("=")[0] == "--resume" for argument in arguments):
        raise UserError(f"--resume: found with {len(seeds)} in --seeds, but a run goes on with its own seed; give one")
    return seeds


def run_job(plan: RankPlan, program: Sequence[str], folder: Path, stop: StopSignals, grace_s: float) -> int:
    """Start the ranks of a plan on this machine and watch over them to their end; returns the exit code.

    ``program`` is a module and its arguments. The logs go to ``folder``, which is made.
    """
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"--logs: can't make {folder} ({error.strerror})") from error
    command = [sys.executable, "-m", *program, *plan.options]
    inherited = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
    # Unbuffered: the last words of a rank that is killed are in its log.
    inherited |= {"HLG_RANK_LOGS": str(folder.resolve()), "PYTHONUNBUFFERED": "1"}
    scheduler: Child | None = None
    ranks: list[Child] = []
    try:
        if plan.scheduler:
            scheduler = Child("scheduler", command, inherited | plan.scheduler, folder / "scheduler.log")
        for rank, variables in plan.local.items():
            log = folder / f"rank_{rank}.log" if ranks else None
            ranks.append(Child(f"rank {rank} of node {plan.node}", command, inherited | variables, log))
        killed_before = out_of_memory_kills()
        ending = Supervisor(ranks, scheduler, stop, grace_s).run()
        if ending.culprit and ending.culprit.code == -signal.SIGKILL and out_of_memory_kills() > killed_before:
            ending = replace(ending, problem=f"{ending.problem}, probably by the kernel, which ran out of memory")
    except OSError as error:
        raise UserError(f"can't start {plan.ranks} ranks ({error.strerror}); see ulimit -u and the disk") from error
    finally:
        for child in end_all([*ranks, *([scheduler] if scheduler else [])]):
            say(f"{child} can't be ended, not even by SIGKILL: a call of its driver hangs", file=sys.stderr)
    if ending.problem and (lines := _report(ending, ranks[0], folder, plan.ranks)):
        say(*lines, file=sys.stderr)
    return ending.code


def _report(ending: Ending, console: Child, folder: Path, ranks: int) -> list[str]:
    """Write the lines about a failure: which process, how it ended, its own words, the logs, how to resume."""
    culprit = ending.culprit
    assert culprit
    log = culprit.log_tail()
    own_words = [line for line in log if line.startswith("error: ")][-1:] if culprit.code in EXPLAINED else []
    if culprit.code in EXPLAINED and console.code == culprit.code:  # its words, or the same, stand on the console
        lines = [ending.problem] if ranks > 1 else []
    elif own_words:
        lines = [*own_words, ending.problem]
    else:
        lines = [f"error: {ending.problem}" + ("; the end of its log:" if log else "")]
        lines += [f"  {line}" for line in log[-TAIL_LINES:]]
    if ranks > 1:
        lines.append(f"logs: {folder}")
    try:
        run = Path(os.fsdecode((folder / "run_folder").read_bytes().strip()))
        if (run / "checkpoints/last.ckpt").exists():
            lines.append(f"resume: the same command with RESUME={run}")
    except OSError:  # no run folder was made
        pass
    return lines


def run_jobs(options: argparse.Namespace, seeds: Sequence[int], stop: StopSignals) -> int:
    """Run one job, or one for each seed, one after the other, until one does not end with 0."""
    # Launchers of several machines may share the folder and, in containers, the number of their process.
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}_{socket.gethostname()}_{os.getpid()}"
    folder = Path(options.logs) / name
    program = [options.module, *options.arguments]
    if not seeds:
        return run_job(plan_ranks(options), program, folder, stop, options.grace)
    for i, seed in enumerate(seeds):
        plan = plan_ranks(options)  # anew, for another port
        say(f"seed {seed} ({i + 1} of {len(seeds)})")
        code = run_job(plan, [*program, f"--seed={seed}"], folder / f"seed_{seed}", stop, options.grace)
        done = i if code else i + 1
        if stop.received and done < len(seeds):
            code = code or stop.exit_code  # it came too late for this seed, and the next one must not begin
        if code:
            parts = {"done": seeds[:done], "stopped": seeds[done : i + 1], "not begun": seeds[i + 1 :]}
            listed = [f"{what} {' '.join(map(str, which)) or 'none'}" for what, which in parts.items()]
            say(f"seeds: {'; '.join(listed)} (to resume a run, leave SEEDS out)", file=sys.stderr)
            return code
    return 0

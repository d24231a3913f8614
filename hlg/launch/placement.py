"""Start the ranks of a run on this machine and watch over them:

    python -m hlg.launch --ranks 8 hlg.train --config_path configs/hlg_mobile.yml

A rank is one process on one device. They find each other by MindSpore's dynamic cluster, the way of msrun, with a
scheduler process beside those of node 0; or, on Ascend, by a rank table. One rank in all is a plain process. Several
machines run one launcher each, with the same command but for --node_rank:

    python -m hlg.launch --ranks 16 --nodes 2 --node_rank 0 --master 10.0.0.1 hlg.train --config_path ...

Ranks can equally be started by msrun or mpirun with --run_distribute=1. This program exists beside msrun because msrun,
ended by SIGTERM, as a batch system does it, leaves its workers running, holding their devices; and because after the
death of a rank it waits for the scheduler's own timeout, half a minute and more. Here:

- the first rank that fails is named, with the end of its log, and ends the others within seconds;
- SIGTERM and Ctrl-C are passed on, so that the ranks save their state; a second one ends them at once;
- no rank outlives the launcher, even if that is killed by SIGKILL.

A rank on another machine is not seen from here. When it is gone, the ranks here wait for it until their own bound on
waiting (the key stall_timeout) ends them.

The first rank of a machine writes to the console, the others and the scheduler to files in a folder of their own under
--logs, which every rank finds in HLG_RANK_LOGS. Exit codes: 0 done, 75 stopped by SIGTERM, 130 by Ctrl-C; 2 and 3 as a
rank ended; 1 any other failure.
"""

import argparse
import os
import re
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hlg.errors import UserError
from hlg.launch import rank_table
from hlg.launch.rank_table import RankTable, Server
from hlg.launch.supervise import OWN_WORDS, Child, Ending, Stop, Supervisor, end_all

MASTER_PORT = 8118  # msrun's
TAIL_LINES = 20
SEEDS = 1 << 32

# What tells a process that it is a rank. What the shell still has of an earlier start must not.
ENGINE = {"MS_ROLE", "MS_NODE_ID", "MS_WORKER_NUM", "MS_SCHED_HOST", "MS_SCHED_PORT", "MS_TOPO_TIMEOUT"}
ENGINE |= {"RANK_TABLE_FILE", "RANK_ID", "RANK_SIZE", "DEVICE_ID"}


@dataclass(frozen=True)
class Plan:
    """What is started on this machine.

    ``local`` has the variables of each rank by its number among all ``ranks``, in order; ``scheduler`` those of the
    scheduler, or None where none is started. ``options`` are added to the program's.
    """

    ranks: int
    node: int
    local: dict[int, dict[str, str]]
    scheduler: dict[str, str] | None
    options: tuple[str, ...]


def alone(*options: str) -> Plan:
    """One rank in all: a plain process."""
    return Plan(1, 0, {0: {}}, None, (*options, "--run_distribute=0"))


def by_dynamic_cluster(ranks: int, nodes: int, node: int, master: tuple[str, int], join_timeout_s: int) -> Plan:
    """Ranks that find each other by the scheduler at ``master`` (address, port), which node 0 starts.

    Each of the ``nodes`` machines has as many of the ``ranks``.
    """
    shared = {
        "MS_WORKER_NUM": str(ranks),
        "RANK_SIZE": str(ranks),
        "MS_SCHED_HOST": master[0],
        "MS_SCHED_PORT": str(master[1]),
        "MS_TOPO_TIMEOUT": str(join_timeout_s),
    }
    here = ranks // nodes
    local = {
        rank: shared
        | {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank), "RANK_ID": str(rank), "DEVICE_ID": str(rank % here)}
        for rank in range(node * here, (node + 1) * here)
    }
    return Plan(ranks, node, local, shared | {"MS_ROLE": "MS_SCHED"} if node == 0 else None, ("--run_distribute=1",))


def by_rank_table(table: RankTable, server: Server) -> Plan:
    """Ranks that find each other by a rank table; ``server`` is this machine in it."""
    if table.ranks == 1:
        return alone(f"--device_id={server.entries[0].device_id}")
    shared = {"RANK_TABLE_FILE": str(table.path.absolute()), "RANK_SIZE": str(table.ranks)}
    local = {e.rank: shared | {"RANK_ID": str(e.rank), "DEVICE_ID": str(e.device_id)} for e in server.entries}
    return Plan(table.ranks, server.node, local, None, ("--run_distribute=1",))


def make_plan(options: argparse.Namespace) -> Plan:
    """The plan that the options ask for.

    Raises:
        UserError: options that are impossible, alone or together, or a rank table with a mistake.
    """
    o = options
    for name, least in (("ranks", 1), ("nodes", 1), ("node_rank", 0), ("grace", 0), ("join_timeout", 1)):
        value = getattr(o, name)
        if value is not None and not value >= least:
            raise UserError(f"--{name}: found {value:g}; allowed: a number >= {least}")
    if o.rank_table:
        return _plan_by_table(o)
    ranks, nodes, node = o.ranks or 1, o.nodes or 1, o.node_rank or 0
    if ranks % nodes:
        raise UserError(f"--ranks: found {ranks}, the ranks on all {nodes} nodes; allowed: a multiple of {nodes}")
    if node >= nodes:
        raise UserError(f"--node_rank: found {node} with {nodes} in --nodes; allowed: 0 to {nodes - 1}")
    if nodes > 1 and (o.node_rank is None or o.master is None):
        missing = "--node_rank" if o.node_rank is None else "--master"
        raise UserError(
            f"{missing}: found nothing with {nodes} in --nodes; every machine needs its own --node_rank (0 to "
            f"{nodes - 1}) and the same --master, the address of machine 0"
        )
    if ranks == 1:
        return alone()
    master = _master(o.master) if o.master else ("127.0.0.1", free_port())
    return by_dynamic_cluster(ranks, nodes, node, master, o.join_timeout)


def _plan_by_table(o: argparse.Namespace) -> Plan:
    table = rank_table.read(Path(o.rank_table))
    for name, count in (("ranks", table.ranks), ("nodes", len(table.servers))):
        if getattr(o, name) not in (None, count):
            raise UserError(f"--{name}: found {getattr(o, name)}, but {table.path} lists {count}; leave --{name} out")
    if o.master:
        raise UserError(f"--master: found {o.master}, but ranks of a rank table need no scheduler; leave it out")
    return by_rank_table(table, rank_table.own_server(table, o.node_rank))


def _master(text: str) -> tuple[str, int]:
    """HOST[:PORT] -> (address, port); MindSpore takes no names."""
    try:
        parts = urlsplit(f"//{text}")
        if not parts.hostname:
            raise ValueError("no host")
        return socket.gethostbyname(parts.hostname), parts.port or MASTER_PORT
    except (ValueError, OSError) as error:  # the first: the port
        problem = getattr(error, "strerror", None) or error
        raise UserError(
            f"--master: found {text!r} ({problem}); allowed: HOST or HOST:PORT, HOST a name or an IPv4 address"
        ) from None


def free_port() -> int:
    """A TCP port that nothing on this machine listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def read_seeds(text: str | None, arguments: Sequence[str]) -> list[int]:
    """The seeds of --seeds, or none.

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


def run_job(plan: Plan, program: Sequence[str], folder: Path, stop: Stop, grace_s: float) -> int:
    """Start all that the plan has for this machine and see it to its end; returns the exit code.

    ``program`` is a module and its arguments. The logs go to ``folder``, which is made.
    """
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"--logs: can't make {folder} ({error.strerror})") from error
    command = [sys.executable, "-m", *program, *plan.options]
    inherited = {name: value for name, value in os.environ.items() if name not in ENGINE}
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
        ending = Supervisor(ranks, scheduler, stop, grace_s).run()
    except OSError as error:
        raise UserError(f"can't start {plan.ranks} ranks ({error.strerror}); see ulimit -u and the disk") from error
    finally:
        for child in end_all([*ranks, *([scheduler] if scheduler else [])]):
            print(f"{child} can't be ended, not even by SIGKILL: a call of its driver hangs", file=sys.stderr)
    if ending.problem:
        print("\n".join(_report(ending, ranks[0], folder, plan.ranks)), file=sys.stderr, flush=True)
    return ending.code


def _report(ending: Ending, console: Child, folder: Path, ranks: int) -> list[str]:
    """The lines about a failure: who, how, its own words, where to read on, and how to go on."""
    culprit = ending.culprit
    assert culprit
    log = culprit.log_tail()
    own_words = [line for line in log if line.startswith("error: ")][-1:] if culprit.code in OWN_WORDS else []
    if culprit.code in OWN_WORDS and console.code == culprit.code:  # its words, or the same, stand on the console
        lines = [ending.problem] if ranks > 1 else []
    elif own_words:
        lines = [*own_words, ending.problem]
    else:
        lines = [f"error: {ending.problem}" + ("; the end of its log:" if log else "")]
        lines += [f"  {line}" for line in log[-TAIL_LINES:]]
    if ranks > 1:
        lines.append(f"logs: {folder}")
    try:
        run = Path((folder / "run_folder").read_text().strip())
        if (run / "checkpoints/last.ckpt").exists():
            lines.append(f"resume: the same command with RESUME={run}")
    except OSError:  # no run folder was made
        pass
    return lines


def run_all(options: argparse.Namespace, seeds: Sequence[int], stop: Stop) -> int:
    """One job, or one for each seed, one after the other, until one does not end with 0."""
    # Launchers of several machines may share the folder and, in containers, the number of their process.
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}_{socket.gethostname()}_{os.getpid()}"
    folder = Path(options.logs) / name
    program = [options.module, *options.arguments]
    if not seeds:
        return run_job(make_plan(options), program, folder, stop, options.grace)
    for i, seed in enumerate(seeds):
        plan = make_plan(options)  # anew, for another port
        print(f"seed {seed} ({i + 1} of {len(seeds)})", flush=True)
        code = run_job(plan, [*program, f"--seed={seed}"], folder / f"seed_{seed}", stop, options.grace)
        done = i if code else i + 1
        if stop.received and done < len(seeds):
            code = code or stop.code  # it came too late for this seed, and the next one must not begin
        if code:
            parts = {"done": seeds[:done], "stopped": seeds[done : i + 1], "not begun": seeds[i + 1 :]}
            listed = [f"{what} {' '.join(map(str, which)) or 'none'}" for what, which in parts.items()]
            print(f"seeds: {'; '.join(listed)} (to resume a run, leave SEEDS out)", file=sys.stderr)
            return code
    return 0


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; `--help` and what argparse refuses end the process."""
    parser = argparse.ArgumentParser(
        "python -m hlg.launch", description="Start the ranks of a run on this machine.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--ranks", type=int, metavar="N", help="ranks on all machines (default 1, or as the rank table says)")
    add("--nodes", type=int, metavar="N", help="machines (default 1, or as the rank table says)")
    add("--node_rank", type=int, metavar="R", help="which of them this one is, from 0")
    add("--master", metavar="HOST[:PORT]", help=f"machine 0, as the others reach it (default port {MASTER_PORT})")
    add("--rank_table", metavar="FILE", help="rank table of Ascend devices, as hccl_tools.py writes it")
    add("--seeds", metavar='"1 2 3"', help="run once for each seed, one after the other")
    add("--logs", metavar="DIR", default="results/runs/.ranks", help="where the ranks' logs go (default %(default)s)")
    add("--grace", type=float, default=60, metavar="S", help="seconds to save and end in (default %(default)s)")
    add("--join_timeout", type=int, default=600, metavar="S", help="seconds to come together in (default %(default)s)")
    add("module", metavar="MODULE", help="the program, such as hlg.train")
    add("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="its arguments")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    options = read_options(argv)
    try:
        with Stop() as stop:
            return run_all(options, read_seeds(options.seeds, options.arguments), stop)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code

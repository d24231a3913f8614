"""Plan which ranks run on this machine, on which devices, and how they find each other."""

import argparse
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hlg.errors import UserError
from hlg.launch.rank_table import RankTable, Server, own_server, read_rank_table

MASTER_PORT = 8118  # msrun's
MOST_RANKS, MOST_S = 100_000, 31_536_000  # the second: a year

# The variables that tell a process that it is a rank. Those that the shell has of an earlier start are not inherited.
RANK_VARIABLES = {"MS_ROLE", "MS_NODE_ID", "MS_WORKER_NUM", "MS_SCHED_HOST", "MS_SCHED_PORT", "MS_TOPO_TIMEOUT"}
RANK_VARIABLES |= {"RANK_TABLE_FILE", "RANK_ID", "RANK_SIZE", "DEVICE_ID"}


@dataclass(frozen=True)
class RankPlan:
    """The ranks that are started on this machine, and their environment.

    ``local`` has the variables of each rank by its number among all ``ranks``, in order; ``scheduler`` those of the
    scheduler, or None where none is started. ``options`` are added to the program's.
    """

    ranks: int
    node: int
    local: dict[int, dict[str, str]]
    scheduler: dict[str, str] | None
    options: tuple[str, ...]


def plan_single_rank(*options: str) -> RankPlan:
    """Plan one rank in all: a plain process."""
    return RankPlan(1, 0, {0: {}}, None, (*options, "--run_distribute=0"))


def plan_dynamic_cluster(ranks: int, nodes: int, node: int, master: tuple[str, int], join_timeout_s: int) -> RankPlan:
    """Plan ranks that find each other by the scheduler at ``master`` (address, port), which node 0 starts.

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
    return RankPlan(
        ranks, node, local, shared | {"MS_ROLE": "MS_SCHED"} if node == 0 else None, ("--run_distribute=1",)
    )


def plan_rank_table(table: RankTable, server: Server) -> RankPlan:
    """Plan ranks that find each other by a rank table; ``server`` is this machine in it."""
    if table.ranks == 1:
        return plan_single_rank(f"--device_id={server.entries[0].device_id}")
    shared = {"RANK_TABLE_FILE": str(table.path.absolute()), "RANK_SIZE": str(table.ranks)}
    local = {e.rank: shared | {"RANK_ID": str(e.rank), "DEVICE_ID": str(e.device_id)} for e in server.entries}
    return RankPlan(table.ranks, server.node, local, None, ("--run_distribute=1",))


def plan_ranks(options: argparse.Namespace) -> RankPlan:
    """Plan what the options of the launcher ask for.

    Raises:
        UserError: options that are impossible, alone or together, or a rank table with a mistake.
    """
    o = options
    for name, least in (("ranks", 1), ("nodes", 1), ("node_rank", 0), ("grace", 0), ("join_timeout", 1)):
        value, most = getattr(o, name), MOST_S if name in ("grace", "join_timeout") else MOST_RANKS
        if value is not None and not least <= value <= most:
            raise UserError(f"--{name}: found {str(value)[:40]}; allowed: a number >= {least}, <= {most}")
    if o.rank_table:
        return _plan_options_with_table(o)
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
        return plan_single_rank()
    master = _master(o.master) if o.master else ("127.0.0.1", free_port())
    return plan_dynamic_cluster(ranks, nodes, node, master, o.join_timeout)


def _plan_options_with_table(o: argparse.Namespace) -> RankPlan:
    table = read_rank_table(Path(o.rank_table))
    for name, count in (("ranks", table.ranks), ("nodes", len(table.servers))):
        if getattr(o, name) not in (None, count):
            raise UserError(f"--{name}: found {getattr(o, name)}, but {table.path} lists {count}; leave --{name} out")
    if o.master:
        raise UserError(f"--master: found {o.master}, but ranks of a rank table need no scheduler; leave it out")
    return plan_rank_table(table, own_server(table, o.node_rank))


def _master(text: str) -> tuple[str, int]:
    """Resolve HOST[:PORT] to (address, port); MindSpore takes no names."""
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
    """Find a TCP port that nothing on this machine listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])

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
--logs, which every rank finds in HLG_RANK_LOGS. Exit codes: 0 done, 75 stopped by SIGTERM or SIGHUP, 130 by Ctrl-C; 2
and 3 as a rank ended; 1 any other failure.
"""

import argparse
from collections.abc import Sequence

from hlg.console import say_error
from hlg.errors import OptionParser, UserError
from hlg.launch.jobs import read_seeds, run_jobs
from hlg.launch.placement import MASTER_PORT
from hlg.signals import StopSignals, run_main


def read_launch_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ``--help`` and what argparse refuses end the process."""
    parser = OptionParser(
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
    """Run the program; returns its exit code."""
    options = read_launch_options(argv)
    try:
        with StopSignals() as stop:
            return run_jobs(options, read_seeds(options.seeds, options.arguments), stop)
    except UserError as error:
        say_error(error)
        return error.exit_code


if __name__ == "__main__":
    run_main(main)

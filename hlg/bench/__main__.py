"""Measure one thing on this machine: ``python -m hlg.bench step --batch_size 8 --steps 10 --json FILE``.

WHAT is one of:
  forward   the network alone, on random images
  step      a whole training step, from pixels to weights
  input     augmented training images, some batches a repetition
  evaluate  an evaluation of some batches: read, decode, network, count
  fed_step, fed_forward   a training step or a step of an evaluation, with its wait for images from files

Any key of the configuration may follow. The device is a CPU unless --device_target says otherwise, and images are
drawn unless --dataset_path or --eval_path names a folder. The result has the times, the number and mean size of the
images, and the process's peak memory. Started by hlg.launch, every rank measures the same at the same time, and the
first one writes the result, with what each rank took in ``rank_totals_s``.

--paced waits for a line on standard input before each repetition and answers with its seconds on standard output, so
that repro.bench.turns can measure several programs by turns. --profile FOLDER writes which operators the time goes to.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hlg import cli
from hlg.config import Config
from hlg.errors import OptionParser
from hlg.runtime.engine import check_start
from hlg.signals import run_main

WARM_UP = 2  # repetitions before those that count
# Which images a measurement takes, if any.
READS = {
    "input": "dataset_path",
    "evaluate": "eval_path",
    "fed_step": "dataset_path",
    "fed_forward": "eval_path",
}


def read_bench_options(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split the command line into this program's own options and keys of the configuration."""
    parser = OptionParser(
        prog="python -m hlg.bench",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("forward", "step", *READS))
    parser.add_argument("--steps", type=_count, default=10, help="repetitions (10)")
    parser.add_argument("--warm_up", type=_count, default=WARM_UP, help=f"before them, and not counted ({WARM_UP})")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--paced", action="store_true", help="a repetition for each line on standard input")
    parser.add_argument("--profile", help="folder for the profile")
    own, keys = parser.parse_known_args(argv)
    if not {key.partition("=")[0] for key in keys} & {"--config_path", "--device_target"}:
        keys += ["--device_target", "CPU"]
    return own, keys


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a whole number from 1 on")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    own, keys = read_bench_options(sys.argv[1:] if argv is None else argv)

    def work(config: Config, *_: object) -> None:
        check_start(config)
        from hlg.bench.run import run_benchmark  # here, because MindSpore takes seconds to import

        run_benchmark(own, config)

    unread = {"dataset_path", "eval_path"} - {READS.get(own.what)}
    return cli.run_program(work, keys, unread=tuple(unread))


if __name__ == "__main__":
    run_main(main)

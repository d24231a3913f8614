"""Measure a device with this network: `make bench-cpu`, `make bench-gpu`, `make bench-ascend`.

    python -m repro.bench.device --device cpu --batches "1 8" --amp "O0 O3" --cards 2 --steps 100 [-- --seed=2]

Training and inference in each precision, with each batch, on 1, 2, 4, ... cards: each configuration in processes of its
own, so that memory and compilation are its own. One that fails, for want of memory or anything else, has its reason in
its row. Writes a folder: table.md, bench.json, a file and a log for each configuration. Exit codes: 0 all was measured,
1 some of it failed, 2 a mistake or a device that can't be used, 130 Ctrl-C, 143 SIGTERM.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from repro.bench.device_page import markdown_tables, terminal_page
from repro.bench.logged import ProgramError, run_logged
from repro.bench.measurement import DeviceMeasurement, is_measured, read_measurement
from repro.bench.record import make_record
from repro.bench.sweep import (
    BATCHES,
    PRECISIONS,
    TARGETS,
    Configuration,
    Sweep,
    read_batches,
    read_cards,
    read_keys,
    read_precisions,
    read_steps,
)
from repro.errors import CommandParser, ReproError, resumable, run_tool, tell
from repro.files import replace_file

OUT = Path("results/bench")
MISTAKE = 2  # exit code


def bench_options(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line, with the words behind `--` in `keys`."""
    parser = CommandParser(
        prog="python -m repro.bench.device",
        description=__doc__.splitlines()[0],
        epilog="Behind a further -- stand keys of the configuration, such as --train_image_size=112.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--device", default="cpu", choices=list(TARGETS))
    add("--batches", help='images a batch on each card, such as "32 64 128"')
    add("--amp", default=" ".join(PRECISIONS), help="precisions (%(default)s)")
    add("--cards", default="1", help="how many there are: 1, 2, 4, ... of them are measured (%(default)s)")
    add("--steps", default="100", help="batches that count (%(default)s)")
    add("--imagenet", default="", help="a folder with train/ and val/: measure with images from there too")
    add("--resume", type=Path, metavar="DIR", help="an unfinished folder of the same command")
    end = argv.index("--") if "--" in argv else len(argv)
    options = parser.parse_args(argv[:end])
    options.keys = argv[end + 1 :]
    return options


def read_sweep(options: argparse.Namespace) -> Sweep:
    """Return what is to be measured. Raises ReproError."""
    batches = BATCHES[options.device] if options.batches is None else options.batches
    return Sweep(
        options.device,
        read_batches(batches),
        read_precisions(options.amp),
        read_cards(options.cards),
        read_steps(options.steps),
        options.imagenet,
        read_keys(options.keys),
    )


def measure_sweep(
    sweep: Sweep, folder: Path
) -> tuple[dict[Configuration, DeviceMeasurement], dict[Configuration, str]]:
    """Measure what is not yet in the folder; return what was found, and why the rest was not.

    Raises:
        ReproError: a mistake that concerns all configurations.
    """
    found: dict[Configuration, DeviceMeasurement] = {}
    failed: dict[Configuration, str] = {}
    todo = sweep.configurations()
    start, measured = time.monotonic(), 0
    for number, one in enumerate(todo, 1):
        file, log = folder / f"{one.stem}.json", folder / f"{one.stem}.log"
        kept = is_measured(file, sweep, one)
        try:
            if not kept:
                file.unlink(missing_ok=True)
                run_logged(sweep.command(one, file, folder / "ranks"), log)
                measured += 1
            found[one] = read_measurement(file, one.cards)
            words = f"{found[one].images_per_s:,.1f} images/s{', measured before' if kept else ''}"
        except ProgramError as error:
            if error.code == MISTAKE and not found and "batch_size" not in str(error):
                raise ReproError(str(error)) from None
            measured += 1
            failed[one], words = str(error), f"failed: {error}, see {log}"
        left = (time.monotonic() - start) / max(measured, 1) * (len(todo) - number)
        tell(f"{number} of {len(todo)}: {one}: {words}" + (f"; about {left / 60:.0f} min left" if left else ""))
    return found, failed


def _bench(options: argparse.Namespace) -> int:
    sweep = read_sweep(options)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder: Path = options.resume or OUT / f"{stamp}_{sweep.device}x{max(sweep.cards)}"
    if options.resume and not folder.is_dir():
        raise ReproError(f"--resume: found '{folder}', which is no folder; leave it out to begin anew")
    for split in ("train", "val") if sweep.imagenet else ():
        if not Path(sweep.imagenet, split).is_dir():
            raise ReproError(
                f"--imagenet: found {sweep.imagenet!r}, which has no folder {split}/; make imagenet makes both"
            )
    tell(f"measuring {len(sweep.configurations())} configurations, {sweep.steps} batches each; results: {folder}")
    try:
        found, failed = measure_sweep(sweep, folder)
    except ReproError:
        if not options.resume and not list(folder.glob("*.json")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if not found:
        first = next(iter(failed.values()))
        raise ReproError(f"nothing could be measured: {first}; the logs are in {folder}")
    record = make_record(sweep, found, failed)
    replace_file(folder / "bench.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    replace_file(folder / "table.md", f"# {record['device']}\n\n{markdown_tables(record)}")
    tell(
        "",
        terminal_page(record),
        "",
        f"{folder / 'table.md'}: the same with notes; {folder / 'bench.json'}: for programs",
    )
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = bench_options(list(sys.argv[1:] if argv is None else argv))
    kept = "what was measured is kept; the same command with RESUME=the folder above measures the rest"
    return resumable(partial(_bench, options), kept)


if __name__ == "__main__":
    run_tool(main)

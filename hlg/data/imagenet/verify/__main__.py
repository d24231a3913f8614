"""Look at every image of an ImageNet folder, whole or a subset, and keep a report beside train/ and val/.

    python -m hlg.data.imagenet.verify --imagenet /data/imagenet

Every file is read, hashed and decoded as training decodes it. The exit code is 1 if the data set has a fault; oddities
that ImageNet is known for are listed only. A run on these data records the hashes of the report and of all contents.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hlg.cli import folder_argument
from hlg.console import say, say_error
from hlg.data.imagenet.verify.inspection import inspect_splits
from hlg.data.imagenet.verify.page import inspection_page, write_inspection
from hlg.data.index import REPORT
from hlg.errors import OptionParser, UserError
from hlg.limits import usable_cores
from hlg.signals import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code: 0 without faults, 1 with faults, 2 for a mistake in the command."""
    parser = OptionParser(prog="python -m hlg.data.imagenet.verify", description="Look at every image of a data set.")
    parser.add_argument("--imagenet", type=folder_argument, required=True, help="holds train/ and val/, or one of them")
    parser.add_argument("--report", default="", help="folder for the report (default: beside the splits)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="threads")
    options = parser.parse_args(argv)
    place = Path(options.report or options.imagenet)
    try:
        if not 1 <= options.workers <= 1024:
            raise UserError(f"--workers: found {str(options.workers)[:40]}; allowed: 1 to 1024")
        if options.report:
            place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK):  # before hours of work
            raise UserError(f"{place}: can't be written, so name a folder for the report: --report=folder")
        report = inspect_splits(options.imagenet, options.workers)
        digest = write_inspection(report, place)
    except UserError as error:
        say_error(error)
        return error.exit_code
    except OSError as error:
        say_error(f"{error.filename or place}: {error.strerror or error}")
        return UserError.exit_code
    except KeyboardInterrupt:
        say("stopped by Ctrl-C: there is no report", file=sys.stderr)
        return 130
    say(inspection_page(report), f"{place / REPORT}: {digest}")
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    run_main(main)

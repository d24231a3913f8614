"""Unpack ImageNet's archives, or sort its images, into class folders under train/ and val/.

python -m hlg.data.imagenet --archives /downloads --out /data/imagenet
"""

import sys
from collections.abc import Sequence

from hlg.cli import folder_argument
from hlg.console import say, say_error
from hlg.data.imagenet.unpack import unpack_imagenet
from hlg.errors import OptionParser, UserError
from hlg.limits import usable_cores
from hlg.signals import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = OptionParser(
        prog="python -m hlg.data.imagenet", description="Unpack ImageNet's archives into class folders."
    )
    parser.add_argument(
        "--archives", type=folder_argument, required=True, help="folder with archives or images, and their list"
    )
    parser.add_argument("--out", type=folder_argument, required=True, help="gets train/ and val/")
    parser.add_argument("--link", action="store_true", help="make links to images that lie unpacked, not copies")
    parser.add_argument("--workers", type=int, default=min(16, 2 * usable_cores()), help="threads")
    options = parser.parse_args(argv)
    try:
        if not 1 <= options.workers <= 1024:
            raise UserError(f"--workers: found {str(options.workers)[:40]}; allowed: 1 to 1024")
        unpack_imagenet(options.archives, options.out, options.workers, options.link)
    except UserError as error:
        say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        say("stopped by Ctrl-C: type the same command to resume", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    run_main(main)

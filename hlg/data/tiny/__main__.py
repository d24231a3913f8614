"""Make or verify a tiny data set.

python -m hlg.data.tiny --out data/tiny                   # ten drawn classes, see hlg.data.tiny.drawing
python -m hlg.data.tiny --out data/tiny --imagenet /path  # a fixed-seed subset of /path
python -m hlg.data.tiny --out data/tiny --verify          # compare every byte with the manifest
"""

from pathlib import Path

from hlg.console import printable, say, say_error
from hlg.data.index import SPLITS
from hlg.data.tiny.make import TinyRequest, make_tiny
from hlg.data.tiny.manifest import verify_tiny
from hlg.errors import OptionParser, UserError
from hlg.limits import usable_cores
from hlg.signals import run_main


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code: 0, 1 for a data set that differs, 2 for a mistake in the command."""
    default = TinyRequest()
    parser = OptionParser(
        prog="python -m hlg.data.tiny", description="Make a small, deterministic, ImageNet-shaped data set."
    )
    parser.add_argument("--out", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--classes", type=int, default=default.classes)
    parser.add_argument("--train", type=int, default=default.train, help="training images per class")
    parser.add_argument("--val", type=int, default=default.val, help="validation images per class")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--imagenet", default="", help="carve from this folder (it holds train/ and val/)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="drawing processes")
    parser.add_argument("--verify", action="store_true", help="only compare --out with its manifest")
    args = parser.parse_args(argv)
    try:
        if args.verify:
            problems = verify_tiny(args.out)
            say(*map(printable, problems) if problems else [f"{args.out}: as its manifest says"])
            return 1 if problems else 0
        imagenet = str(Path(args.imagenet).resolve()) if args.imagenet else None
        request = TinyRequest(args.classes, args.train, args.val, args.seed, imagenet)
        manifest, new = make_tiny(args.out, request, args.workers)
    except UserError as error:
        say_error(error)
        return 2
    counts = ", ".join(f"{manifest['splits'][split]['images']} {split}" for split in SPLITS)
    say(f"{args.out}: {counts} images, sha256 {manifest['hash']}" + ("" if new else " (already there)"))
    return 0


if __name__ == "__main__":
    run_main(main)

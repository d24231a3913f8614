"""Print the known releases of MindSpore, what belongs to each, and how it went here: `make stacks`."""

from collections.abc import Mapping
from pathlib import Path

from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.markdown import columns
from repro.releases.kept import FOLDER, KeptRelease, read_kept_releases
from repro.releases.table import NOT_RUN, fingerprint_words
from repro.stacks.releases import read_releases

NAME = "stacks"
HEADER = (
    "MindSpore",
    "Released",
    "Python",
    "NumPy",
    "protobuf",
    "CUDA",
    "CANN accepted",
    "compiled with",
    "for chips",
    "documented with",
    "run on a CPU",
)


def stack_rows(kept: Mapping[str, KeptRelease | None]) -> list[tuple[str, ...]]:
    """Return a row for each release, newest first; ``kept``: what `make releases` measured of it."""
    default, *_ = releases = read_releases()
    return [
        (
            f"{version} (default)" if version == default else version,
            release.released,
            ", ".join(release.pythons),
            release.numpy,
            release.protobuf,
            ", ".join(release.cuda),
            ", ".join(release.cann),
            f"CANN {release.compiled}",
            ", ".join(release.chips),
            "CANN {}, driver {}".format(*release.documented) if release.documented else "–",
            fingerprint_words(found) if (found := kept[version]) else NOT_RUN,
        )
        for version, release in releases.items()
    ]


def main() -> int:
    """Run the program and return its exit code."""
    parser = CommandParser(prog="python -m repro.releases.stacks", description="Known releases of MindSpore.")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of what was measured (%(default)s)")
    try:
        kept = read_kept_releases(parser.parse_args().results, read_releases())
    except ReproError as error:
        tell_error(error)
        return 2
    tell(columns([HEADER, *stack_rows(kept)]))
    tell("Choose one on any target: make tiny MINDSPORE=2.7.0")
    return 0


if __name__ == "__main__":
    run_tool(main)

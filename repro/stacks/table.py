"""Put the known releases of MindSpore in a table, for a terminal or a page."""

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
)


def stack_rows() -> list[tuple[str, ...]]:
    """Return a row for each release, newest first."""
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
        )
        for version, release in releases.items()
    ]

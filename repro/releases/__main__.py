"""Measure releases of MindSpore, each in an environment of its own, and compare them: `make releases`.

    python -m repro.releases [--releases "2.7.0 2.10.0"]

Resumable: what was measured of this code, on this machine and with this lock is not measured again. Exit codes: 0 all
was measured, 1 some of it failed and is named in the table, 2 a mistake, 130 Ctrl-C, 143 SIGTERM.
"""

import argparse
import sys
import time
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path

from repro.bench.logged import ProgramError
from repro.check.baselines import read_baselines
from repro.errors import CommandParser, ReproError, resumable, run_tool, tell
from repro.markdown import columns
from repro.releases.kept import FOLDER, KeptRelease, kept_path, read_kept_releases, write_kept
from repro.releases.measure import STAMP, CodeChangedError, Measurement, Site, assemble, find_site
from repro.releases.table import release_header, release_rows
from repro.stacks.releases import read_releases

BUILD = Path("build/releases")
BASELINES = Path("results/baselines")
# Seconds that a stage takes on two quiet cores, until this call has timed one; and to build an environment.
EXPECTED = {
    "environment": 5.0,
    "fingerprint, graph mode": 75.0,
    "fingerprint, PyNative mode": 25.0,
    "short run": 120.0,
    "step by turns": 140.0,
    "forward by turns": 48.0,
}
BUILDING = 125.0
KEEPS = "what is finished is kept, and make releases resumes behind it"


class Progress:
    """The stages that are left, and how long they may take."""

    def __init__(self, releases: Sequence[str], site: Site, measured: Container[str]) -> None:
        self.left = [(name, stage) for name in releases for stage in EXPECTED]
        self.took: dict[str, list[float]] = {stage: [] for stage in EXPECTED}
        self.unbuilt = [name for name in releases if not (site.venv(name) / STAMP).exists()]
        for name in releases:
            if name in measured:
                self.skip(name)

    def done(self, release: str, stage: str, seconds: float) -> None:
        """Take a stage off; seconds of 0 say that it was not run now."""
        self.left = [pair for pair in self.left if pair != (release, stage)]
        if seconds > 0 and stage != "environment":
            self.took[stage].append(seconds)

    def skip(self, release: str) -> None:
        """Take all stages of a release off."""
        self.left = [pair for pair in self.left if pair[0] != release]

    def time_left(self) -> str:
        """Say how long the rest takes, if each stage takes what the same one took before."""
        seconds = 0.0
        for release, stage in self.left:
            took = self.took[stage]
            seconds += sum(took) / len(took) if took else EXPECTED[stage]
            seconds += BUILDING if stage == "environment" and release in self.unbuilt else 0
        return f"about {max(1, round(seconds / 60))} min left" if self.left else "done"


def chosen_releases(words: str | None) -> list[str]:
    """Return the releases to measure: the named ones, or all, the default first, for its speed says what noise does.

    Raises:
        ReproError: one is not known.
    """
    known = list(read_releases())
    named = known if words is None else words.split()
    for release in named:
        if release not in known:
            raise ReproError(f"--releases: found {release!r}; known: {', '.join(known)}")
    if not named:
        raise ReproError(f"--releases: found nothing; name some of {', '.join(known)}")
    return [release for release in known if release in named]


def is_current(kept: KeptRelease | None, key: Mapping[str, object]) -> bool:
    """Tell whether a release was measured in full, with this key."""
    return kept is not None and kept.key == key and not kept.failed


def measure_release(release: str, site: Site, folder: Path, kept: KeptRelease | None, progress: Progress) -> bool:
    """Measure one release and keep its file; return whether nothing failed. A failed stage does not stop the others."""
    measurement = Measurement(release, site)
    found, failed = {}, {}
    for stage in measurement.stages():
        try:
            found[stage], words, seconds = measurement.run_stage(stage)
        except (ProgramError, ReproError) as error:
            failed[stage] = f"{error}, see {measurement.log}"
            words, seconds = f"failed: {failed[stage]}", 0.0
        progress.done(release, stage, seconds)
        unbuilt = stage == "environment" and stage in failed
        if unbuilt:
            progress.skip(release)
        took = f"{seconds:.0f} s, " if seconds else ""
        tell(f"{release}: {stage}: {took}{words}; {progress.time_left()}")
        if unbuilt:
            break
        if stage == "environment" and is_current(kept, measurement.key):
            progress.skip(release)
            tell(f"{release}: measured before, {kept_path(folder, release)}; {progress.time_left()}")
            return True
    if "environment" not in failed or kept is None or kept.failed:  # what was measured once outlives a bad network
        write_kept(kept_path(folder, release), assemble(measurement, found, failed))
    return not failed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.releases", description=__doc__.splitlines()[0])
    parser.add_argument("--releases", metavar='"2.7.0 2.10.0"', help="those to measure (all)")
    parser.add_argument("--venv", type=Path, default=Path(".venv"), help="environment of the default release")
    parser.add_argument("--python", default=sys.executable, help="Python that builds environments")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the files (%(default)s)")
    return resumable(partial(_measure, parser.parse_args(argv)), KEEPS)


def _measure(options: argparse.Namespace) -> int:
    """Measure the chosen releases and print the table; return the exit code."""
    known = read_releases()
    default = next(iter(known))
    chosen = chosen_releases(options.releases)
    kept = read_kept_releases(options.results, known)
    baselines = read_baselines(BASELINES)
    site = find_site(default, options.venv, options.python, BUILD)
    measured = [name for name in chosen if is_current(kept[name], site.key(name))]
    progress, start = Progress(chosen, site, measured), time.monotonic()
    tell(f"measuring {', '.join(chosen)}; {progress.time_left()}")
    try:
        failed = [name for name in chosen if not measure_release(name, site, options.results, kept[name], progress)]
    except CodeChangedError as error:
        raise ReproError(str(error)) from None
    kept = read_kept_releases(options.results, known)
    rows = release_rows(kept, default, baselines)
    tell("", columns([release_header(kept[default]), *rows]), f"after {(time.monotonic() - start) / 60:.0f} min")
    if failed:
        tell(f'to try again what failed: make releases VERSIONS="{" ".join(failed)}"')
    return 1 if failed else 0


if __name__ == "__main__":
    run_tool(main)

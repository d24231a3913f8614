"""Say what two releases of MindSpore compute and how fast, and where they part: `make release-diff A=2.8.0 B=2.10.0`

    python -m repro.releases.diff 2.8.0 2.10.0

Reads what `make releases` kept. Exit codes: 0 the same, 1 they part: a row's verdict, a loss beyond rounding, a speed
beyond noise; 2 a mistake, or a release that was not measured.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from repro.check.baselines import Baseline, read_baselines
from repro.errors import CommandParser, ReproError, run_tool, tell, tell_error
from repro.releases.comparison import beyond_noise, compare_losses, noise_of, row_changes, speed_ratio
from repro.releases.kept import FOLDER, MODES, WORKLOADS, KeptRelease, kept_path, read_kept_release
from repro.stacks.releases import read_releases

BASELINES = Path("results/baselines")
SHOWN = 4  # of the rows that part behind the first one, and of those whose errors differ most
FACTOR = 2  # errors that differ by no more than this are not shown


def compare_releases(
    a: KeptRelease, b: KeptRelease, control: KeptRelease | None, baselines: Sequence[Baseline]
) -> Iterator[tuple[bool, str]]:
    """Compare two releases, in the order of the data; whether they part there, and in words."""
    for words in _circumstances(a, b):
        yield False, words
    for release in (a, b):
        for stage, line in release.failed.items():
            yield True, f"{release.release}: {stage} failed: {line}"
    for mode in MODES:
        if mode in a.fingerprints and mode in b.fingerprints:
            yield from _compare_rows(mode, a, b)
    if a.short_run and b.short_run:
        found = compare_losses(b.short_run, a.short_run, baselines)
        yield found.parted, f"losses: {b.release} {found.told(a.release)}"
    for what in WORKLOADS:
        if what in a.speeds and what in b.speeds:
            yield _compare_speed(what, a, b, noise_of(control, what))


def _circumstances(a: KeptRelease, b: KeptRelease) -> Iterator[str]:
    """Say what else differs."""
    if a.machine != b.machine:
        yield f"not one machine: {a.release} on {a.machine}; {b.release} on {b.machine}"
    if a.key["code"] != b.key["code"]:
        yield f"not one code: {a.release} at {a.commit}; {b.release} at {b.commit}"


def _compare_rows(mode: str, a: KeptRelease, b: KeptRelease) -> Iterator[tuple[bool, str]]:
    one, other = a.fingerprints[mode], b.fingerprints[mode]
    verdicts, apart = row_changes(one, other)
    for place, label in enumerate(verdicts[: 1 + SHOWN]):
        first = "they part first at" if place == 0 else "and then at"
        yield True, f"fingerprint, {mode} mode: {first} {label}: {_row(a, mode, label)}, {_row(b, mode, label)}"
        if place == 0 and (cause := one.cause or other.cause):
            yield True, f"  probable cause: {cause}"
    if len(verdicts) > 1 + SHOWN:
        yield True, f"  and {len(verdicts) - 1 - SHOWN} more rows whose verdicts differ"
    if not verdicts:
        yield False, f"fingerprint, {mode} mode: the same verdict in all {one.done} rows"
    far = [label for label, factor in apart.items() if factor > FACTOR]
    for label in far[:SHOWN]:
        yield False, f"  within bounds, but not the same: {label}: {_row(a, mode, label)}, {_row(b, mode, label)}"
    if len(far) > SHOWN:
        yield False, f"  and {len(far) - SHOWN} more whose errors differ by a factor of more than {FACTOR}"


def _row(kept: KeptRelease, mode: str, label: str) -> str:
    error, verdict = kept.fingerprints[mode].rows.get(label, (None, "missing"))
    return f"{kept.release} {verdict}" + ("" if error is None else f" ({error:.1e})")


def _compare_speed(what: str, a: KeptRelease, b: KeptRelease, noise: float | None) -> tuple[bool, str]:
    ratio = speed_ratio(b.speeds[what], a.speeds[what])
    words = f"{what}: {b.release} takes {ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f}) of the time of {a.release}"
    if noise is None:
        return False, f"{words}; what noise does is not known: make releases measures the default against itself"
    if beyond_noise(ratio, noise):
        return True, f"{words}, beyond noise (a factor of {noise:.2f})"
    return False, f"{words}, which noise explains (a factor of {noise:.2f})"


def _measured(folder: Path, release: str) -> KeptRelease:
    found = read_kept_release(kept_path(folder, release))
    if found is None:
        raise ReproError(f'{release} was not measured; type: make releases VERSIONS="{release}"')
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = CommandParser(prog="python -m repro.releases.diff", description="Compare two measured releases.")
    parser.add_argument("a", metavar="A", help="a release, such as 2.8.0")
    parser.add_argument("b", metavar="B", help="another one")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the files (%(default)s)")
    options = parser.parse_args(argv)
    known = read_releases()
    default = next(iter(known))
    try:
        for name, release in (("A", options.a), ("B", options.b)):
            if release not in known:
                raise ReproError(f"{name}: found {release!r}, which is no known release; known: {', '.join(known)}")
        a, b = (_measured(options.results, release) for release in (options.a, options.b))
        control = read_kept_release(kept_path(options.results, default))
        found = list(compare_releases(a, b, control, read_baselines(BASELINES)))
    except ReproError as error:
        tell_error(error)
        return 2
    for _, words in found:
        tell(words)
    parted = any(part for part, _ in found)
    tell(f"{a.release} and {b.release}: {'they part' if parted else 'the same'}")
    return 1 if parted else 0


if __name__ == "__main__":
    run_tool(main)

"""Put the kept releases in a table: does each still compute what the one before did, and how fast?"""

from collections.abc import Mapping, Sequence

from repro.check.baselines import Baseline
from repro.releases.comparison import beyond_noise, compare_losses, noise_of, speed_ratio
from repro.releases.kept import MODES, WORKLOADS, KeptRelease

NAME = "releases"
HEADER = ("MindSpore", "Fingerprint", "Losses", "Step", "Forward", "Compile", "Memory", "Disk", "Notes")
NOT_RUN = "not run"
NONE = "–"


def release_header(control: KeptRelease | None) -> tuple[str, ...]:
    """Return the cells above the rows, with the machine on which the default release was measured."""
    return (f"MindSpore on {control.machine}" if control else HEADER[0], *HEADER[1:])


def release_rows(
    releases: Mapping[str, KeptRelease | None], default: str, baselines: Sequence[Baseline]
) -> list[tuple[str, ...]]:
    """Return a row for each release, oldest first: each one's losses are compared with those of the one before."""
    rows, before = [], None
    control = releases.get(default)
    for release, kept in releases.items():
        name = f"{release} (default)" if release == default else release
        if kept is None:
            rows.append((name, *[NOT_RUN] * (len(HEADER) - 2), ""))
            continue
        step = kept.speeds.get("step")
        rows.append(
            (
                name,
                fingerprint_words(kept),
                _losses(kept, before, baselines),
                *(_speed(kept, what) for what in WORKLOADS),
                f"{step.compile_s:.0f} s" if step else NONE,
                f"{step.peak_bytes / 1e9:.1f} GB" if step else NONE,
                f"{kept.size_bytes / 1e9:.1f} GB" if kept.size_bytes else NONE,
                "; ".join(_notes(kept, control)),
            )
        )
        before = kept if kept.short_run else before
    return rows


def fingerprint_words(kept: KeptRelease) -> str:
    """Say how many rows of a release's fingerprint are within bounds, in both modes, or the first that is not."""
    said: dict[str, list[str]] = {}
    for mode in MODES:
        found = kept.fingerprints.get(mode)
        if found is None:
            words = "failed"
        elif first := found.first_out:
            words = f"first out: {first} ({found.cause.rstrip('.')})" if found.cause else f"first out: {first}"
        else:
            words = f"{found.done} of {found.done} rows"
        said.setdefault(words, []).append(mode)
    return "; ".join(
        words if len(modes) == len(MODES) else f"{', '.join(modes)}: {words}" for words, modes in said.items()
    )


def _losses(kept: KeptRelease, before: KeptRelease | None, baselines: Sequence[Baseline]) -> str:
    if kept.short_run is None:
        return NONE
    if before is None or before.short_run is None:
        return f"{len(kept.short_run.losses)} steps"
    return compare_losses(kept.short_run, before.short_run, baselines).told(before.release)


def _speed(kept: KeptRelease, what: str) -> str:
    found = kept.speeds.get(what)
    if found is None:
        return NONE
    return "{:.2f} ({:.2f} to {:.2f})".format(*speed_ratio(found))


def _notes(kept: KeptRelease, control: KeptRelease | None) -> list[str]:
    notes = [f"{stage} failed: {line}" for stage, line in kept.failed.items()]
    if control and kept is not control:
        if kept.machine != control.machine:
            notes.append(f"on another machine than the default: {kept.machine}")
        if kept.key["code"] != control.key["code"]:
            notes.append(f"other code than the default's, {kept.commit[:8]}")
        for what in WORKLOADS:
            if (found := kept.speeds.get(what)) and (noise := noise_of(control, what)):
                ratio = speed_ratio(found)
                if beyond_noise(ratio, noise):
                    notes.append(f"{what} {'slower' if ratio[0] > 1 else 'faster'} beyond noise")
    return notes

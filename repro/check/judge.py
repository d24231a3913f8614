"""Judge a short run by the baselines: are its losses, its accuracy and its speed still what they were?"""

import math
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repro.check.baselines import Band, Baseline
from repro.check.measurements import Speed, last_top1, step_speed
from repro.check.references import LEVEL, Reference, reference_of, run_points
from repro.check.workload import OPENBLAS, differing_keys, environment_of, in_words, recipe_name, workload_of
from repro.published.schema import Verdict
from repro.records.schema import Run
from repro.statistics import share_difference

BAND_FACTOR = 4  # times the measured band: few variants have not shown the largest difference that there can be
ROUNDING = 1e-5  # of a loss, wherever the band is smaller: some ten roundings of float32
SLOWER = 0.35  # beyond the slowest repetition: so far the same code lies apart, in results/noise.json and by the hour
MACHINE = ("cpu", "cores")
ONLY_CALIBRATED_BY = (*OPENBLAS, "calibration")  # so they excuse no loss that differs
CALIBRATED_BY = (*MACHINE, "numpy", *ONLY_CALIBRATED_BY)  # what a calibration on a CPU depends on
COMMITS_SHOWN = 10
NAMES = ("losses", "accuracy", "convergence", "speed")


@dataclass(frozen=True)
class Finding:
    """The verdict on one of NAMES. `reason` says in words what was compared, and with what outcome."""

    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Judgment:
    """The verdict on a run. `baseline`: what it was compared with; `changes`: what differs since that was made."""

    run: Run
    baseline: Baseline | None
    findings: tuple[Finding, ...]
    changes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Worse if any finding is, else not measured if any is, else incomparable if a number is, else match.

        A speed that is incomparable, as on another processor, takes nothing from the numbers; and a run that
        converges as other seeds do need not have the same numbers.
        """
        verdicts = {finding.name: finding.verdict for finding in self.findings}
        numbers = {verdicts["losses"], verdicts["accuracy"]}
        for verdict, among in (
            (Verdict.WORSE, {*verdicts.values()}),
            (Verdict.NOT_MEASURED, {*verdicts.values()}),
            (Verdict.INCOMPARABLE, numbers),
        ):
            if verdict in among:
                return verdict
        return Verdict.MATCH


def judge_run(run: Run, baselines: Sequence[Baseline], folder: Path, references: Sequence[Reference] = ()) -> Judgment:
    """Compare the run with the baseline that is most like it, and with other seeds of its kind.

    `folder` is named where there is no baseline.
    """
    unclean = [f"resumed with changed keys: {text}" for text in [run.changed_keys] if text]
    unclean += [f"resumed in a different environment: {text}" for text in run.env.resumed_on]
    unclean += [f"{run.skipped_images} unreadable images were skipped"] if run.skipped_images else []
    if unclean:
        return Judgment(run, None, tuple(_incomparable(NAMES, "; ".join(unclean))))
    convergence = _convergence(run, reference_of(run, references))
    found = [
        (differing_keys(kept.workload, workload_of(run)), kept) for kept in baselines if kept.recipe == recipe_name(run)
    ]
    fitting = [kept for apart, kept in found if not apart]
    if not fitting:
        nearest = min((apart for apart, _ in found), key=len, default=None)
        losses, accuracy, speed = _incomparable(
            ("losses", "accuracy", "speed"), f"{_missing(run, nearest, folder)}; {ADVICE}"
        )
        return Judgment(run, None, (losses, accuracy, convergence, speed))
    here = environment_of(run)

    def unlike(kept: Baseline) -> tuple[bool, int]:
        """Order by same machine first, then by the number of other differences."""
        apart = differing_keys(kept.environment, here)
        return not apart.keys().isdisjoint(MACHINE), len(apart)

    baseline = min(fitting, key=unlike)
    other = differing_keys(baseline.environment, here)
    apart = in_words({key: values for key, values in other.items() if key not in ONLY_CALIBRATED_BY})
    findings = (_losses(run, baseline, apart), _accuracy(run, baseline, apart), convergence, _speed(run, baseline))
    return Judgment(run, baseline, findings, tuple(_changes(run, baseline)))


MORE_SEEDS = "make convergence runs them"
ADVICE = "make a baseline where the results are known to be good and the machine is quiet: make baseline"


def _incomparable(names: Sequence[str], reason: str) -> Iterator[Finding]:
    return (Finding(name, Verdict.INCOMPARABLE, reason) for name in names)


def _missing(run: Run, nearest: Mapping[str, tuple[Any, Any]] | None, folder: Path) -> str:
    if nearest is None:
        return f"{folder} holds no baseline of the recipe {recipe_name(run)!r}"
    apart = (f"{key} {was}, this run {now}" for key, (was, now) in nearest.items())
    return f"the nearest baseline has {', '.join(apart)}"


# ------------------------------------------------------------------------------------------------- numbers


def _losses(run: Run, baseline: Baseline, apart: str) -> Finding:
    """Judge the losses: exactly in the same environment, else within the measured band."""
    now, kept = np.array(run.steps.loss), np.array(baseline.losses)
    if len(now) != len(kept):
        return Finding("losses", Verdict.WORSE, f"{len(now)} steps, the baseline has {len(kept)}")
    if np.array_equal(now, kept):
        return Finding("losses", Verdict.MATCH, f"all {len(now)} match the baseline bit for bit")
    if not np.isfinite(now).all():
        step = int(np.flatnonzero(~np.isfinite(now))[0])
        return Finding("losses", Verdict.WORSE, f"step {step}: {now[step]}, baseline {kept[step]:.6f}")
    off = np.abs(now - kept)
    first = int(np.flatnonzero(off)[0])
    parted = f"the first to differ is that of step {first}: {now[first]:.9g}, baseline {kept[first]:.9g}"
    if not apart:
        return Finding("losses", Verdict.WORSE, f"{parted}; in the same environment every one must be the same")
    if baseline.band is None:
        return Finding("losses", Verdict.INCOMPARABLE, f"{parted}, but {apart}, and the baseline has no band for that")
    allowed = rounding_allows(baseline.band, kept)
    outside = np.flatnonzero(off > allowed)
    if len(outside):
        step = int(outside[0])
        reason = f"step {step}: {now[step]:.6f} is {off[step]:.3g} from the baseline's {kept[step]:.6f}"
        reason += f", and rounding ({apart}) explains {allowed[step]:.3g}; {parted}"
        return Finding("losses", Verdict.WORSE, reason)
    reason = f"within what rounding explains ({apart}): up to {off.max():.3g}, allowed {allowed[int(off.argmax())]:.3g}"
    return Finding("losses", Verdict.MATCH, reason)


def rounding_allows(band: Band, losses: "np.ndarray[Any, np.dtype[np.float64]]") -> Any:
    """Return how far from each of these losses rounding alone can put another's, step by step."""
    return np.maximum(BAND_FACTOR * np.array(band.losses), ROUNDING * np.abs(losses))


def _accuracy(run: Run, baseline: Baseline, apart: str) -> Finding:
    """Judge the accuracy: exactly in the same environment, else by what chance and rounding explain."""
    now, kept, n = last_top1(run), baseline.top1_pct, run.eval_images
    if now is None or n != baseline.images:
        found = "no evaluation" if now is None else f"{n} images"
        return Finding(
            "accuracy", Verdict.NOT_MEASURED, f"found {found}, expected an accuracy on {baseline.images} images"
        )
    numbers = f"{now:.3f} %, baseline {kept:.3f} % (one seed, {n} images)"
    if now == kept:
        return Finding("accuracy", Verdict.MATCH, f"{numbers}: the same")
    if not apart:
        return Finding("accuracy", Verdict.WORSE, f"{numbers}; in the same environment it must be the same")
    if baseline.band is None:
        return Finding(
            "accuracy", Verdict.INCOMPARABLE, f"{numbers}, but {apart}, and the baseline has no band for that"
        )
    allowed = share_difference(now, n, kept, n) + baseline.band.top1_points
    text = f"{numbers}: {now - kept:+.3f} points, of which {allowed:.1f} can be chance (95 %) and rounding"
    if abs(now - kept) <= allowed:
        return Finding("accuracy", Verdict.MATCH, text)
    return Finding("accuracy", Verdict.BETTER if now > kept else Verdict.WORSE, text)


def _convergence(run: Run, reference: Reference | None) -> Finding:
    """Judge whether another seed could have given this run, on whatever machine."""
    name = "convergence"
    if reference is None:
        return Finding(name, Verdict.INCOMPARABLE, f"no reference seeds for {recipe_name(run)!r}; {MORE_SEEDS}")
    top1, steps = last_top1(run), len(reference.losses[0])
    if top1 is None or (len(run.steps.loss), run.eval_images) != (steps, reference.images):
        expected = f"{steps} steps, and an evaluation of {reference.images} images"
        return Finding(name, Verdict.NOT_MEASURED, f"expected {expected}, as {len(reference.seeds)} seeds have")
    pairs = list(zip(run_points(run.steps.loss, top1), reference.points, strict=True))
    outside = [(value, point) for value, point in pairs if not point.low <= value <= point.high]
    probably = f"{len(reference.seeds)} seeds (one run, {1 - LEVEL:.0%})"
    if not outside:
        value, point = pairs[-2]
        last = f"{point.title}: {value:.3f}, {point.low:.3f} to {point.high:.3f}"
        return Finding(name, Verdict.MATCH, f"all {len(pairs)} points are consistent with {probably}; {last}")
    # A value that is not a number is on no side, and worse.
    worse = [(v, p) for v, p in outside if not (v > p.mean if p.more_is_better else v < p.mean)]
    value, point = (worse or outside)[0]
    reason = f"{point.title}: {value:.3f}, but {probably} predict {point.low:.3f} to {point.high:.3f}"
    return Finding(name, Verdict.WORSE if worse else Verdict.BETTER, reason)


def _speed(run: Run, baseline: Baseline) -> Finding:
    """Judge the step time in calibrations of the same run, by that of the baseline's repetitions."""
    now = step_speed(run)
    if now is None:
        return Finding("speed", Verdict.NOT_MEASURED, "the run has too few steps, or calibration_interval was 0")
    apart = differing_keys(baseline.environment, environment_of(run))
    other = {key: values for key, values in apart.items() if key in CALIBRATED_BY}
    if other:
        return Finding("speed", Verdict.INCOMPARABLE, f"{_took(now)}, but calibrated differently: {in_words(other)}")
    text = f"{_took(now)}; baseline {baseline.fastest:.1f} to {baseline.slowest:.1f} (n = {len(baseline.speeds)} runs)"
    text += f", and {SLOWER:.0%} beyond is noise"
    if not math.isfinite(now.ratio):
        return Finding("speed", Verdict.WORSE, f"{text}: a step time that is no finite number is worse")
    if now.ratio > baseline.slowest * (1 + SLOWER):
        return Finding("speed", Verdict.WORSE, f"{text}: slower by {now.ratio / baseline.slowest - 1:.0%}")
    if now.ratio < baseline.fastest / (1 + SLOWER):
        faster = f"faster by {baseline.fastest / now.ratio - 1:.0%}; if that stays, make a new baseline"
        return Finding("speed", Verdict.BETTER, f"{text}: {faster}")
    return Finding("speed", Verdict.MATCH, text)


def _took(found: Speed) -> str:
    return f"a step takes {found.ratio:.1f} calibrations ({found.step_ms:.0f} ms over {found.calibration_ms:.1f} ms)"


# ------------------------------------------------------------------------------------------------- changes


def _told(value: object) -> str:
    return "not set" if value is None else "empty" if value == "" else str(value)


def _changes(run: Run, baseline: Baseline) -> Iterator[str]:
    """List what differs from when the baseline was made: packages, machine, new keys, commits."""
    for key, (was, now) in differing_keys(baseline.environment, environment_of(run)).items():
        yield f"{key}: {_told(was)} -> {_told(now)}"
    for key in sorted(workload_of(run).keys() - baseline.workload.keys()):
        yield f"{key}: new since the baseline, {_told(workload_of(run)[key])}"
    commit = run.env.commit
    if commit is None:
        yield f"commit: {baseline.commit[:12]} -> not recorded"
    elif commit != baseline.commit:
        yield f"commits {baseline.commit[:12]}..{commit[:12]}" + _log(baseline.commit, commit)
    if run.env.dirty:
        yield "uncommitted changes" + (f", kept in {run.env.facts['patch']}" if "patch" in run.env.facts else "")


def _log(since: str, until: str) -> str:
    """List the commits between, if git knows them here."""
    if not all(re.fullmatch("[0-9a-f]{40}", commit) for commit in (since, until)):
        return ""
    command = ["git", "log", "--format=%h %s", f"{since}..{until}"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, encoding="utf-8", errors="replace", timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    more = [f"and {len(lines) - COMMITS_SHOWN} more"] if len(lines) > COMMITS_SHOWN else []
    return f": {'; '.join(lines[:COMMITS_SHOWN] + more)}" if lines else ""

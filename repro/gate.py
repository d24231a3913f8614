"""Holds a short run against the baselines: are its losses, its accuracy and its speed still what they were?"""

import math
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro.baseline import Baseline, Speed, changed, differences, environment, speed, subject, top1_pct
from repro.schema import Run, Verdict

Z_95 = 1.96
CHAOS = 4  # times the measured band: two variants have not shown the largest difference that there can be
SLOWER = 0.20  # the least that counts as slower: see results/noise
BUSY = 1.25  # times the baseline's calibration: others work on this machine, and a ratio means less
BUSY_NOISE = 0.5  # ratios were seen to be off by a third then
SAME_HOST = ("cpu", "cores", "numpy")  # what a calibration on a CPU depends on
COMMITS_SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """One of "losses", "accuracy" and "speed". `reason` says in words what was compared, and how it came out."""

    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Judgement:
    """What a run says. `baseline` is the one it was held against; `changes`: what is another since that was made."""

    run: Run
    baseline: Baseline | None
    findings: tuple[Finding, ...]
    changes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Worse where one is, incomparable where the losses are, or else match."""
        verdicts = {finding.name: finding.verdict for finding in self.findings}
        if Verdict.WORSE in verdicts.values():
            return Verdict.WORSE
        return Verdict.INCOMPARABLE if verdicts["losses"] is Verdict.INCOMPARABLE else Verdict.MATCH


def judge(run: Run, baselines: Sequence[Baseline], folder: Path) -> Judgement:
    """Hold the run against the baseline that is most like it; `folder` is named where there is none."""
    found = [(differences(kept.subject, subject(run)), kept) for kept in baselines if kept.recipe == recipe(run)]
    fitting = [kept for apart, kept in found if not apart]
    if not fitting:
        return Judgement(run, None, tuple(_unknown(run, [apart for apart, _ in found], folder)))
    here = environment(run)
    # The same machine first, then as few differences as there can be.
    baseline = min(fitting, key=lambda kept: len(differences(kept.environment, here)))
    apart = changed(baseline.environment, here)
    findings = (_losses(run, baseline, apart), _accuracy(run, baseline, apart), _speed(run, baseline))
    return Judgement(run, baseline, findings, tuple(_changes(run, baseline)))


def recipe(run: Run) -> str:
    """The name of its configuration file."""
    return str(run.env.facts.get("recipe", "unknown"))


def _unknown(run: Run, apart: Iterable[dict], folder: Path) -> Iterable[Finding]:
    nearest = min(apart, key=len, default=None)
    if nearest is None:
        why = f"{folder} holds no baseline of the recipe {recipe(run)!r}"
    else:
        why = "the nearest baseline has " + ", ".join(
            f"{key} {was}, this run {now}" for key, (was, now) in nearest.items()
        )
    reason = f"{why}. Make one where the results are known to be good: make baseline"
    return [Finding(name, Verdict.INCOMPARABLE, reason) for name in ("losses", "accuracy", "speed")]


# ------------------------------------------------------------------------------------------------- numbers


def _losses(run: Run, baseline: Baseline, apart: str) -> Finding:
    """Exact where the environment is the same, within the measured band where not."""
    now, kept = np.frombuffer(run.steps.loss), np.array(baseline.losses)
    if len(now) != len(kept):
        return Finding("losses", Verdict.WORSE, f"{len(now)} steps, the baseline has {len(kept)}")
    if np.array_equal(now, kept):
        return Finding("losses", Verdict.MATCH, f"all {len(now)} are the baseline's, bit for bit")
    off = np.abs(now - kept)
    first = int(np.flatnonzero(now != kept)[0])
    parted = f"the first to differ is that of step {first}: {now[first]:.9g}, baseline {kept[first]:.9g}"
    if not apart:
        return Finding("losses", Verdict.WORSE, f"{parted}; in the same environment every one must be the same")
    if baseline.band is None:
        return Finding("losses", Verdict.INCOMPARABLE, f"{parted}, but {apart}, and the baseline has no band for that")
    allowed = CHAOS * np.array(baseline.band.losses)
    outside = np.flatnonzero(~(off <= allowed))  # a loss that is not a number is outside
    if len(outside):
        step = int(outside[0])
        reason = f"step {step}: {now[step]:.6f} is {off[step]:.3g} from the baseline's {kept[step]:.6f}"
        reason += f", and rounding ({apart}) explains {allowed[step]:.3g}; {parted}"
        return Finding("losses", Verdict.WORSE, reason)
    reason = f"within what rounding explains ({apart}): up to {off.max():.3g}, allowed {allowed[int(off.argmax())]:.3g}"
    return Finding("losses", Verdict.MATCH, reason)


def _accuracy(run: Run, baseline: Baseline, apart: str) -> Finding:
    """Exact where the environment is the same; elsewhere not lower than chance and rounding explain."""
    now, kept, n = top1_pct(run), baseline.top1_pct, run.eval_images
    if now is None or kept is None:
        return Finding(
            "accuracy", Verdict.INCOMPARABLE, "not measured by " + ("the run" if now is None else "the baseline")
        )
    numbers = f"{now:.3f} %, baseline {kept:.3f} % (one seed, {n} images)"
    if now == kept:
        return Finding("accuracy", Verdict.MATCH, f"{numbers}: the same")
    if not apart:
        verdict = Verdict.WORSE if now < kept else Verdict.BETTER
        return Finding("accuracy", verdict, f"{numbers}; in the same environment it must be the same")
    if baseline.band is None:
        return Finding(
            "accuracy", Verdict.INCOMPARABLE, f"{numbers}, but {apart}, and the baseline has no band for that"
        )
    chance = Z_95 * math.sqrt((now * (100 - now) + kept * (100 - kept)) / n)
    allowed = chance + baseline.band.top1_points
    text = f"{numbers}: {now - kept:+.3f} points, of which {allowed:.1f} can be chance (95 %) and rounding"
    if abs(now - kept) <= allowed:
        return Finding("accuracy", Verdict.MATCH, text)
    return Finding("accuracy", Verdict.BETTER if now > kept else Verdict.WORSE, text)


def _speed(run: Run, baseline: Baseline) -> Finding:
    """As a ratio to the calibrations of the same run, against the noise of the baseline's repetitions."""
    now = speed(run)
    if now is None or not baseline.speeds:
        missing = "the run has too few steps or no calibrations" if now is None else "the baseline has no speed"
        return Finding("speed", Verdict.INCOMPARABLE, missing)
    host = {
        key: value for key, value in differences(baseline.environment, environment(run)).items() if key in SAME_HOST
    }
    if host and run.env.target == "CPU":
        other = ", ".join(f"{key} {was} -> {is_now}" for key, (was, is_now) in host.items())
        return Finding(
            "speed", Verdict.INCOMPARABLE, f"{_took(now)}, but on another machine than the baseline: {other}"
        )
    lowest, highest, noise = limits(baseline.speeds)
    text = f"{_took(now)}; baseline {lowest:.2f} to {highest:.2f} calibrations (n = {len(baseline.speeds)}), "
    calm = max(kept.calibration_ms for kept in baseline.speeds)
    if now.calibration_ms > BUSY * calm:
        noise = max(noise, BUSY_NOISE)
        text += f"on a machine less busy, where a calibration took {calm:.1f} ms, "
    text += f"and {noise:.0%} more or less is noise"
    if now.ratio > highest * (1 + noise):
        return Finding("speed", Verdict.WORSE, f"{text}: slower by {now.ratio / highest - 1:.0%}")
    if now.ratio < lowest / (1 + noise):
        return Finding("speed", Verdict.BETTER, f"{text}: faster by {lowest / now.ratio - 1:.0%}; make a new baseline")
    return Finding("speed", Verdict.MATCH, text)


def limits(speeds: Sequence[Speed]) -> tuple[float, float, float]:
    """The lowest and the highest ratio of the repetitions, and by what share others may lie outside of them."""
    ratios = [kept.ratio for kept in speeds]
    lowest, highest = min(ratios), max(ratios)
    return lowest, highest, max(SLOWER, highest / lowest - 1)


def _took(found: Speed) -> str:
    return f"a step takes {found.ratio:.2f} calibrations ({found.step_ms:.0f} ms over {found.calibration_ms:.1f} ms)"


# ------------------------------------------------------------------------------------------------- changes


def _changes(run: Run, baseline: Baseline) -> Iterable[str]:
    """What is another than when the baseline was made: packages, machine, keys that are new, commits."""
    for key, (was, now) in differences(baseline.environment, environment(run)).items():
        yield f"{key}: {was} -> {now}"
    for key in sorted(subject(run).keys() - baseline.subject.keys()):
        yield f"{key}: new since the baseline, {subject(run)[key]}"
    commit = run.env.commit
    if commit is None:
        yield f"commit: {baseline.commit[:12]} -> not recorded"
    elif commit != baseline.commit:
        yield f"commits {baseline.commit[:12]}..{commit[:12]}" + _log(baseline.commit, commit)
    if run.env.dirty:
        yield "uncommitted changes" + (f", kept in {run.env.facts['patch']}" if "patch" in run.env.facts else "")


def _log(since: str, until: str) -> str:
    """The commits between, as git knows them here; empty where it does not."""
    command = ["git", "log", "--format=%h %s", f"{since}..{until}"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    more = [f"and {len(lines) - COMMITS_SHOWN} more"] if len(lines) > COMMITS_SHOWN else []
    return f": {'; '.join(lines[:COMMITS_SHOWN] + more)}" if lines else ""

"""Compare what runs measured with the published figures, and judge it. The report does no arithmetic."""

import math
from collections.abc import Iterable, Iterator, Sequence

from repro.published.conditions import why_incomparable
from repro.published.figures import MEASURES, in_unit
from repro.published.schema import Claim, Measured, Published, Reason, SeedGroup, Spread, Verdict
from repro.published.seeds import group_seeds
from repro.records.schema import Run
from repro.statistics import Z_95, share_difference, share_interval, student_t


def measure_figure(figure: Published, run: Run) -> Measured | None:
    """Return what the run measured of this figure, in the figure's unit; None if nothing."""
    if run.kind != figure.setting.kind:
        return None
    if figure.measure == "parameters":
        count = run.env.parameters
        found = None if count is None else Measured(float(count), f"{count:,} parameters")
    else:
        found = MEASURES[figure.measure](run.log)
    if found is None:
        return None
    images = f", {run.eval_images:,} images" if figure.rule.kind == "accuracy" else ""
    spread = None if found.spread is None else in_unit(figure, found.spread)
    return Measured(in_unit(figure, found.value), f"n = 1 run, {found.n}{images}", spread, found.epochs)


# ------------------------------------------------------------------------------------------------- verdicts


def compare_runs(figures: Iterable[Published], runs: Sequence[Run]) -> list[Claim]:
    """Return a claim for each figure: about its newest comparable run, else about its newest run, as incomparable."""
    ordered, groups = sorted(runs, key=lambda run: run.folder.name), group_seeds(runs)
    return [_claim(figure, ordered, groups) for figure in figures]


def _claim(figure: Published, runs: Sequence[Run], groups: Sequence[SeedGroup]) -> Claim:
    measured = [(run, found) for run in runs if (found := measure_figure(figure, run))]
    if not measured:
        return Claim(figure, Verdict.NOT_MEASURED)
    comparable = [(run, found) for run, found in measured if not any(_reasons(figure, run, found))]
    run, found = (comparable or measured)[-1]
    seeds = _seeds(figure, run, groups)
    reasons = tuple(dict.fromkeys(_reasons(figure, run, found)))
    if figure.rule.kind == "unjudged":
        reasons += (Reason("counting", figure.rule.text),)
    if not reasons:
        return judge_figure(figure, run, found, seeds)
    evidence = tuple(_evidence(figure, run, found, seeds))
    return Claim(figure, Verdict.INCOMPARABLE, run, found, reasons=reasons, evidence=evidence, seeds=seeds)


def _reasons(figure: Published, run: Run, found: Measured) -> Iterator[Reason]:
    """List why this value of the run cannot be compared with the figure."""
    yield from why_incomparable(figure, run)
    if found.epochs == 0:
        yield Reason("warm-up", "epoch 0 is the only one, and its warm-up can't be left out")


def _seeds(figure: Published, run: Run, groups: Sequence[SeedGroup]) -> Spread | None:
    """Return the figure's measure over the seeds of the run's group."""
    spreads = (spread for group in groups if any(run is member for member in group.runs) for spread in group.spreads)
    return next((spread for spread in spreads if spread.measure == figure.measure), None)


def judge_figure(figure: Published, run: Run, found: Measured, seeds: Spread | None = None) -> Claim:
    """Judge a comparable run. `seeds`: the same measure over its group of seeds."""
    evidence = (*_evidence(figure, run, found, seeds), *_assumed(figure, seeds))
    if not math.isfinite(found.value):
        reason = Reason("not finite", f"the measured value is {found.value}")
        return Claim(figure, Verdict.WORSE, run, found, reasons=(reason,), evidence=evidence, seeds=seeds)
    difference = found.value - figure.value
    allowed = _allowed(figure, found.value, run.eval_images, seeds)
    outside = abs(difference) > allowed * (1 + 1e-9)  # a difference of exactly 3 % is within 3 %
    noise = _speed_noise(figure, found) if figure.rule.kind == "speed" else _seed_noise(figure, allowed, outside)
    if noise:
        reason = Reason("noise", noise)
        return Claim(figure, Verdict.INCOMPARABLE, run, found, reasons=(reason,), evidence=evidence, seeds=seeds)
    if outside:
        verdict = Verdict.BETTER if (difference > 0) == (figure.rule.better == "higher") else Verdict.WORSE
    else:
        verdict = Verdict.MATCH
    relative = 100 * difference / figure.value
    return Claim(figure, verdict, run, found, difference, relative, allowed, evidence=evidence, seeds=seeds)


def _allowed(figure: Published, measured: float, images: int, seeds: Spread | None) -> float:
    """Return the largest difference, in the figure's unit, that its rule lets match; nan if the seeds' spread is."""
    if figure.rule.kind == "speed":
        return figure.rule.tolerance * figure.value + figure.rounding
    sampling = share_difference(measured, images, figure.value, figure.setting.data["eval"].images)
    between = student_t(seeds.n - 1) * seeds.deviation if seeds else Z_95 * figure.rule.spread
    return math.hypot(sampling, math.sqrt(2) * between) + figure.rounding


def _speed_noise(figure: Published, found: Measured) -> str:
    """Say why no verdict on a speed can be defended: its mean is less certain than the rule is strict."""
    if found.epochs == 1:
        return "one epoch alone does not tell how far epochs differ"
    if found.spread is None or not found.epochs:
        return ""
    t = student_t(found.epochs - 1)
    sure, strict = t * found.spread / math.sqrt(found.epochs), figure.rule.tolerance * figure.value
    if sure <= strict:
        return ""
    of = f"s = {_short(found.spread)} {figure.unit} over {found.epochs} epochs"
    return (
        f"the mean is known to {_short(sure)} {figure.unit} ({t:.2f} s / sqrt(n), {of}), "
        f"more than the {_short(strict)} {figure.unit} that the rule allows"
    )


def _seed_noise(figure: Published, allowed: float, outside: bool) -> str:
    """Say why no match of an accuracy can be defended: in so wide an interval almost anything would match."""
    if outside or allowed <= figure.rule.tolerance:
        return ""
    return f"the 95 % interval is {_short(allowed)} points, a match is within {figure.rule.tolerance:g} at most"


# ------------------------------------------------------------------------------------------------- evidence


def _evidence(figure: Published, run: Run, found: Measured, seeds: Spread | None) -> Iterator[str]:
    """List what a value rests on: the seeds of an accuracy, the epochs of a speed, and how far they differ."""
    unit = "points" if figure.unit == "%" else figure.unit
    if figure.rule.kind == "speed":
        if found.spread is not None:
            yield f"s = {_short(found.spread)} {unit} over {found.epochs} epochs"
        else:
            one = "training" if run.kind == "train" else "evaluation"
            yield f"one {one if found.epochs is None else 'epoch'}, no spread"
    elif figure.rule.kind == "accuracy" and not seeds:
        yield "one seed" if run.kind == "train" else "one checkpoint"
    if figure.rule.kind == "accuracy" and run.kind == "eval" and math.isfinite(found.value):
        # The choice of images matters: another 50,000 would have given another accuracy.
        here, there = (
            share_interval(value, images)
            for value, images in ((found.value, run.eval_images), (figure.value, figure.setting.data["eval"].images))
        )
        yield f"95 % interval {here:.2f} %, published {there:.2f} %"
    if seeds:
        yield f"mean {seeds.mean:,.{seeds.decimals}f} {seeds.unit} of {seeds.n} seeds"
        yield f"s = {_short(seeds.deviation)} {unit} measured over {seeds.n} seeds"


def _assumed(figure: Published, seeds: Spread | None) -> Iterator[str]:
    """List what a verdict on an accuracy assumes."""
    if figure.rule.kind == "accuracy" and not seeds:
        yield f"s = {figure.rule.spread} points, assumed"


def _short(value: float) -> str:
    """Format a spread with three digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

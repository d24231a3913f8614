"""Sets what runs measured beside the published figures and judges it. The report does no arithmetic."""

import math
from collections.abc import Iterable, Iterator, Sequence

from repro.figures import MEASURES, in_unit
from repro.schema import Claim, DataSet, Measured, Published, Reason, Run, Setting, Verdict

Z_95 = 1.96  # two-sided 95 % of a normal distribution

# The one word that stands in the table for a config key that differs; all others are of the recipe.
_TOPICS = {
    "backbone": "model",
    "class_num": "model",
    "batch_size": "batch",
    "eval_batch_size": "batch",
    "train_image_size": "image size",
    "eval_image_size": "image size",
    "amp_level": "precision",
}


def measure(figure: Published, run: Run) -> Measured | None:
    """What the run says of this figure, in the figure's unit; None when it does not say anything."""
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
    return Measured(in_unit(figure, found.value), f"n = 1 run, {found.n}{images}")


def hours(seconds: float) -> float:
    """For a reader: long times are shown in hours too."""
    return seconds / 3600


# ------------------------------------------------------------------------------------------------- verdicts


def compare(figures: Iterable[Published], runs: Sequence[Run]) -> list[Claim]:
    """One claim a figure: by its newest comparable run, or else by its newest run, as incomparable."""
    return [_claim(figure, sorted(runs, key=lambda run: run.folder.name)) for figure in figures]


def _claim(figure: Published, runs: Sequence[Run]) -> Claim:
    measured = [(run, found) for run in runs if (found := measure(figure, run))]
    if not measured:
        return Claim(figure, Verdict.NOT_MEASURED)
    comparable = [(run, found) for run, found in measured if not any(differences(figure, run))]
    run, found = (comparable or measured)[-1]
    reasons = tuple(dict.fromkeys(differences(figure, run)))
    if figure.rule.kind == "unjudged":
        reasons += (Reason("another count", figure.rule.text),)
    if reasons:
        return Claim(figure, Verdict.INCOMPARABLE, run, found, reasons=reasons)
    return judge(figure, run, found)


def judge(figure: Published, run: Run, found: Measured) -> Claim:
    """The verdict on a comparable run."""
    if not math.isfinite(found.value):
        reason = Reason("not finite", f"the measured value is {found.value}")
        return Claim(figure, Verdict.WORSE, run, found, reasons=(reason,))
    difference = found.value - figure.value
    allowed = _allowed(figure, found.value, run.eval_images)
    if abs(difference) <= allowed * (1 + 1e-9):  # a difference of exactly 3 % is within 3 %
        verdict = Verdict.MATCH
    else:
        verdict = Verdict.BETTER if (difference > 0) == (figure.rule.better == "higher") else Verdict.WORSE
    return Claim(figure, verdict, run, found, difference, 100 * difference / figure.value, allowed)


def _allowed(figure: Published, measured: float, images: int) -> float:
    """The largest difference, in the figure's unit, that is a match under its rule."""
    if figure.rule.kind == "speed":
        return figure.rule.tolerance * figure.value + figure.rounding
    variances = _variance(measured, images) + _variance(figure.value, figure.setting.data["eval"].images)
    return Z_95 * math.sqrt(variances + 2 * figure.rule.spread**2) + figure.rounding


def _variance(percent: float, images: int) -> float:
    """Of a share of `images`, binomial, in squared points."""
    return percent * (100 - percent) / images


# ------------------------------------------------------------------------------------------------- conditions


def differences(figure: Published, run: Run) -> Iterator[Reason]:
    """Why the run cannot be compared with the figure; nothing when it can."""
    setting = figure.setting
    yield from _hardware(setting, run)
    for split in figure.splits:
        yield from _data(split, setting.data[split], run)
    for key, expected in {**setting.workload, **(setting.recipe if figure.recipe else {})}.items():
        found = run.config.get(key, "not recorded")
        if not _same(found, expected):
            yield Reason(_TOPICS.get(key, "recipe"), f"{key} {_text(found)}, published {_text(expected)}")
    if figure.recipe and not _same(run.config.get("max_epoch"), len(run.log.epochs)):
        yield Reason("recipe", f"{len(run.log.epochs)} epochs in the log, max_epoch says otherwise")
    if changed := changes(run):
        yield Reason("recipe", f"resumed with changed keys: {changed}")


def changes(run: Run) -> str:
    """What has other values since the run was resumed, in words, or nothing.

    Its config.yml holds the new values alone, and part of it was made under others: no figure of it is clean.
    """
    return ", ".join(text for resumption in run.resumptions for text in resumption.changed)


def _hardware(setting: Setting, run: Run) -> Iterator[Reason]:
    if not setting.devices:
        return
    accepted = {_plain(name) for name in setting.devices}
    names = {_plain(name) for name in run.env.device_names}
    other = not names or not names <= accepted
    if other or setting.count not in (None, run.env.device_count):
        count = "" if setting.count is None else f"{setting.count} x "
        yield Reason("hardware", f"{hardware(run)}, published {count}{setting.hardware}")


def hardware(run: Run) -> str:
    """The devices of a run in words, such as ``8 x Ascend 910`` or ``1 x CPU (Intel Xeon)``."""
    names = ", ".join(sorted(set(run.env.device_names))) or f"{run.env.target} of unknown name"
    return f"{run.env.device_count} x {f'CPU ({run.env.cpu})' if run.env.target == 'CPU' else names}"


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _data(split: str, published: DataSet, run: Run) -> Iterator[Reason]:
    found = run.env.datasets.get(split)
    name = {"train": "training", "eval": "evaluation"}[split]
    if found is None:
        yield Reason("data", f"{name} set not recorded")
        return
    images = run.eval_images if split == "eval" else found.images
    if (images, found.classes) != (published.images, published.classes):
        here = f"{images:,} {name} images of {found.classes:,} classes"
        yield Reason("data", f"{here}, published {published.images:,} of {published.classes:,}")
    elif found.hash_kind != published.hash_kind:
        here = f"a hash of kind {found.hash_kind}" if found.hash_kind else "no hash"
        yield Reason("data", f"{name} set with {here}, {published.hash_kind} expected of ImageNet as distributed")
    if run.skipped_images:
        yield Reason("data", f"{run.skipped_images:,} unreadable images were skipped")


def _same(found: object, expected: object) -> bool:
    """Numbers by value, so that 1 is 1.0 and true, and so is '1e-05', text for YAML 1.1; the rest as text."""
    try:
        return float(found) == float(expected)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(found or "") == str(expected or "")


def _text(value: object) -> str:
    return "none" if value in ("", None) else str(value)

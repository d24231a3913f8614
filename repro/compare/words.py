"""Say where numbers part and what they can come from, as plain text; pages and tables escape it themselves."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from repro.compare.differences import Difference, Effect
from repro.compare.parting import Parting
from repro.records.schema import Run

NEAR = 2  # steps behind a resumption that a first difference can come from
SHOWN = 8  # causes that a sentence names


@dataclass(frozen=True)
class Told:
    """What is said of one run against A: where its numbers part, what that can come from, and what hints at it."""

    answer: str
    cause: str
    hints: tuple[str, ...] = ()


def parting_sentences(letter: str, run: Run, first: Run, found: Parting) -> Iterator[str]:
    """Say where a run's numbers part from those of A, and what hints at the cause. The first sentence is the answer."""
    if not found.steps:
        yield f"{letter} and A have no step in common that was recorded, so there is nothing to compare step by step"
        return
    if not found.alike:
        yield (
            f"{letter} takes {run.steps_per_epoch} steps an epoch and A {first.steps_per_epoch}, "
            "so their steps are not the same work and can't be compared one by one"
        )
        return
    if found.bits is None:
        yield f"{letter} has the losses of A, bit for bit, in all {found.steps:,} steps that both have"
        yield from _accuracy(letter, found)
        return
    yield _answer(letter, found)
    yield from _hints(letter, run, first, found)
    grown = ", ".join(f"{off:.2g} in the first {n:,} steps" for n, off in found.grown)
    yield f"the largest difference of the losses: {grown}"
    yield from _accuracy(letter, found)


def _answer(letter: str, found: Parting) -> str:
    place = f"{letter} parts from A at step {found.bits:,}"
    by = f"by {found.apart:.2g} of {found.loss:.6g}" if math.isfinite(found.apart) else "where one loss is not finite"
    if not found.rounds:
        return f"{place}, {by}: more than rounding explains"
    later = f"; beyond rounding from step {found.beyond:,} on" if found.beyond is not None else ", and never by more"
    return f"{place}, {by}, as rounding does{later}"


def _hints(letter: str, run: Run, first: Run, found: Parting) -> Iterator[str]:
    """Say what the place of the first difference tells."""
    step = found.bits or 0
    steps = run.steps_per_epoch or first.steps_per_epoch
    if found.rate is not None:
        yield f"the learning rates differ from step {found.rate:,} on"
    if step == 0:
        yield "step 0 is before any update: the weights at the start, the first batch or the forward pass differ"
    elif step == 1:
        yield "step 0 gave the same loss: the first backward pass, the update or the second batch differ"
    elif steps and step % steps == 0:
        yield f"step {step:,} is the first of epoch {step // steps}: the order of its images is drawn anew there"
    for name, one in ((letter, run), ("A", first)):
        for resumption in one.resumptions:
            if resumption.step <= step <= resumption.step + NEAR:
                yield f"{name} was resumed at step {resumption.step:,} from {resumption.checkpoint}"


def _accuracy(letter: str, found: Parting) -> Iterator[str]:
    if found.accuracy is not None:
        yield f"the accuracies differ from epoch {found.accuracy} on"
    elif found.evaluations:
        yield f"the accuracies of {letter} and A are the same in all {found.evaluations} evaluations that both have"


def evaluation_sentence(letter: str, run: Run, first: Run) -> str:
    """Say whether a run that is no training, or compared with none, has the accuracy of A."""
    if run.kind != first.kind:
        return f"{letter} and A are a training and an evaluation, which have no numbers in common"
    return f"{letter} has {'the accuracy' if same_evaluation(run, first) else 'another accuracy than that'} of A"


def same_evaluation(run: Run, first: Run) -> bool:
    """Tell whether two evaluations had the same images right, by their numbers."""
    one, other = run.log.evaluation, first.log.evaluation
    known = one is not None and other is not None and one.accuracy == other.accuracy
    return known and (run.eval_images, run.top5_pct) == (first.eval_images, first.top5_pct)


def cause_sentence(number: int, differences: Sequence[Difference], same: bool, rounds: bool) -> str:
    """Say which differences can have parted the run of this number from the first one, or that none did.

    `same`: whether its numbers are those of the first; `rounds`: whether they begin to differ as rounding does.
    """
    apart = [difference for difference in differences if difference.parts(number)]
    strong = [difference for difference in apart if difference.effect is Effect.NUMBERS]
    weak = [difference for difference in apart if difference.effect is Effect.ROUNDING]
    if same:
        return (
            f"none of the {len(apart)} recorded differences changed a number" if apart else "nothing recorded differs"
        )
    causes = [*weak, *strong] if rounds else strong or weak
    if not causes:
        return (
            "no recorded difference can change a number: either this stack does not repeat itself, or the cause is not "
            "recorded, such as a driver or a firmware"
        )
    names = ", ".join(cause.label for cause in causes[:SHOWN])
    more = f" and {len(causes) - SHOWN} more" if len(causes) > SHOWN else ""
    return f"it can come from {names}{more}"

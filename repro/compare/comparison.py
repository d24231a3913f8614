"""Put a comparison together: figures, differences, partings, and all of it in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from repro.compare.chance import Contrast, Estimate
from repro.compare.differences import Difference, Effect, find_differences
from repro.compare.figures import ComparedFigure, compare_figures
from repro.compare.parting import Parting, find_parting
from repro.compare.reading import read_seed_group
from repro.compare.words import Told, cause_sentence, evaluation_sentence, parting_sentences, same_evaluation
from repro.records.schema import Run
from repro.report.charts.curves import LETTERS
from repro.report.phrases import NONE
from repro.statistics import Interval

FIGURES = ("Figure", "Run", "Value", "95 % interval", "Against A", "95 % interval", "Verdict", "Made of, and why")


@dataclass(frozen=True)
class Comparison:
    """Runs, of which the first is A, and what sets the others apart from it; `partings` has none for A."""

    runs: tuple[Run, ...]
    differences: tuple[Difference, ...]
    partings: tuple[Parting | None, ...]
    figures: tuple[ComparedFigure, ...]

    @property
    def named(self) -> list[tuple[str, Run]]:
        """Each run with its letter."""
        return list(zip(LETTERS, self.runs, strict=False))

    @property
    def same(self) -> bool:
        """Whether all runs have the numbers of A."""
        return all(self._has_numbers_of_first(number) for number in range(1, len(self.runs)))

    def _has_numbers_of_first(self, number: int) -> bool:
        found, run = self.partings[number], self.runs[number]
        return found.alike and found.same if found else same_evaluation(run, self.runs[0])

    def told(self) -> list[Told]:
        """Say of each run but A where its numbers part, what that can come from, and what hints at it."""
        told = []
        for number, (letter, run) in list(enumerate(self.named))[1:]:
            found, same = self.partings[number], self._has_numbers_of_first(number)
            said = parting_sentences(letter, run, self.runs[0], found) if found else ()
            answer, *hints = tuple(said) or (evaluation_sentence(letter, run, self.runs[0]),)
            rounds = found is not None and found.rounds
            told.append(Told(answer, cause_sentence(number, self.differences, same, rounds), tuple(hints)))
        return told


def compare_folders(runs: Sequence[Run], target: float | None) -> Comparison:
    """Compare runs with the first of them; `target`: an accuracy in percent, if one was asked for."""
    first = runs[0]
    trained = [run.kind == first.kind == "train" for run in runs[1:]]
    partings = (
        None,
        *(find_parting(run, first) if is_one else None for run, is_one in zip(runs[1:], trained, strict=True)),
    )
    groups = [read_seed_group(run, runs) for run in runs]
    return Comparison(
        runs=tuple(runs),
        differences=tuple(find_differences(runs)),
        partings=partings,
        figures=tuple(compare_figures(runs, partings, groups, target)),
    )


def state_text(run: Run) -> str:
    """Say what a run is, and how far it has come."""
    if run.kind == "eval":
        return f"evaluation, {run.eval_images:,} images"
    planned = run.config.get("max_epoch")
    done = f"{len(run.log.epochs)} of {planned} epochs, {len(run.steps.loss):,} steps"
    resumed = f", resumed {len(run.resumptions)} times" if len(run.resumptions) > 1 else ", resumed once"
    return f"training, {done}{'' if run.sealed else ', not finished'}{resumed if run.resumptions else ''}"


def figure_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Make a row, under FIGURES, of each figure and run."""
    for figure, letter, value, contrast in _each_value(comparison):
        why = [text for text in (value.of if value else "", contrast.why if contrast else "") if text]
        yield (
            figure.title,
            letter,
            _with_unit(figure, _value(figure, value)),
            _span(figure, value.interval if value else None),
            _with_unit(figure, _against(figure, contrast)),
            _contrast_span(figure, contrast),
            contrast.chance.value if contrast and contrast.chance else "",
            "; ".join(why),
        )


def short_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Make a row of each figure and run, for 80 columns: title with unit, run, value, interval, against A, verdict."""
    for figure, letter, value, contrast in _each_value(comparison):
        yield (
            f"{figure.title}, {figure.unit}" if figure.unit else figure.title,
            letter,
            _value(figure, value),
            _span(figure, value.interval if value else None),
            _against(figure, contrast),
            contrast.chance.value if contrast and contrast.chance else "",
        )


def _each_value(
    comparison: Comparison,
) -> Iterator[tuple[ComparedFigure, str, Estimate | None, Contrast | None]]:
    for figure in comparison.figures:
        for (letter, _), value, contrast in zip(comparison.named, figure.values, figure.against, strict=True):
            yield figure, letter, value, contrast


def _value(figure: ComparedFigure, value: Estimate | None) -> str:
    if value is None:
        return NONE
    return "not reached" if value.value == math.inf else f"{value.value:,.{figure.decimals}f}"


def _with_unit(figure: ComparedFigure, number: str) -> str:
    """Add the unit to a number; a difference of percentages is in points, a ratio has none."""
    if not number[-1:].isdigit() or number.startswith("x"):
        return number
    signed = number[0] in "+-"
    return f"{number} {'points' if signed and figure.unit == '%' else figure.unit}".strip()


def _span(figure: ComparedFigure, interval: Interval | None) -> str:
    if interval is None or interval.low == math.inf:
        return ""
    digits = _digits(figure)
    high = f"{interval.high:,.{digits}f}" if interval.finite else "not in this run"
    return f"{interval.low:,.{digits}f} to {high}"


def _digits(figure: ComparedFigure) -> int:
    """Return the decimals of an interval: those of an accuracy are wide."""
    return 1 if figure.unit == "%" else figure.decimals


def _against(figure: ComparedFigure, contrast: Contrast | None) -> str:
    if contrast is None:
        return ""
    return f"x {contrast.value:.3f}" if figure.ratio else f"{contrast.value:+,.{figure.decimals}f}"


def _contrast_span(figure: ComparedFigure, contrast: Contrast | None) -> str:
    if contrast is None or contrast.interval is None:
        return ""
    form = ".3f" if figure.ratio else f"+,.{_digits(figure)}f"
    return f"{contrast.interval.low:{form}} to {contrast.interval.high:{form}}"


def difference_groups(comparison: Comparison) -> list[tuple[Effect, list[Difference]]]:
    """Group what differs by what it can change, the most first."""
    found = [(effect, [one for one in comparison.differences if one.effect is effect]) for effect in Effect]
    return [(effect, members) for effect, members in found if members]

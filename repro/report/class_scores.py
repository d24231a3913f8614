"""List the least accurate classes of an evaluation, and the pairs that it confused most, as rows for a page."""

from collections.abc import Iterable

from repro.records.schema import ClassScore, Run

_SHOWN = 10  # rows of either table on a page; the tables for programs have all
HARDEST = ("Class", "Name", "Images", "Top-1, %", "Top-5, %")
CONFUSED = ("Class", "Name", "Taken for", "Name", "Images")


def percent_right(right: int, score: ClassScore) -> float | None:
    """Return the share of a class's images that is right, in percent; None without an image."""
    return 100 * right / score.images if score.images else None


def hardest_classes(run: Run) -> list[tuple[str, ...]]:
    """List the least accurate classes; ties are in the order of the classes."""
    scored = [score for score in run.classes if score.images]
    worst = sorted(scored, key=lambda score: score.correct_top1 / score.images)[:_SHOWN]
    return [
        (
            score.key,
            score.name,
            str(score.images),
            f"{percent_right(score.correct_top1, score):.2f}",
            f"{percent_right(score.correct_top5, score):.2f}",
        )
        for score in worst
    ]


def confused_pairs(run: Run) -> list[tuple[str, ...]]:
    """List the pairs of classes that were confused most."""
    names = {score.key: score.name for score in run.classes}
    return [
        (found.key, names.get(found.key, ""), found.taken_for, names.get(found.taken_for, ""), str(found.images))
        for found in run.confusions[:_SHOWN]
    ]


def scored_runs(runs: Iterable[Run]) -> list[Run]:
    """Return the runs that were counted class by class."""
    return [run for run in runs if run.classes]

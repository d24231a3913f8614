"""Which classes an evaluation got right least often, and what it took for what: as rows for a page."""

from collections.abc import Iterable

from repro.records.schema import ClassScore, Run

SHOWN = 10  # of either table, on a page; the tables for programs have all
HARDEST = ("Class", "Name", "Images", "Top-1, %", "Top-5, %")
CONFUSED = ("Class", "Name", "Taken for", "Name", "Images")


def share(right: int, score: ClassScore) -> float | None:
    """In percent; None of no image."""
    return 100 * right / score.images if score.images else None


def hardest(run: Run) -> list[tuple[str, ...]]:
    """The classes of which the smallest share was right, with ties in the order of the classes."""
    scored = [score for score in run.classes if score.images]
    worst = sorted(scored, key=lambda score: score.correct_top1 / score.images)[:SHOWN]
    return [
        (
            score.key,
            score.name,
            str(score.images),
            f"{share(score.correct_top1, score):.2f}",
            f"{share(score.correct_top5, score):.2f}",
        )
        for score in worst
    ]


def confused(run: Run) -> list[tuple[str, ...]]:
    """The pairs of classes that were confused most."""
    names = {score.key: score.name for score in run.classes}
    return [
        (found.key, names.get(found.key, ""), found.taken_for, names.get(found.taken_for, ""), str(found.images))
        for found in run.confusions[:SHOWN]
    ]


def shown(runs: Iterable[Run]) -> list[Run]:
    """The runs that were counted class by class."""
    return [run for run in runs if run.classes]

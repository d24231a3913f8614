"""Keep what both sides and the control reached in one file, from which pages and pictures are made.

No verdict is in it: each reader judges again, by repro.reproduction.comparison. The runs themselves, with their seals,
are in the archive beside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import ReproError
from repro.files import field, number_list, read_json
from repro.reproduction.comparison import Measure, Outcome, compare_outcomes

KEPT = Path("results/reproduce")
RECORD = "comparison.json"  # in it
SIDES = ("authors", "ours", "control")
SECTIONS = 24  # of the steps in a picture, each with the mean of its losses
AGAIN = "make it again: python -m repro.authors.reproduce --kept"

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ComparedSide:
    """The trainings of one side. `origin`: whose code they run, on which software."""

    origin: str
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Reproduction:
    """What the trainings of a recipe on one machine reached: the authors' code, ours, and the control."""

    recipe: str
    hardware: str
    authors: ComparedSide
    ours: ComparedSide
    control: ComparedSide

    @property
    def measures(self) -> list[Measure]:
        """Theirs beside ours."""
        return compare_outcomes(self.authors.outcomes, self.ours.outcomes)

    @property
    def control_measures(self) -> list[Measure]:
        """Theirs beside the control."""
        return compare_outcomes(self.authors.outcomes, self.control.outcomes)


@dataclass(frozen=True)
class LossBand:
    """Means of sections of the steps: over all trainings of a side, and the lowest and the highest of them.

    `step`: the middle of each section.
    """

    step: Values
    mean: Values
    low: Values
    high: Values


def loss_band(outcomes: Sequence[Outcome]) -> LossBand:
    """Return the losses of some trainings of one length as a line and a band."""
    parts = [np.array_split(np.asarray(run.losses), min(SECTIONS, len(run.losses))) for run in outcomes]
    values = np.array([[part.mean() for part in run] for run in parts])
    lengths = np.array([len(part) for part in parts[0]])
    return LossBand(np.cumsum(lengths) - lengths / 2, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def record_text(found: Reproduction) -> str:
    """Write a reproduction as JSON."""
    sides = {name: _side_record(getattr(found, name)) for name in SIDES}
    return json.dumps({"recipe": found.recipe, "hardware": found.hardware, **sides}, allow_nan=False) + "\n"


def _side_record(side: ComparedSide) -> dict[str, Any]:
    runs = [{"run": it.run, "top1_pct": it.top1_pct, "losses": list(it.losses)} for it in side.outcomes]
    return {"origin": side.origin, "runs": runs}


def read_reproduction(path: Path) -> Reproduction:
    """Read a kept reproduction.

    Raises:
        ReproError: it is damaged, or can't be compared; the message names file and key, and what to type.
    """
    try:
        record, where = read_json(path), str(path)
        texts = [field(where, record, name, str) for name in ("recipe", "hardware")]
        sides = [_read_side(f"{where}: {name}", field(where, record, name, dict)) for name in SIDES]
        found = Reproduction(*texts, *sides)
        try:
            found.measures, found.control_measures  # noqa: B018 (what can't be compared is an error here)
        except ReproError as error:
            raise ReproError(f"{where}: {error}") from None
    except ReproError as error:
        raise ReproError(f"{error}; {AGAIN}") from None
    return found


def _read_side(where: str, record: Mapping[str, Any]) -> ComparedSide:
    outcomes = []
    for number, run in enumerate(field(where, record, "runs", list)):
        place = f"{where}: runs[{number}]"
        if not isinstance(run, dict):
            raise ReproError(f"{place}: found {str(run)[:50]!r}, expected an object")
        if not 0 <= (top1 := field(place, run, "top1_pct", float)) <= 100:
            raise ReproError(f"{place}: top1_pct: found {top1:g}, expected 0 to 100")
        losses = number_list(f"{place}: losses", run.get("losses"), "those of a training's steps")
        outcomes.append(Outcome(field(place, run, "run", str), losses, top1))
    return ComparedSide(field(where, record, "origin", str), tuple(outcomes))

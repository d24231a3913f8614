"""Made-up trainings of the authors' code, of ours and of the control."""

import random
from pathlib import Path

from repro.files import replace_file
from repro.reproduction.comparison import Outcome
from repro.reproduction.record import KEPT, RECORD, ComparedSide, Reproduction, record_text

AUTHORS = "https://example.org/models, commit aaaaaaaaa, unchanged; MindSpore 1.7.0"


def outcomes(shift: float, top1: float, n: int = 5) -> list[Outcome]:
    """Trainings of 80 steps whose losses fall from 7 to 2, some higher by `shift`."""
    draw = random.Random(n + shift)
    losses = [[7 - 5 * min(step, 40) / 40 + shift + draw.gauss(0, 0.1) for step in range(80)] for _ in range(n)]
    return [Outcome(f"run{number}", tuple(each), top1 + draw.gauss(0, 2)) for number, each in enumerate(losses)]


def reproduction(origin: str = AUTHORS) -> Reproduction:
    """Sides that learn alike, and a control that does not."""
    sides = {origin: outcomes(0, 90), "commit 1234": outcomes(0.01, 91), "a constant rate": outcomes(2, 30, 3)}
    return Reproduction("reproduce", "1 x CPU", *(ComparedSide(name, tuple(runs)) for name, runs in sides.items()))


def keep(results: Path, found: Reproduction) -> Path:
    """Keep one below this folder, as `make reproduce` does; returns its file."""
    replace_file(path := results / KEPT.name / RECORD, record_text(found))
    for name in ("report.md", "runs.tar.gz"):
        path.with_name(name).touch()
    return path

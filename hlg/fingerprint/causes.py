"""What is probably wrong where a row is the first one out of bounds; the sentences are in ``causes.yml``."""

from functools import cache
from pathlib import Path

import yaml

ALL_ALIKE = "loss scaling is not undone, or there is a sum over ranks where the mean belongs."


@cache
def _causes() -> dict[str, dict[str, str]]:
    return yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))


def cause(area: str, name: str, note: str = "") -> str:
    """The probable cause, in a sentence or two. ``note``: what is known of the row's error beyond its size."""
    of_area = _causes().get(area, {})
    text = of_area.get(name) or of_area.get(name.split(" ")[0]) or "not known; make fingerprint looks closer."
    if note and area == "backward":
        text = ALL_ALIKE
    return f"{note[0].upper()}{note[1:]}: {text}" if note else text

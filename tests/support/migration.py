"""The table of all keys: what each published file says, what is taken where none is given, and what the key means."""

from dataclasses import Field
from typing import Any

import yaml

from hlg.config import KEYS
from repro.markdown import grid, md
from tests.support import ROOT

NAME = "keys"
PUBLISHED = ROOT / "tests/hlg/fixtures" / "published"


def table() -> str:
    """A row a key, in the order of ours."""
    files = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(PUBLISHED.glob("*.yml"))}
    rows = []
    for name, spec in KEYS.items():
        values = sorted({text(keys[name]) for keys in files.values() if name in keys})
        rows.append((f"`{name}`", ", ".join(values) or "–", text(spec.default), md(meaning(spec))))
    return "\n".join(grid(("Key", "Published", "Default", "Meaning"), rows)) + "\n"


def meaning(spec: Field[Any]) -> str:
    """The help of a key, with its unit where it has one."""
    unit = spec.metadata["unit"]
    return spec.metadata["help"] + (f" ({unit})" if unit not in ("", "1") else "")


def text(value: object) -> str:
    """A value; 1e-5, which YAML 1.1 takes for text, as the number that it is."""
    try:
        return f"{float(value if isinstance(value, bool) else str(value)):g}"
    except ValueError:
        return "nothing" if value in (None, "") else f"`{value}`"

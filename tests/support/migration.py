"""The README's table of the published keys: what each file of the published code says, and what the key means here.

python -m tests.support.migration --update README.md
"""

import argparse
import sys
from dataclasses import Field
from pathlib import Path
from typing import Any

import yaml

from hlg.config import KEYS
from repro.markdown import grid, md, read_table, write_table
from tests.support import ROOT

NAME = "keys"
PUBLISHED = ROOT / "tests/hlg/fixtures" / "published"


def table() -> str:
    """A row a published key, in the order of ours."""
    files = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(PUBLISHED.glob("*.yml"))}
    rows = []
    for name, spec in KEYS.items():
        values = sorted({text(keys[name]) for keys in files.values() if name in keys})
        if values:
            rows.append((f"`{name}`", ", ".join(values), md(meaning(spec))))
    return "\n".join(grid(("Key", "Published", "Here"), rows)) + "\n"


def meaning(spec: Field[Any]) -> str:
    """The help of a key, with its unit where it has one."""
    unit = spec.metadata["unit"]
    return spec.metadata["help"] + (f" ({unit})" if unit not in ("", "1") else "")


def text(value: object) -> str:
    """A published value; 1e-5, which YAML 1.1 takes for text, as the number that it is."""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return "nothing" if value in (None, "") else f"`{value}`"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.migration")
    parser.add_argument("--update", metavar="FILE", type=Path)
    parser.add_argument("--check", metavar="FILE", type=Path)
    options = parser.parse_args()
    if options.update:
        write_table(options.update, NAME, table())
    if options.check and read_table(options.check, NAME) != table():
        print(f"{options.check}: the table of keys is out of date; renew it with --update", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write Markdown: escaped text, tables, links, tables between markers in a handwritten page. And terminal tables."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

from repro.errors import ReproError, shown, shown_name
from repro.files import replace_file

END = "<!-- end -->"
_NARROWEST = 12  # signs; a terminal that is too small for this gets lines that it breaks itself


def begin_marker(name: str) -> str:
    """Return the line above the table `name`; the line below it is END."""
    return f"<!-- table: {name} -->"


def md(text: str) -> str:
    """Escape text from a file for Markdown: on one line, with nothing that Markdown, HTML or a forge would act on."""
    text = shown_name(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An underscore inside a word, as in most names, is no emphasis and stays readable.
    text = re.sub(r"[\\`*\[\]|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", text)
    text = re.sub(r"(?i)(?:(?<=http)|(?<=https)|(?<=ftp)):(?=//)|(?<=\bwww)\.", r"\\\g<0>", text)  # no link by itself
    return re.sub(r"@(?=\w)", "@&#8203;", text)  # a space of no width, so that nobody is mentioned


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose cells are Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Format a table for a terminal: its widest columns are folded until it fits. A file or pipe takes any width."""
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = [max(1, *map(len, cells)) for cells in zip(*rows, strict=True)]
    room = (shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize) - 2 * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for row in rows:
        folded = [textwrap.wrap(*pair, break_long_words=False) for pair in zip(row, widths, strict=True)]
        lines += ["  ".join(map(str.ljust, parts, widths)).rstrip() for parts in zip_longest(*folded, fillvalue="")]
    return "\n".join(lines)


def folder_link(folder: Path, target: Path) -> str:
    """Link to `folder`, relative to the page `target` that holds the link."""
    path = Path(os.path.relpath(folder, target.parent)).as_posix()
    return f"[{md(folder.name)}]({quote(os.fsencode(path))})"


def read_table(path: Path, name: str) -> str:
    """Read the table between the markers. Raises ReproError unless they are in the file once."""
    return _split(path, name)[1]


def write_table(path: Path, name: str, table: str) -> None:
    """Put `table`, which ends with a line break, between the markers. Raises ReproError as `read_table` does."""
    before, _, after = _split(path, name)
    replace_file(path, before + table + after)


def _split(path: Path, name: str) -> tuple[str, str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReproError(f"{path}: cannot be read: {error}") from None
    marker = begin_marker(name) + "\n"
    before, found, rest = text.partition(marker)
    inside, end, after = rest.partition(END)
    if not found or not end or marker in rest:
        raise ReproError(f"{path}: expected a line {begin_marker(name)!r} once, and a line {END!r} below it")
    return before + found, inside, end + after

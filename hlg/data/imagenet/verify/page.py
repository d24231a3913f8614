"""Write an inspection's report as JSON, which runs record by its hash, and as a page for people."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hlg.console import printable
from hlg.data.classes import IMAGENET_ORDER
from hlg.data.index import REPORT
from hlg.files import write_atomic

SHOWN = 20  # of each kind of finding, in the page; the JSON has them all


def inspection_page(report: dict[str, Any], show: Callable[[str], str] = printable) -> str:
    """Render the report as Markdown that reads well in a terminal; ``show`` escapes a line with names of files."""
    lines = ["# The data set, image by image", ""]
    lines += [f"- FAULT: {fault}" for fault in report["faults"]] or ["No fault."]
    for split, facts in report["splits"].items():
        counts = list(facts["per_class"].values())
        known = facts["label_order"] == IMAGENET_ORDER
        lines += [
            "",
            f"## {split}{', ImageNet-2012 as a whole' if split in report['whole'] else ''}",
            "",
            f"- {facts['images']:,} images of {facts['classes']:,} classes, {min(counts):,} to {max(counts):,} a class",
            f"- hash {facts['hash']}, by which runs know these images",
            f"- {facts['content'] or 'content: not hashed, since files can not be opened'}",
            f"- label order {facts['label_order']}{', that of ImageNet-2012' if known else ''}",
            f"- unreadable: {len(facts['unreadable']):,}",
            *_some([f"{file} ({why})" for file, why in facts["unreadable"].items()]),
        ]
        for oddity, files in facts["oddities"].items():
            lines += [f"- {oddity}: {len(files):,}", *_some(files)]
        lines += [f"- ignored: {warning}" for warning in facts["ignored"]]
    lines += ["", "## The same bytes more than once", ""]
    titles = {"across": "in train and in val", "across_classes": "in several classes", "all": "all"}
    for kind, title in titles.items():
        groups = report["duplicates"][kind]
        lines += [f"- {title}: {len(groups):,}", *_some([" = ".join(files) for files in groups])]
    return "".join(f"{show(line)}\n" for line in lines)


def _some(texts: Sequence[str]) -> list[str]:
    more = [f"  - and {len(texts) - SHOWN:,} more"] if len(texts) > SHOWN else []
    return [f"  - {text}" for text in texts[:SHOWN]] + more


def _markdown(line: str) -> str:
    """Escape what Markdown, HTML or a forge would act on, such as a name that mentions somebody."""
    return re.sub(r"@(?=\w)", "@&#8203;", re.sub(r"[\\`*\[\]<>&|~]", r"\\\g<0>", printable(line)))


def write_inspection(report: dict[str, Any], place: Path) -> str:
    """Write the report and its page into the folder ``place``; returns the hash that runs record."""
    content = json.dumps(report, indent=1).encode() + b"\n"
    write_atomic(place / REPORT, content)
    write_atomic((place / REPORT).with_suffix(".md"), inspection_page(report, _markdown))
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

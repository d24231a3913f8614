"""Describe single runs beside their figures: code, software and machine, and what differs from the published setup."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from repro.published.conditions import why_incomparable
from repro.published.schema import Published, Setting
from repro.records.schema import Run
from repro.report import phrases

# Facts of env.json that are told in words of their own, or are no facts about the machine. A command line and the
# folders of data name places on somebody's disk.
_TOLD = {
    *("commit", "dirty", "patch", "packages", "cpu", "device", "variables", "seed", "parameters", "dataset"),
    *("missing", "resumed", "argv", "kind", "checkpoint", "classes"),
}
_COMPARED = {
    "same": "the same as the checkpoint's, in the same order",
    "name": "matched with the checkpoint's by name",
    "order": "not compared with the checkpoint's: taken in order, as asked for",
    "unknown": "not compared with the checkpoint's, which names none: taken in order",
}
_LONGEST = 12  # entries of a list that is still a fact and no inventory


@dataclass(frozen=True)
class Link:
    """A name, and where it leads: a relative and percent-encoded address."""

    name: str
    href: str


@dataclass(frozen=True)
class Deviation:
    """The reasons why runs cannot be compared with the figures published on `beside`, if any."""

    runs: tuple[Link, ...]
    beside: str
    reasons: tuple[str, ...]


def page_link(path: Path, target: Path, name: str = "") -> Link:
    """Link a path from the page `target`, also if its name is not valid text."""
    relative = os.path.relpath(path, target.parent)
    return Link(name or path.name, quote(os.fsencode(relative)))


def record_links(run: Run, target: Path) -> list[Link]:
    """Link the parts of a run's record, with the patch of its code."""
    names = ["config.yml", "env.json", run.log.path.name, "metrics.jsonl"]
    patch = run.env.facts.get("patch")
    names += [patch] if isinstance(patch, str) and patch == Path(patch).name else []
    return [page_link(run.folder / name, target) for name in names if (run.folder / name).is_file()]


def known_facts(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the name and text of every known fact about a run's code, software, machine and data."""
    env, facts = run.env, run.env.facts
    changes = {None: ", changes not recorded", True: ", with uncommitted changes", False: ""}[env.dirty]
    yield "Code", (env.commit or "commit not recorded") + changes
    yield "Software", fact_text(facts.get("packages")) or env.software
    yield "Devices", run.env.hardware
    device = facts.get("device")
    if isinstance(device, Mapping):
        rest = {key: value for key, value in device.items() if key not in ("target", "names", "count")}
        yield from ((f"Device: {key}", text) for key, value in rest.items() if (text := fact_text(value)))
    yield "CPU", fact_text(facts.get("cpu")) or env.cpu
    yield "Variables", fact_text(facts.get("variables")) or "none of those that matter"
    for split, data in env.datasets.items():
        yield f"Data: {split}", f"{phrases.images_text(data)}{f', {data.hash}' if data.hash else ''}"
    yield "Seed", fact_text(run.config.get("seed")) or "not recorded"
    yield "Parameters", "not recorded" if env.parameters is None else f"{env.parameters:,}"
    checkpoint = facts.get("checkpoint")
    if isinstance(checkpoint, Mapping):
        yield "Checkpoint", fact_text({key: checkpoint.get(key) for key in ("sha256", "naming", "prefix")})
    if run.classes_compared:
        yield "Classes", _COMPARED.get(run.classes_compared, run.classes_compared)
    for key, value in facts.items():
        if key not in _TOLD and (text := fact_text(value)):
            yield key.replace("_", " ").capitalize(), text
    if env.resumed_on:
        yield "Resumed in a different environment", ", ".join(env.resumed_on)
    yield "Not recorded", "; ".join(env.missing) or "nothing is missing"


def fact_text(value: object, levels: int = 3) -> str:
    """Put a fact in words; nothing for what is absent, an inventory, or nested too deeply."""
    if value is None or value == "" or not levels:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, Mapping):
        parts = ((key, fact_text(entry, levels - 1)) for key, entry in value.items())
        return ", ".join(f"{key} {text}" for key, text in parts if text)
    if isinstance(value, Sequence) and len(value) <= _LONGEST:
        return ", ".join(text for entry in value if (text := fact_text(entry, levels - 1)))
    return ""


def deviations(runs: Iterable[Run], figures: Sequence[Published], target: Path) -> list[Deviation]:
    """Compare each run with the published setups of its kind; runs that differ in the same way form one entry."""
    alike: dict[tuple[str, tuple[str, ...]], list[Run]] = {}
    for run in runs:
        settings = {
            figure.setting.key: figure.setting
            for figure in figures
            if figure.setting.kind == run.kind and figure.setting.hardware
        }
        for key, setting in settings.items():
            found = [
                reason for figure in figures if figure.setting.key == key for reason in why_incomparable(figure, run)
            ]
            reasons = tuple(dict.fromkeys(reason.text for reason in found))
            alike.setdefault((_beside(setting), reasons), []).append(run)
    return [
        Deviation(tuple(page_link(run.folder, target) for run in members), beside, reasons)
        for (beside, reasons), members in alike.items()
    ]


def _beside(setting: Setting) -> str:
    kind = "the published training" if setting.kind == "train" else "the published evaluation"
    count = f"{setting.count} x " if setting.count else ""
    return f"{kind} on {count}{setting.hardware} ({setting.software})"


def resumption_sentences(run: Run) -> list[str]:
    """Describe each resumption of a run in one sentence."""
    texts = []
    for found in run.resumptions:
        changed = [f"changed: {', '.join(found.changed)}"] if found.changed else []
        texts.append(", ".join([*phrases.resumption_parts(found), *changed]))
    return texts

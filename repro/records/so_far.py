"""Read how far a run has come, whether it is finished or not: what metrics.jsonl has of it so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.files import field, read_json
from repro.records.config import read_config
from repro.records.metrics import Events, read_events
from repro.records.run_folder import read_run
from repro.records.seal import is_sealed


@dataclass(frozen=True)
class RunSoFar:
    """A run so far. `facts`: the whole of env.json."""

    folder: Path
    kind: str
    finished: bool
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    events: Events

    def named(self, name: str) -> list[Mapping[str, Any]]:
        """List the events of this name, in order; steps and calibrations are not among them."""
        return [event for event in self.events.others if event["event"] == name]


def read_so_far(folder: Path) -> RunSoFar | None:
    """Read a run so far; None if it has only begun, and has recorded neither a step nor an evaluation.

    Raises:
        ReproError: something is malformed, or changed since it was sealed; file and line are named.
    """
    finished = is_sealed(folder)
    if finished:
        read_run(folder)
    elif not all((folder / name).is_file() for name in ("config.yml", "env.json", "metrics.jsonl")):
        return None
    events = read_events(folder / "metrics.jsonl", unfinished=not finished)
    facts = read_json(folder / "env.json")
    kind = field(str(folder / "env.json"), facts, "kind", str)
    if not events.steps.loss and not any(event["event"] == "eval" for event in events.others):
        return None
    return RunSoFar(folder, kind, finished, read_config(folder / "config.yml"), facts, events)

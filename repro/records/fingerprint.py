"""Read the file of a fingerprint: each row's error, bound and verdict, and what it was made with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.files import field, read_json

FORMAT = 1
VERDICTS = ("ok", "out", "not done")
FACTS = ("commit", "source_sha256", "dirty", "python", "platform", "cpu", "device", "packages", "variables")


@dataclass(frozen=True)
class KeptRow:
    """One row of a fingerprint; no error where it was not done."""

    error: float | None
    bound: float | None
    verdict: str
    note: str


@dataclass(frozen=True)
class Fingerprint:
    """The contents of a fingerprint's file. `cause`: the probable one of the first row out of bounds, if any is."""

    path: Path
    title: str
    facts: dict[str, str]
    rows: dict[str, KeptRow]
    cause: str


def read_fingerprint(path: Path) -> Fingerprint:
    """Read a fingerprint's file.

    Raises:
        ReproError: it is no fingerprint; the message names file and key.
    """
    if not path.is_file():
        raise ReproError(f"{path}: no such file; make fingerprint writes one under results/fingerprint")
    where, record = str(path), read_json(path)
    if field(where, record, "format", int) != FORMAT:
        raise ReproError(f"{where}: format: found {record['format']}, expected {FORMAT}")
    rows: dict[str, KeptRow] = {}
    for i, found in enumerate(field(where, record, "rows", list)):
        at = f"{where}: rows[{i}]"
        if not isinstance(found, dict):
            raise ReproError(f"{at}: found {found!r:.100}, expected an object")
        label = ": ".join(part for part in (field(at, found, key, str) for key in ("area", "group", "name")) if part)
        verdict = field(at, found, "verdict", str)
        if verdict not in VERDICTS:
            raise ReproError(f"{at}: verdict: found {verdict!r}, expected one of {', '.join(VERDICTS)}")
        if label in rows:
            raise ReproError(f"{at}: found {label!r} a second time")
        error, bound = (field(at, found, key, float, optional=True) for key in ("error", "bound"))
        rows[label] = KeptRow(error, bound, verdict, field(at, found, "note", str))
    settings = {key: str(field(where, record, key, str)) for key in ("amp_level", "mode", "salt")}
    environment = field(where, record, "environment", dict)
    flat = dict(_flat("", {key: environment[key] for key in FACTS if key in environment}))
    cause = field(where, record, "cause", str, optional=True) or ""
    return Fingerprint(path, field(where, record, "title", str), settings | flat, rows, cause)


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(f"{prefix}{key} ", part)
    else:
        yield prefix.strip(), str(value)

"""Everything that the report writes for programs: its tables as CSV and JSON, and runs in the formats of others."""

import re
from collections.abc import Iterable, Iterator, Sequence

from repro.published.schema import Claim
from repro.records.schema import Run
from repro.report.exports import dllogger, github_benchmark, mindcv, mllog, timm
from repro.report.exports.common import csv_text, json_text
from repro.report.tables import tables

LONGEST = 150  # characters of a file's name, of which a file system takes 255


def files(claims: Sequence[Claim], runs: Sequence[Run]) -> dict[str, str]:
    """Path below the report's folder -> text, to be written as UTF-8 with its line breaks as they are.

    Tables are there also without a row; a format for which no run has data is not.
    """
    found: dict[str, str | None] = {}
    for name, table in tables(claims, runs).items():
        found[f"tables/{name}.csv"] = csv_text(table.columns, table.records)
        found[f"tables/{name}.json"] = json_text(table.records)
    for run, name in zip(runs, file_names(run.folder.name for run in runs), strict=True):
        found[f"formats/mllog/{name}.log"] = mllog.text(run)
        found[f"formats/dllogger/{name}.json"] = dllogger.text(run)
    found["formats/timm_validation.csv"] = timm.validation(runs)
    found["formats/timm_train.csv"] = timm.train(runs)
    found["formats/mindcv.md"] = mindcv.text(runs)
    found["formats/benchmark_smaller_is_better.json"] = github_benchmark.text(claims, "lower")
    found["formats/benchmark_bigger_is_better.json"] = github_benchmark.text(claims, "higher")
    return {path: text for path, text in found.items() if text is not None}


def file_names(folders: Iterable[str]) -> Iterator[str]:
    """Names for files that any file system takes, each another one, also where upper and lower case are the same."""
    taken: set[str] = set()
    for folder in folders:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", folder)[:LONGEST].strip(".") or "run"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        yield name

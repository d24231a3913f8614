"""Make every file of the report for programs: its tables as CSV and JSON, and runs in the formats of other projects."""

import re
from collections.abc import Iterable, Iterator, Sequence

from repro.published.schema import Claim
from repro.records.schema import Run
from repro.report.exports import dllogger, github_benchmark, mindcv, mllog, timm
from repro.report.exports.csv_json import csv_text, json_text
from repro.report.tables import report_tables

_LONGEST = 150  # characters of a file's name, of which a file system takes 255


def export_files(claims: Sequence[Claim], runs: Sequence[Run]) -> dict[str, str]:
    """Make the files, by path below the report's folder, to be written as UTF-8 with their line breaks as they are.

    Tables are there even without a row; a format for which no run has data is not.
    """
    found: dict[str, str | None] = {}
    for name, table in report_tables(claims, runs).items():
        found[f"tables/{name}.csv"] = csv_text(table.columns, table.records)
        found[f"tables/{name}.json"] = json_text(table.records)
    for run, name in zip(runs, file_names(run.folder.name for run in runs), strict=True):
        found[f"formats/mllog/{name}.log"] = mllog.mllog_text(run)
        found[f"formats/dllogger/{name}.json"] = dllogger.dllogger_text(run)
    found["formats/timm_validation.csv"] = timm.timm_validation(runs)
    found["formats/timm_train.csv"] = timm.timm_training(runs)
    found["formats/mindcv.md"] = mindcv.mindcv_text(runs)
    found["formats/benchmark_smaller_is_better.json"] = github_benchmark.benchmark_text(claims, "lower")
    found["formats/benchmark_bigger_is_better.json"] = github_benchmark.benchmark_text(claims, "higher")
    return {path: text for path, text in found.items() if text is not None}


def file_names(folders: Iterable[str]) -> Iterator[str]:
    """Yield file names that any file system takes, no two of them the same, even if it ignores upper and lower case."""
    taken: set[str] = set()
    for folder in folders:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", folder)[:_LONGEST].strip(".") or "run"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        yield name

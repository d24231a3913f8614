"""Say what `make check` and `make fingerprint` concluded on this machine; their results lie beside the runs."""

from pathlib import Path

from repro.errors import ReproError
from repro.files import field, read_json


def machine_checks(results: Path) -> list[str]:
    """Return a sentence for the last check and for each fingerprint below the folder; a broken file is named."""
    files = [(results / "check" / "verdict.json", _check)]
    files += [(path, _fingerprint) for path in sorted((results / "fingerprint").glob("*.json"))]
    found = []
    for path, say in files:
        try:
            found += [say(path)] if path.is_file() else []
        except ReproError as error:
            found.append(str(error))
    return found


def _check(path: Path) -> str:
    record = read_json(path)
    return f"make check says {field(str(path), record, 'verdict', str)} of {field(str(path), record, 'run', str)}"


def _fingerprint(path: Path) -> str:
    where, record = str(path), read_json(path)
    rows, out = field(where, record, "rows", list), field(where, record, "first_out", str, optional=True)
    done = [row for row in rows if isinstance(row, dict) and row.get("error") is not None]
    said = f"first row out of bounds: {out}" if out else f"all {len(done)} rows within bounds"
    packages = field(f"{where}: environment", field(where, record, "environment", dict), "packages", dict)
    return f"{field(where, record, 'title', str)}, MindSpore {packages.get('mindspore')}: {said}"

"""Put what an export wrote in the place of what an earlier one did, only once it is whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced_entries(folder: Path, pattern: str) -> Iterator[Path]:
    """Give an empty folder; what is written there moves to `folder`, in the place of what `pattern` finds in it."""
    partial = folder.parent / f".partial-{folder.name}"
    shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        written, old = list(partial.iterdir()), list(folder.glob(pattern))
        folder.mkdir(exist_ok=True)
        for path in old:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in written:
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)

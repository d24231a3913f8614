"""What fuzzing found stays mended, and fuzzing finds what it is to find."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from hlg.errors import UserError
from tests.fuzz import __main__ as fuzz
from tests.fuzz.damage import damaged
from tests.fuzz.rows import Row, make_rows

FOUND = sorted(fuzz.FOUND.glob("*/*"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    return make_rows(tmp_path_factory.mktemp("rows"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name} {path.name}")
def test_what_was_found_once_is_a_clean_error(rows: dict[str, Row], path: Path) -> None:
    assert fuzz.try_in_child(rows[path.parent.name], [path.read_bytes()]) == (1, "")


def test_a_few_damaged_files_of_each_kind_are_read_or_refused(rows: dict[str, Row]) -> None:
    for name, row in rows.items():
        whole, random = row.path.read_bytes(), Random(name)
        files = [damaged(whole, random) for _ in range(row.turn // 20)]  # of the quick ones
        assert (name, *fuzz.try_in_child(row, files)) == (name, len(files), "")
        row.path.write_bytes(whole)


def _refuse(path: Path) -> None:
    raise UserError(f"{path}: {path.read_text()}")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (_refuse, ""),
        (lambda path: {}[path.read_text()], "KeyError: 'b'"),
        (lambda path: bytes(2 * fuzz.BYTES), "MemoryError"),
        (lambda path: [None for _ in iter(int, 1)], "ended by SIGPROF"),
        (lambda path: os.read(os.pipe()[0], 1), "ended by SIGALRM"),
        (lambda path: ctypes.string_at(0), "ended by SIGSEGV"),
    ],
)
def test_a_fault_is_found_and_the_file_that_it_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], said: str
) -> None:
    monkeypatch.setattr(fuzz, "CPU_S", 0.3)
    monkeypatch.setattr(fuzz, "WALL_S", 1)
    path = tmp_path / "file"
    row = Row(path, lambda: read(path) if path.read_bytes() == b"b" else _refuse(path))
    number, why = fuzz.try_in_child(row, [b"a", b"b", b"c"])
    assert (number, said in why, bool(why)) == (1 if said else 3, True, bool(said))

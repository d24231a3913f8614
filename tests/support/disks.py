"""Small disks, to be filled and broken, and tests that also run on storage that lacks what POSIX promises."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import run_command
from tests.support.storage import storage_without


def full_disk(*_: object) -> None:
    """Takes the place of whatever writes."""
    raise OSError(28, "No space left on device")


def mount(*options: object) -> None:
    """Mount a file system in memory, or skip the test where that is not permitted."""
    done = run_command("mount", "-t", "tmpfs", *options)
    if done.returncode:
        pytest.skip(f"this test needs a small tmpfs, and mount says: {done.stderr.strip()}")


def remount(disk: Path, options: str) -> None:
    """Change a mounted disk, such as to ``ro`` or to ``size=100m``."""
    mount("-o", f"remount,{options}", disk)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 700 kB: room for two checkpoints and a half of the narrow network."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-o", "size=700k", "tmpfs", disk)
    yield disk
    run_command("umount", "--lazy", disk)


@pytest.fixture(params=["POSIX", "less"])
def any_storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test on storage that has all of POSIX, and again on storage that has not."""
    if request.param == "less":
        storage_without(monkeypatch.setattr)

"""A machine of the test's own."""

from pathlib import Path

import pytest

from repro.doctor import __main__ as doctor
from repro.doctor import host, storage
from tests.support.machines import FakeMachine


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """A machine whose clock is kept and whose limits are wide, whatever those of the one that runs the tests."""
    monkeypatch.setattr(doctor, "clock_error_us", lambda: 1000)
    monkeypatch.setattr(host.resource, "getrlimit", lambda which: (host.UNLIMITED,) * 2)
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda which: set(range(192)))
    monkeypatch.setattr(storage, "IMAGES", {"train": 2000, "val": 1000})
    return FakeMachine(tmp_path)

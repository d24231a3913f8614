"""Programs that are called in the process of the tests."""

from collections.abc import Callable
from typing import NamedTuple

import pytest


class Said(NamedTuple):
    """What a program printed, and what it said to standard error."""

    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the main of a program with these words, which must end with this exit code."""

    def call(main: Callable[[list[str]], int], *words: object, code: int = 0) -> Said:
        capsys.readouterr()
        try:
            ended: object = main([str(word) for word in words])
        except SystemExit as end:
            ended = end.code
        said = Said(*capsys.readouterr())
        assert ended == code, said.err
        return said

    return call

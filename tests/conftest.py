"""MindSpore is set up once, before any test imports it on its own."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

import tests.support.cores  # noqa: F401 - first of all: it says on which cores

# isort: split
import hlg  # noqa: F401 - before mindspore: it sets what MindSpore reads while it loads
from tests.support import ROOT
from tests.support.cloud import buckets
from tests.support.disks import any_storage, small_disk
from tests.support.engines import machine, programs
from tests.support.programs import call

__all__ = ["any_storage", "buckets", "call", "machine", "programs", "small_disk"]  # fixtures of all tests

settings.register_profile("untimed", deadline=None)  # a deadline would measure how busy the machine is
settings.load_profile("untimed")

# What is ignored here is so in all programs of the tests: Ctrl-C behind the & of a script, a lost terminal under nohup.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

FIXTURES = ROOT / "tests/hlg/fixtures"


@pytest.fixture
def graph_mode() -> Iterator[None]:
    """Graph mode for the test, whatever the one before or this one sets."""
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE, pynative_synchronize=True)  # as every program on a CPU
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


@pytest.fixture
def pynative_mode(graph_mode: None) -> None:
    """PyNative mode for the test, which has nothing to compile."""
    import mindspore as ms

    ms.set_context(mode=ms.PYNATIVE_MODE)

"""The programs with a narrow network.

``python -m tests.support.narrow hlg.predict ...`` takes what ``python -m hlg.predict ...`` takes; ``hlg.train`` is a
module of its own too, for whoever starts a program by one name.
"""

from collections.abc import Callable

from hlg.signals import StopRequest


def when_stoppable(prepare: Callable[[], None]) -> None:
    """Prepare a program once signals can stop it: what imports MindSpore comes no sooner there either."""
    enter = StopRequest.__enter__

    def enter_prepared(stop: StopRequest) -> StopRequest:
        enter(stop)
        prepare()
        return stop

    StopRequest.__enter__ = enter_prepared  # type: ignore[method-assign]


def make_narrow() -> None:
    """Build networks narrow from now on."""
    from tests.support.narrow.network import narrow

    narrow()

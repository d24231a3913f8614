"""A network a tenth as wide and with few blocks, which starts in seconds; all else is the program."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from unittest.mock import patch

from hlg.model import network
from hlg.model.network import HLG, MOBILE

STAGES = tuple(
    replace(stage, dim=dim, heads=2, mlp_ratio=1, blocks=stage.blocks[:count])
    for stage, dim, count in zip(MOBILE, (8, 8, 16, 16), (0, 0, 1, 1), strict=True)
)


def narrow(**changes: float) -> None:
    """From now on in this process, networks are built narrow, with these further ``changes``."""
    network.HLG = partial(HLG, stages=STAGES, **changes)  # type: ignore[misc]


@contextmanager
def narrowed(**changes: float) -> Iterator[None]:
    """Networks are built narrow meanwhile."""
    with patch.object(network, "HLG"):
        narrow(**changes)
        yield

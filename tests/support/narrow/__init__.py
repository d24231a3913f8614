"""The programs with a network a tenth as wide and with few blocks, which starts in seconds; all else is the program.

``python -m tests.support.narrow hlg.predict ...`` takes what ``python -m hlg.predict ...`` takes; ``hlg.train`` is a
module of its own too, for whoever starts a program by one name.
"""

from dataclasses import replace
from functools import partial

from hlg.model import network
from hlg.model.network import HLG, MOBILE

STAGES = tuple(
    replace(stage, dim=dim, heads=2, mlp_ratio=1, blocks=stage.blocks[:count])
    for stage, dim, count in zip(MOBILE, (8, 8, 16, 16), (0, 0, 1, 1), strict=True)
)


def narrow() -> None:
    """From now on in this process, networks are built narrow."""
    network.HLG = partial(HLG, stages=STAGES)  # type: ignore[misc]

"""Read docker/stacks.json: the releases of MindSpore, and the Python, CUDA and CANN that belong to each.

All but ``documented`` and ``image`` was read out of the wheels for Linux and of the index that has them. JSON, and in a
syntax that Python 3.8 reads, because `make doctor` starts before anything is installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parents[2] / "docker" / "stacks.json"


class Release(NamedTuple):
    """A release of MindSpore. Versions of Python, CUDA and CANN are as major.minor.

    ``cuda``: its plugins. ``gpus``: the compute capabilities that its CUDA operators were compiled for, by the fat
    binary of libcuda_ops.so.11 (8.6 as PTX). ``cann``: what it accepts (run_check/_check_version.py). ``compiled``: the
    CANN that its own operators were compiled with, for these ``chips`` (custom_ascendc_910b). ``documented``: the CANN
    and the driver that MindSpore Transformers 1.9.0 names with it for Atlas A2 and A3, or nothing. ``image``: the tag
    of CANN's image.
    """

    version: str
    released: str
    pythons: list[str]
    numpy: str
    protobuf: str
    cuda: list[str]
    gpus: list[str]
    cann: list[str]
    compiled: str
    chips: list[str]
    documented: list[str]
    image: str

    def runs_on(self, capability: tuple[int, int]) -> bool:
        """Tell whether it has code for a GPU of this compute capability: compiled, or compiled there from PTX."""
        return capability >= min(tuple(map(int, gpu.split("."))) for gpu in self.gpus)

    def accepts(self, cann: str) -> bool:
        """Tell whether it accepts this version of CANN, such as 8.2.RC1."""
        return ".".join(cann.split(".")[:2]) in self.cann

    def is_documented_with(self, cann: str, driver: str) -> bool:
        """Tell whether a document names it together with this CANN and this driver."""
        return self.documented == [cann.upper(), driver.upper()]


def read_releases() -> dict[str, Release]:
    """Return the known releases by version, newest first; the first one is the default."""
    return {version: Release(version, **row) for version, row in json.loads(FILE.read_text(encoding="utf-8")).items()}


def release_for(cann: str, driver: str = "") -> Release | None:
    """Find the release for this CANN: one documented with it and the driver, or with it, else the newest that fits."""
    fitting = [release for release in read_releases().values() if release.accepts(cann)]
    likeness = (
        lambda release: release.is_documented_with(cann, driver),
        lambda release: release.documented[:1] == [cann.upper()],
        lambda release: True,
    )
    return next((release for fits in likeness for release in fitting if fits(release)), None)

"""Releases of MindSpore: one table, a lock of each, and an environment or image of its own."""

import re

import pytest

from repro import bootstrap
from repro.stacks.releases import read_releases
from tests.support import ROOT
from tests.support.processes import run_make

RELEASES = list(read_releases())
OTHERS = RELEASES[1:]


def test_the_default_is_the_projects_and_every_other_release_has_a_lock() -> None:
    assert f'"mindspore=={RELEASES[0]}"' in (ROOT / "pyproject.toml").read_text()
    assert sorted(path.stem for path in (ROOT / "docker/releases").iterdir()) == sorted(OTHERS)


@pytest.mark.parametrize("release", OTHERS)
@pytest.mark.parametrize("image", ["dev", "cpu", "gpu", "ascend"])
def test_a_release_changes_the_pin_of_mindspore_alone(image: str, release: str) -> None:
    own, other = (bootstrap.read_lock(ROOT / f"docker/{image}.lock", name) for name in ("", release))
    pins = [set(re.findall(r"^[a-z].*==\S+", text, re.MULTILINE)) for text in (own, other)]
    assert pins[0] ^ pins[1] == {f"mindspore=={RELEASES[0]}", f"mindspore=={release}"}
    assert re.search(rf"^mindspore=={release} .*\n +--hash=sha256:.*\n(?: +--hash.*\n)*[a-z]", other, re.MULTILINE)


def test_each_release_has_an_environment_and_an_image_of_its_own() -> None:
    for release, venv in (("2.7.0", ".venv-2.7.0"), (RELEASES[0], ".venv"), ("", ".venv")):
        done = run_make("setup", DRY_RUN="1", MINDSPORE=release, PYTHON="python3")
        assert f"--venv {venv} " in done.stdout
    image = run_make("image-ascend", DRY_RUN="1", MINDSPORE="2.7.1", ENGINE="docker").stdout
    for words in ("--tag hlg-repro:ascend-2.7.1 ", "MINDSPORE=2.7.1", "CANN=8.3.rc1"):
        assert words in image


def test_a_python_for_which_a_release_has_no_wheel_is_refused() -> None:
    pythons = {name: release.pythons for name, release in read_releases().items()}
    assert not bootstrap.unsupported((3, 12, 0), "Linux", "x86_64", "2.7.2", pythons["2.7.2"])
    said = bootstrap.unsupported((3, 12, 0), "Linux", "x86_64", "2.7.0", pythons["2.7.0"])
    assert "MindSpore 2.7.0 and the packages beside it need Python 3.11. Name one" in said


def test_an_unknown_release_is_refused_with_those_that_are_known() -> None:
    done = run_make("tiny", DRY_RUN="1", MINDSPORE="1.5.1")
    assert done.returncode == 2
    assert f"MINDSPORE: found '1.5.1'; known: {' '.join(RELEASES)}" in done.stderr

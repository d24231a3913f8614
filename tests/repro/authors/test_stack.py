"""The environment of the authors' code is built whole, or an error says what to type; a stand-in is its Python."""

import shutil
import sys
from pathlib import Path

import pytest

from repro.authors import stack
from repro.authors.stack import DRIVER, build_stack
from repro.errors import ReproError

PYTHON39 = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
  *python_version*) echo 3.9.18 ;;
  "-m venv"*)
    for venv; do :; done
    mkdir -p "$venv/bin" "$venv/lib/python3.9/site-packages/nvidia/cublas/lib"
    cp "$0" "$venv/bin/python" ;;
  "-m pip"*) [ -z "$SAYS" ] || { echo "$SAYS"; exit 1; } ;;
esac
"""


@pytest.fixture
def python39(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Python 3.9 whose pip says what SAYS has and then fails; its calls are noted."""
    (path := tmp_path / "python3.9").write_text(PYTHON39)
    path.chmod(0o755)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(stack, "_has_driver", lambda: False)
    return str(path)


def _calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed")
def test_it_is_built_once_with_a_stub_where_no_driver_is(tmp_path: Path, python39: str) -> None:
    built = build_stack(tmp_path / "venv", python39)
    assert built.facts() | {"lock": ""} == {"mindspore": "1.7.0", "python": "3.9.18", "lock": "", "driver_stub": True}
    paths = built.variables()["LD_LIBRARY_PATH"].split(":")
    assert (Path(paths[0]) / DRIVER).is_file()
    assert paths[1].endswith("nvidia/cublas/lib")
    before = _calls(tmp_path)
    assert build_stack(tmp_path / "venv", python39) == built
    assert _calls(tmp_path) == before


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ("ERROR: No matching distribution found for mindspore-gpu==1.7.0", "is the machine online"),
        ("OSError: [Errno 28] No space left on device", "free about 4 GB"),
        ("something else", "could not install the packages: something else"),
    ],
)
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed")
def test_what_is_cut_short_is_an_error_and_is_built_again(
    says: str, error: str, tmp_path: Path, python39: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAYS", says)
    with pytest.raises(ReproError, match=error):
        build_stack(tmp_path / "venv", python39)
    monkeypatch.delenv("SAYS")
    assert build_stack(tmp_path / "venv", python39).python_version == "3.9.18"


def test_another_python_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match=r"--python39: found .*, which is Python 3\.1.*PYTHON39=/path/to/python3\.9"):
        build_stack(tmp_path / "venv", sys.executable)
    with pytest.raises(ReproError, match=r"--python39: found 'python3\.90', which can't be started"):
        build_stack(tmp_path / "venv", "python3.90")


def test_without_a_compiler_the_error_comes_before_the_download(
    tmp_path: Path, python39: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ReproError, match=r"found no C compiler, .*install gcc, or name one: CC=/path/to/cc make"):
        build_stack(tmp_path / "venv", python39)
    assert _calls(tmp_path) == 1

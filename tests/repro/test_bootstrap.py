"""`make setup`: says what does not fit, and does nothing twice."""

import ast
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repro import bootstrap
from tests.support import ROOT
from tests.support.processes import run_command, start_command


@pytest.mark.parametrize(
    ("version", "system", "machine", "said"),
    [
        ((3, 11, 2), "Linux", "x86_64", ""),
        ((3, 12, 0), "Linux", "aarch64", ""),
        ((3, 13, 0), "Linux", "x86_64", "Python 3.13 is not supported: .* Python 3.11 or 3.12. Name one: make"),
        ((3, 11, 0), "Darwin", "arm64", "Darwin on arm64 is not supported"),
    ],
)
def test_what_has_no_wheels_is_refused_by_name(version: tuple[int, ...], system: str, machine: str, said: str) -> None:
    found = bootstrap.unsupported(version, system, machine)
    assert bool(found) == bool(said)
    assert re.match(said, found)


def test_a_failure_ends_in_one_sentence_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho 'OSError: No space left on device'; exit 1\n")
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "lock").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SystemExit, match="could not make the virtual environment: free about 5 GB and try again"):
        bootstrap.build(tmp_path / "venv", tmp_path / "lock")
    assert "No space left on device" in capsys.readouterr().err


@pytest.fixture
def fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words of commands that fail, the last one first and once; all others succeed without doing anything."""
    found: list[str] = []

    def execute(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
        if "venv" in command:
            shutil.rmtree(tmp_path / "venv", ignore_errors=True)
            for folder in ("bin", "wheels", "unpacked"):
                (tmp_path / "venv" / folder).mkdir(parents=True)
            (tmp_path / "venv/bin/python").touch()
        if "config" in command:
            return subprocess.CompletedProcess(command, 0, "install.cert='/own.pem'\n")
        assert options.get("env") == ({"PIP_CERT": "/own.pem"} if "download" in command else None)
        failed = bool(found) and found[-1] in command
        return subprocess.CompletedProcess(command, int(failed), f"{found.pop()} failed" if failed else "")

    monkeypatch.delenv("PIP_CERT", raising=False)
    monkeypatch.setattr(bootstrap, "_execute", execute)
    return found


def test_an_environment_is_built_once_and_again_where_it_was_cut_short_or_the_lock_is_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fails: list[str]
) -> None:
    lock, venv = tmp_path / "lock", tmp_path / "venv"

    def check() -> str:
        monkeypatch.setattr(sys, "argv", ["bootstrap.py", "--venv", str(venv), "--check"])
        bootstrap.main()
        return capsys.readouterr().out.splitlines()[-1]

    lock.write_text("a==1\n")
    for word in ("download", "import mindspore; mindspore.__version__", "true"):
        fails.append(word)
        with pytest.raises(SystemExit):
            bootstrap.build(venv, lock, then=("true",))
        assert (check(), fails) == ("can be built", [])
    assert bootstrap.build(venv, lock)
    assert sorted(path.name for path in venv.iterdir()) == ["bin", bootstrap.STAMP, "lock.txt"]
    assert not bootstrap.build(venv, lock)
    assert check() == "built"
    lock.write_text("a==2\n")
    assert bootstrap.build(venv, lock)


def test_pip_installs_what_it_has_downloaded_where_uv_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fails: list[str]
) -> None:
    (tmp_path / "lock").touch()
    fails.append(str(tmp_path / "venv/bin/uv"))
    assert bootstrap.build(tmp_path / "venv", tmp_path / "lock")
    printed = capsys.readouterr()
    assert printed.out.endswith("Install the packages with pip ...\nImport MindSpore ...\n")
    assert printed.err == f"{tmp_path}/venv/bin/uv failed\n"


def test_a_program_that_cannot_be_started_has_failed_as_one_that_ends_with_an_error(tmp_path: Path) -> None:
    done = bootstrap._execute(str(tmp_path / "uv"))
    assert (done.returncode, done.stdout) == (127, f"[Errno 2] No such file or directory: '{tmp_path}/uv'")


def test_what_would_put_packages_elsewhere_reaches_neither_pip_nor_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    misleading = ("UV_LINK_MODE", "UV_NO_CACHE", "PIP_TARGET", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    for name in (*misleading, "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "set")
    told = bootstrap._execute("env").stdout.splitlines()
    assert [line for line in told if line.endswith("=set")] == ["PIP_INDEX_URL=set"]


def test_what_a_pip_conf_says_of_installing_alone_holds_for_the_download_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = http://mirror/simple\nquiet = 1\n"
        "[install]\ntrusted-host = mirror\n    other.mirror\nproxy = http://proxy:1\nretries = 9\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_PROXY", "http://own:2")
    found = bootstrap.install_settings(sys.executable, "-m", "pip")
    own = {"PIP_TRUSTED_HOST": "mirror other.mirror", "PIP_PROXY": "http://own:2", "PIP_RETRIES": "9"}
    assert found == own


def test_ctrl_c_is_one_line_and_what_is_half_built_is_built_again(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with start_command(
        sys.executable, bootstrap.__file__, "--venv", tmp_path / "venv", "--lock", "lock", cwd=tmp_path
    ) as setup:
        assert setup.stdout.readline().startswith(f"{tmp_path}/venv: building from lock (")
        assert setup.stdout.readline() == "Make the virtual environment ...\n"
        setup.send_signal(signal.SIGINT)
        assert setup.wait(10) == 130
        assert setup.stderr.read().startswith("stopped by Ctrl-C: ")
    assert not (tmp_path / "venv" / bootstrap.STAMP).exists()


def test_the_setup_script_reads_on_any_python_3() -> None:
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 4))


def _old_pythons() -> list[str]:
    """The Pythons of this machine that are older than .venv's, down to 3.8."""
    names = [f"python3.{minor}" for minor in (8, 9, 10)]
    found = [shutil.which(name) for name in names] + [
        str(path) for name in names for path in Path.home().glob(f".pyenv/versions/*/bin/{name}")
    ]
    return [path for path in found if path and run_command(path, "-c", "").returncode == 0]


@pytest.mark.parametrize("python", _old_pythons())
def test_what_runs_before_anything_is_installed_runs_on_old_pythons(python: str, tmp_path: Path) -> None:
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    options = ("--nodes", "2", "--imagenet", "/data", "--runs", "/runs", "--image", "hlg:1", "--out", tmp_path)
    done = run_command(python, "-m", "repro.cluster", *options, "--", "--seed=2", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    options = ("--device", "ascend", "--runs", tmp_path, "--venv", tmp_path / "venv")
    done = run_command(python, "-m", "repro.doctor", *options, env=env)
    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(r"Python 3\.\d+ is not supported", done.stdout)
    assert "could not be checked" not in done.stdout


def test_what_runs_before_anything_is_installed_has_the_syntax_of_python_3_8() -> None:
    for file in ("cluster.py", "errors.py", "footprint.py", *(ROOT / "repro/doctor").glob("*.py")):
        ast.parse((ROOT / "repro" / file).read_text(), feature_version=(3, 8))

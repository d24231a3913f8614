"""Every program, when its user ends it early or reads no further."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hlg.errors import UserError
from hlg.signals import run_main
from repro.errors import ReproError, resumable, run_tool
from tests.support import ROOT
from tests.support.processes import run_module

ALONE = {"hlg.runtime.guard", "repro.bootstrap"}  # single files, which import nothing of ours
FILES = [file for package in ("hlg", "repro") for file in sorted((ROOT / package).rglob("*.py"))]
PROGRAMS = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for file in FILES
    if 'if __name__ == "__main__"' in file.read_text(encoding="utf-8")
}
PROGRAMS_OF = {
    package: sorted(name for name in PROGRAMS - ALONE if name.startswith(package)) for package in ("hlg", "repro")
}
KILL = """
import os, sys
sys.addaudithook(lambda event, words: event == "import" and words[0] == {!r} and os.kill(os.getpid(), {:d}))
"""
BEFORE, UNSAVED = "before it began", "there is no result; a run folder stays readable and unsealed"
TRAIN = "hlg.train --dataset_path=configs --eval_path=configs --device_target=CPU --batch_size=8"
UNBEGUN = "before the first step: nothing is lost, start it again as before"


@pytest.mark.parametrize(
    ("words", "imported", "number", "code", "said"),
    [
        *((name, "hlg.signals", 2, 130, f"Ctrl-C {BEFORE}") for name in PROGRAMS_OF["hlg"]),
        *((name, "repro.errors", 2, 130, f"Ctrl-C {BEFORE}") for name in PROGRAMS_OF["repro"]),
        (TRAIN, "mindspore", signal.SIGTERM, 75, f"SIGTERM {UNBEGUN}"),
        ("hlg.bench step", "mindspore", signal.SIGTERM, 143, f"SIGTERM: {UNSAVED}"),
        ("hlg.fingerprint", "mindspore", signal.SIGTERM, 143, f"SIGTERM: {UNSAVED}"),
        ("tests.support.narrow hlg.fingerprint", "mindspore", signal.SIGINT, 130, f"SIGINT: {UNSAVED}"),
    ],
)
def test_a_signal_while_a_program_imports_is_one_line(
    words: str, imported: str, number: int, code: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(KILL.format(imported, number))
    done = run_module(*words.split(), env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (code, f"stopped by {said}\n")


@pytest.mark.parametrize("name", [*PROGRAMS_OF["hlg"], *PROGRAMS_OF["repro"]])
def test_every_program_ends_as_all_do(name: str) -> None:
    file = ROOT / name.replace(".", "/")
    text = (file / "__main__.py" if file.is_dir() else file.with_suffix(".py")).read_text(encoding="utf-8")
    assert text.endswith(f"    run_{'main' if name.startswith('hlg') else 'tool'}(main)\n")


@pytest.mark.parametrize("run", [run_main, run_tool])
@pytest.mark.parametrize("becomes", [KeyboardInterrupt, ImportError])
def test_ctrl_c_in_a_program_is_one_line(
    run: Callable[[Any], NoReturn], becomes: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:  # within the import of a C extension
            raise becomes from None
        return 0

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit, match="130"):
        run(main)
    signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"


@pytest.mark.parametrize("error", [UserError, ReproError])
def test_an_error_names_what_was_typed(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLG_TYPED_AS", "--python39=PYTHON39 --mixup=mixup")
    assert str(error("--python39: found 'x', --mixup too")) == "PYTHON39: found 'x', mixup too"
    assert str(error("python39: found 'x'")) == "PYTHON39: found 'x'"


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_work_that_resumes_says_what_an_early_end_keeps(
    number: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert resumable(lambda: os.kill(os.getpid(), number) or 0, "all is kept") == 128 + number
    assert capsys.readouterr().err == f"stopped by {said}: all is kept\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("hlg.train --help", 0),
        ("hlg.launch --help", 0),
        ("repro.records.verify {run}", 1),
        ("repro.doctor --imagenet={run}", 1),
    ],
)
def test_whoever_reads_no_further_changes_no_exit_code(words: str, code: int, tmp_path: Path) -> None:
    run = tmp_path / "20260131T235959Z_unfinished"
    run.mkdir()
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", *words.format(run=run).split()]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == code
    assert "Traceback" not in done.stderr

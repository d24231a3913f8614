"""Logs that are broken on purpose or by accident: a correct result or an error with file and line, nothing skipped."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from repro.errors import ReproError
from repro.records.logs import LONGEST, read_log
from repro.records.schema import Log
from tests.support import ROOT

PUBLISHED = ROOT / "results/published"
TRAINED = (PUBLISHED / "train_ascend910x8.log").read_text()
EVALUATED = (PUBLISHED / "eval_gpu_rtx3090.log").read_text()


def counts(log: Log) -> tuple[object, ...]:
    """How many records of each kind a log has."""
    once = (log.evaluation, log.compile_time_s, log.training_time_s, log.best_accuracy, log.mean_fps)
    return (len(log.epochs), log.step_lines, *(value is not None for value in once))


def read(folder: Path, content: str | bytes) -> Log:
    path = folder / "some.log"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_log(path)


def error_of(read: Callable[..., object], *arguments: object) -> str:
    """What the error says, or nothing."""
    try:
        read(*arguments)
    except ReproError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@given(st.sampled_from([TRAINED, EVALUATED]), st.floats(0, 1, exclude_max=True), st.characters(codec="utf-8"))
@example(TRAINED, 0.0, "\x1b")
def test_a_wrong_character_loses_no_record_in_silence(folder: Path, text: str, place: float, other: str) -> None:
    at = int(place * len(text))
    if "\n" in (text[at], other) or "\r" in (text[at], other) or other in "\x85\u2028\u2029":
        return  # lines that are joined or cut: see below
    line = text[:at].count("\n") + 1
    for broken in (text[:at] + other + text[at + 1 :], text[:at] + other + text[at:], text[:at] + text[at + 1 :]):
        if said := error_of(read, folder, broken):  # a wrong number of an epoch shows in the next one
            assert f"some.log:{line}: found" in said or "expected the next one" in said
        else:
            assert counts(read(folder, broken)) == counts(read(folder, text))


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(TRAINED.replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param("\ufeff" + TRAINED, id="a byte order mark"),
        pytest.param(TRAINED.replace("2022", "\x1b[32m2022").replace("\n", "\x1b[0m\n"), id="colors"),
        pytest.param(TRAINED.replace("\n", "\n 45%|####5     | 36/80\r"), id="a progress bar between"),
        pytest.param("x" * 25 * LONGEST + "\n" + TRAINED, id="a line beyond all bounds"),
    ],
)
def test_what_surrounds_records_changes_none(folder: Path, same: str) -> None:
    found, plain = read(folder, same), read(folder, TRAINED)
    assert [epoch.accuracy for epoch in found.epochs] == [epoch.accuracy for epoch in plain.epochs]
    assert counts(found) == counts(plain)


def behind(*prefixes: str, text: str = TRAINED) -> str:
    """Each line behind each of these prefixes in turn."""
    return "".join(f"{prefix}{line}\n" for line in text.splitlines() for prefix in prefixes)


DOCKER_TIME = "2022-07-27T16:40:13.123456789Z "


@pytest.mark.parametrize(
    "prefix",
    [
        *("    ", "\t", DOCKER_TIME, "hlg-train-1  | ", f"train-1  | {DOCKER_TIME}", "0: ", "node-7: "),
        *("[1,0]<stdout>:", "[prterun-host-12@1,0]<stderr>: ", "[rank0]: ", "[pod/hlg-0/train] ", "hlg-0-x7 train "),
        *(f"[pod/hlg-0/train] {DOCKER_TIME}", "Nov 28 23:56:57 host python[123]: "),
        f"{DOCKER_TIME}stdout F ",  # a pod's file on its node
    ],
)
def test_what_other_programs_put_before_each_line_is_taken_off(folder: Path, prefix: str) -> None:
    for text in (TRAINED, EVALUATED):
        assert counts(read(folder, behind(prefix, text=text))) == counts(read(folder, text))
    others = "".join(f"{rank}: a warning\n" for rank in range(8))  # they are no records, whoever wrote them
    assert counts(read(folder, others + behind(prefix) + others)) == counts(read(folder, TRAINED))


@pytest.mark.parametrize("prefixes", [("0: ", "1: "), ("[1,0]<stdout>:", "[1,1]<stdout>:"), ("", "a-1  | ")])
def test_records_of_several_ranks_are_never_read_as_one_and_one_can_be_kept(
    folder: Path, prefixes: tuple[str, str]
) -> None:
    said = error_of(read, folder, behind(*prefixes))
    assert "some.log:2: found lines of two ranks, '" in said
    kept = subprocess.run(said.partition("keep one by: ")[2], shell=True, capture_output=True, check=True, text=True)
    assert kept.stdout == behind(prefixes[0])


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        pytest.param(behind("hello world "), 1, id="a prefix of no program"),
        pytest.param("".join(2 * (line + "\n") for line in TRAINED.splitlines()), 4, id="two ranks line by line"),
        pytest.param(TRAINED.encode("utf-16"), 1, id="UTF-16"),
        pytest.param(TRAINED.replace(":INFO:training", ":INFO:trianing"), 9, id="a letter that was swapped"),
        pytest.param("x" * 3 * LONGEST + TRAINED, 1, id="a record behind a line beyond all bounds"),
        pytest.param(TRAINED.replace("[296], epoch", f"[{'9' * 5000}], epoch"), 2, id="an absurd number of digits"),
    ],
)
def test_a_log_that_cannot_be_trusted_is_an_error_with_its_line(folder: Path, broken: str | bytes, line: int) -> None:
    with pytest.raises(ReproError, match=rf"some\.log:{line}: found"):
        read(folder, broken)


def test_more_epochs_than_any_training_has_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.records.logs.MOST", 3)
    with pytest.raises(ReproError, match=r"some\.log:8: found more than 3 epochs, expected the log of one run"):
        read(folder, TRAINED)


# ------------------------------------------------------------------------------------- larger than memory

SIZE = 60_000_000  # bytes; a pipe gives them, so that nothing can know how many will come
STEP = b"2022-07-27 16:40:13:INFO:epoch[296], step_num[296], loss=2.671882\n"
NUMBERS = '"loss": 2.5, "lr": 0.001, "step_time_ms": 373.1, "data_wait_ms": 1'
STEPS = 200_000
EVENTS = "\n".join([*(f'{{"event": "step", "epoch": 0, "step": {n}, {NUMBERS}}}' for n in range(STEPS)), "{}"]).encode()
# Reads what comes and prints by how many kB its memory grew at most, then what was found.
MEASURED = """
import re
from pathlib import Path
from repro.records.logs import read_log
from repro.records.metrics import read_events
from repro.errors import ReproError

def peak():
    return int(re.search("VmHWM:.*?([0-9]+)", Path("/proc/self/status").read_text())[1])

before = peak()
try:
    found = {read}(Path("/dev/stdin"))
    said = f"{{found.step_lines}} steps, {{len(found.epochs)}} epochs, {{found.foreign_lines}} foreign"
except ReproError as error:
    said = str(error)
print(peak() - before, said, sep=": ")
"""


@pytest.mark.parametrize(
    ("read", "piece", "size", "end", "found", "kilobytes"),
    [
        ("read_log", STEP, SIZE, TRAINED, f"{SIZE // len(STEP) + 4} steps, 4 epochs, 0 foreign", 4_000),
        ("read_log", b"x", SIZE, "\n" + TRAINED, "4 steps, 4 epochs, ", 4_000),
        ("read_log", STEP[:-1], SIZE, "", "/dev/stdin:1: found 'epoch[296], step", 4_000),
        ("read_log", b"\x1b[3", SIZE // 10, "\n" + TRAINED, "4 steps, 4 epochs, ", 4_000),  # colors without end
        ("read_log", STEP[:25] + b"a message\n", SIZE // 10, TRAINED, "4 steps, 4 epochs, 0 foreign", 4_000),
        ("read_events", b'{"event": "', SIZE, "", "/dev/stdin:1: found a line of 1,000,000 characters or more", 20_000),
        # A step takes four numbers of eight bytes; twice that, since an array grows ahead of what is in it.
        ("read_events", EVENTS, 1, "", f"/dev/stdin:{STEPS + 1}: event: found None", 2 * 4 * 8 * STEPS // 1000),
    ],
    ids=["steps", "an endless line", "endless records", "colors", "messages", "an event", "events"],
)
def test_a_file_of_any_length_takes_no_more_memory_than_its_numbers(
    read: str, piece: bytes, size: int, end: str, found: str, kilobytes: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(read=read)],
        cwd=ROOT,
        input=piece * max(1, size // len(piece)) + end.encode(),
        capture_output=True,
        check=True,
        timeout=120,  # a minute is many times what it takes, and nothing beside what a square of the length would
    )
    grown, _, said = done.stdout.decode().strip().partition(": ")
    assert said.startswith(found)
    assert int(grown) < kilobytes

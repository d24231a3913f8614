"""Read logs in the published format. A malformed record is an error; `nan` stays `nan`."""

import math
import re
from array import array
from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from repro.errors import ReproError
from repro.records.prefixes import keep_only, split_prefix
from repro.records.schema import Epoch, EvalLine, Log


def _number(name: str, digits: int) -> str:
    return rf"(?P<{name}>-?\d{{1,309}}\.\d{{{digits}}}|nan|-?inf)"


# The console has no milliseconds, the log file of the published code has ",mmm".
_STAMP = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:,\d{3})?:[A-Z]+:"
_STAMPED = re.compile(_STAMP + "(.*)")
_STEP = re.compile(r"epoch\[\d+\], step_num\[\d+\], loss=" + _number("loss", 6))
# Nearly all lines are those of steps, so as many as follow each other within an hour are tried at once. A line that is
# longer than any real one does not match, and is looked at by itself.
_STEP_LINE = (
    r":[0-5]\d:[0-5]\d(?:,\d{3})?:[A-Z]{1,9}:epoch\[\d{1,9}\], step_num\[\d{1,9}\], "
    r"loss=(?:-?\d{1,9}\.\d{6}|nan|-?inf)\n"
)
_STEP_LINES = re.compile(rf"(\d{{4}}-\d\d-\d\d \d\d){_STEP_LINE}(?:\1{_STEP_LINE})*", re.ASCII)
_EPOCH = re.compile(
    r"epoch\[(?P<epoch>\d{1,9})\], epoch time: "
    + _number("epoch_time_s", 2)
    + "s, per step time: "
    + _number("step_time_s", 4)
    + "s, loss="
    + _number("loss", 6)
    + ", lr="
    + _number("lr", 6)
    + ", fps="
    + _number("fps", 2)
    + f"(?:, accuracy={_number('accuracy', 6)}, eval_cost={_number('eval_cost_s', 2)})?"
)
_COMPILE = re.compile("compile time used=" + _number("value", 2) + "s")
_TRAINING = re.compile("training time used=" + _number("value", 2) + "s")
_BEST = re.compile(r"last_metric\[(?P<value>-?\d+(?:\.\d+)?(?:e[+-]\d+)?|nan|-?inf)\]")
_MEAN = re.compile(r"ip\[[^\]]*\], mean_fps\[" + _number("value", 2) + r"\]")
_EVAL = re.compile(
    "accuracy="
    + _number("accuracy", 6)
    + ", per step time: "
    + _number("step_time_s", 4)
    + "s, total cost time: "
    + _number("total_s", 4)
    + "s"
)

# How a stamped message begins -> the patterns it may have, by name, and what is expected of it.
_KNOWN: dict[str, tuple[dict[str, re.Pattern[str]], str]] = {
    "epoch[": (
        {"step": _STEP, "epoch": _EPOCH},
        "'epoch[0], step_num[0], loss=2.200000' or 'epoch[0], epoch time: 24.40s, per step time: 0.3050s, "
        "loss=2.200000, lr=0.000500, fps=104.90' with or without ', accuracy=0.312500, eval_cost=5.10'",
    ),
    "compile time used": ({"compile time used": _COMPILE}, "'compile time used=17.30s'"),
    "training time used": ({"training time used": _TRAINING}, "'training time used=300.10s'"),
    "last_metric[": ({"last_metric": _BEST}, "'last_metric[0.75618]'"),
    "ip[": ({"mean_fps": _MEAN}, "'ip[127.0.0.1], mean_fps[104.00]'"),
}
_START = max(map(len, _KNOWN))  # characters
# A line that is no record and holds one of these is a broken one, not a foreign line.
_PIECES = (
    *("epoch[", "step_num[", "last_metric[", "mean_fps[", "compile time used", "training time used"),
    *("per step time: ", "total cost time: ", "eval_cost="),
)
_COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
BLOCK = 1 << 16  # characters that are read at once
LONGEST = 10_000  # characters of a line that are looked at at once; no record has 300
UNEVALUATED = "-1"  # last_metric of a training that evaluated nothing, as the published code does on one device
MOST = 100_000  # epochs; they are kept in memory, and no training has as many
ALIKE = 0.8  # from which on the beginning of a message is a record's, with a letter wrong

STAMPED = "a record behind '2022-07-27 17:04:05:INFO:', with or without ',123' after the seconds"
EVALUATION = "'accuracy=0.754880, per step time: 0.2441s, total cost time: 95.4355s' without a time stamp"
ONE_RUN = "one file holds the log of one run"


def read_log(path: Path) -> Log:
    """Read a training or evaluation log of any length, of the console or of the file, line by line.

    Other stamped messages (``Args:``, ``--> key: value``) are accepted, other lines are counted as foreign. What
    docker, srun and the like put before each line is taken off. The memory it takes grows with the epochs alone, not
    with the file.

    Raises:
        ReproError: a record does not match the published format exactly, an accuracy is no share, or a second log, of
            another run or rank, is in the same file; the message names file and line.
    """
    epochs: list[Epoch] = []
    evaluation: EvalLine | None = None
    once: dict[str, float | None] = {}
    steps = foreign = 0
    name = str(path)
    whose: list[str] = []
    for line, before, told in _lines(path):
        steps += before
        where = f"{name}:{line}"
        source, text = split_prefix(told)
        kind, found = (_record(where, text) if text.strip() else None) or ("", {})
        for one, has_record in (("", before > 0), (source, kind not in ("", "foreign"))):
            if has_record and one not in whose:
                whose.append(one)
        if len(whose) > 1:
            raise ReproError(
                f"{where}: found lines of two ranks, {whose[0]!r} and {whose[1]!r}, expected one; keep one by: "
                f"{keep_only(whose[0], path)}"
            )
        if not kind:
            continue
        if kind == "foreign":
            foreign += 1
        elif kind == "step":
            steps += 1
        elif kind == "epoch":
            epoch = _epoch(where, line, found)
            if epochs and epoch.epoch != epochs[-1].epoch + 1:
                pair = f"epoch {epoch.epoch} after epoch {epochs[-1].epoch}"
                raise ReproError(f"{where}: found {pair}, expected the next one; {ONE_RUN}")
            if len(epochs) == MOST:
                raise ReproError(f"{where}: found more than {MOST:,} epochs, expected the log of one run")
            epochs.append(epoch)
        elif kind in once or (kind == "evaluation" and evaluation):
            raise ReproError(f"{where}: found a second line {kind!r}, expected one; {ONE_RUN}")
        elif kind == "evaluation":
            numbers = _floats(where, found)
            evaluation = EvalLine(line, numbers["accuracy"], numbers["step_time_s"], numbers["total_s"])
        else:
            unevaluated = kind == "last_metric" and found["value"] == UNEVALUATED
            once[kind] = None if unevaluated else _floats(where, found)["value"]
    return Log(
        path=path,
        epochs=tuple(epochs),
        evaluation=evaluation,
        step_lines=steps,
        compile_time_s=once.get("compile time used"),
        training_time_s=once.get("training time used"),
        best_accuracy=once.get("last_metric"),
        mean_fps=once.get("mean_fps"),
        foreign_lines=foreign,
    )


def read_step_losses(path: Path) -> "array[float]":
    """Read the loss of every step, in order, from a log that `read_log` has read without an error."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return array("d", (float(found["loss"]) for line in file if (found := _STEP.search(line))))


def _lines(path: Path) -> Iterator[tuple[int, int, str]]:
    """Read the lines that are no step's: number, how many lines of steps stood before it, text without colors.

    A line of absurd length comes in parts, so that any file can be read.
    """
    number, begins = 1, True
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for before, part in _parts(file):
                number += before
                if "\0" in part:
                    raise ReproError(f"{path}:{number}: found a zero byte, expected text in UTF-8")
                text = _COLOR.sub("", part.rstrip("\n"))
                yield number, before, text if begins or not part else f"... {text}"  # no record begins within a line
                begins = part.endswith("\n")
                number += begins
    except OSError as error:
        raise ReproError(f"{path}: cannot be read: {error.strerror}") from None


def _parts(file: TextIO) -> Iterator[tuple[int, str]]:
    """Read line by line, or in parts of LONGEST characters: how many lines of steps stood before it, and its text.

    The last part is empty.
    """
    block, steps, begins, more = "", 0, True, True
    while more:
        new = file.read(BLOCK)
        block, at, more = block + new, 0, bool(new)
        while True:
            if begins and (found := _STEP_LINES.match(block, at)) and _exists(found[1]):
                steps, at = steps + block.count("\n", at, found.end()), found.end()
            end = block.find("\n", at, at + LONGEST) + 1 or at + LONGEST
            part = block[at:end]
            if not part or (more and end > len(block)):  # the rest of it may be in the next block
                break
            yield steps, part
            steps, at, begins = 0, end, part.endswith("\n")
        block = block[at:]
    yield steps, ""


def _record(where: str, text: str) -> tuple[str, dict[str, str | None]] | None:
    """Return kind and named parts of one line; None for a stamped message that is no record."""
    stamped = _STAMPED.fullmatch(text)
    if not stamped:
        evaluation = _EVAL.fullmatch(text)
        if evaluation:
            return "evaluation", evaluation.groupdict()
        if text.startswith("accuracy=") or any(piece in text for piece in _PIECES):
            raise ReproError(f"{where}: found {text[:200]!r}, expected {STAMPED}, or {EVALUATION}")
        return "foreign", {}

    time, message = stamped.groups()
    if not _exists(time):
        raise ReproError(f"{where}: found the time {time!r}, expected one that exists")
    if message.startswith("accuracy="):
        raise ReproError(f"{where}: found {message[:200]!r} behind a time stamp, expected {EVALUATION}")
    for start, (patterns, expected) in _KNOWN.items():
        if message.startswith(start):
            for kind, pattern in patterns.items():
                match = pattern.fullmatch(message)
                if match:
                    return kind, match.groupdict()
            raise ReproError(f"{where}: found {message[:200]!r}, expected {expected}")
    if message.startswith("--> "):  # a key of the configuration, whatever its value
        return None
    if any(piece in message for piece in _PIECES) or _nearly_a_record(message[:_START]):
        expected = "; or ".join(expected for _, expected in _KNOWN.values())
        raise ReproError(f"{where}: found {message[:200]!r}, which resembles a record, expected {expected}")
    return None


@lru_cache(maxsize=1024)
def _exists(time: str) -> bool:
    """Tell whether this day and time exist."""
    try:
        return bool(datetime.fromisoformat(time))
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def _nearly_a_record(begin: str) -> bool:
    """Return whether a message that begins so looks like a misspelled record."""
    starts = (*_KNOWN, "accuracy=")
    return any(get_close_matches(begin[: len(start)], [start], 1, ALIKE) for start in starts)


def _epoch(where: str, line: int, found: Mapping[str, str | None]) -> Epoch:
    number = _floats(where, {name: text for name, text in found.items() if name != "epoch"})
    return Epoch(
        line=line,
        epoch=int(found["epoch"] or ""),
        epoch_time_s=number["epoch_time_s"],
        step_time_s=number["step_time_s"],
        loss=number["loss"],
        lr=number["lr"],
        fps=number["fps"],
        accuracy=number.get("accuracy"),
        eval_cost_s=number.get("eval_cost_s"),
    )


def _floats(where: str, found: Mapping[str, str | None]) -> dict[str, float]:
    """Return the numbers of a record, without the parts that it does not have."""
    numbers = {name: float(text) for name, text in found.items() if text is not None}
    for name, number in numbers.items():
        if (number < 0 and name != "loss") or (math.isinf(number) and "inf" not in (found[name] or "")):
            raise ReproError(f"{where}: {name}: found {number}, expected a number from 0 to 1e308")
    accuracy = numbers.get("accuracy", 0.0)
    if accuracy > 1:
        raise ReproError(f"{where}: found accuracy={accuracy}, expected a share from 0 to 1")
    return numbers

"""Measure several programs by turns.

A machine that other people use is slower now and faster then. Programs that take their turns in every round see the
same of it, so the ratio of their times holds where the times do not. Each turn runs twice, and only the second is
timed: in the first a program, whose turn comes after seconds of others, finds nothing of its own in the caches and its
threads asleep. Each command says "ready" on standard output once it is warm, then answers every line on its standard
input with the seconds of a repetition: ``python -m hlg.bench ... --paced`` and the peers in tests/benchmarks do.
"""

import contextlib
import shlex
import statistics
import subprocess
from collections.abc import Sequence
from typing import Any

from repro.errors import ReproError

READY = "ready"


class PacedProgram:
    """A program that waits for its turns."""

    def __init__(self, name: str, command: str) -> None:
        self.name, self.command = name, command
        try:
            self.process = subprocess.Popen(
                shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
            )
        except (OSError, ValueError) as error:
            raise ReproError(f"{name}: cannot be started by {command!r}: {error}") from None

    def wait(self) -> None:
        """Wait until it is warm; what it says before is its own affair."""
        while self._answer() != READY:
            pass

    def turn(self) -> float:
        """Run it twice; return the seconds of the second repetition."""
        self._repeat()
        return self._repeat()

    def _repeat(self) -> float:
        assert self.process.stdin
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise ReproError(f"{self.name}: has ended, see above") from None
        answer = self._answer()
        try:
            return float(answer)
        except ValueError:
            raise ReproError(f"{self.name}: expected the seconds of a repetition, found {answer!r}") from None

    def end(self) -> None:
        """End the program; it gets no more turns."""
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise ReproError(f"{self.name}: has ended with exit code {self.process.wait()}, see above")
        return line.strip()


def pace_programs(commands: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each program's turn in every round.

    Raises:
        ReproError: one of them fails.
    """
    programs: list[PacedProgram] = []
    try:
        for name, command in commands.items():
            # One after the other: while one still compiles, no other one warms up beside it.
            programs.append(PacedProgram(name, command))
            programs[-1].wait()
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(rounds):
            # Every other round in the other direction, so that none always follows the same one.
            for program in programs if turn % 2 == 0 else reversed(programs):
                times[program.name].append(program.turn())
        return times
    finally:
        for program in programs:
            program.end()


def summarize_turns(times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return median and quartiles of each program's seconds, and of their ratios to the first's of the same rounds."""
    first = next(iter(times.values()))
    return [
        {
            "name": name,
            "median_s": statistics.median(own),
            "quartiles_s": _quartiles(own),
            "ratio": statistics.median(a / b for a, b in zip(own, first, strict=True)),
            "ratio_quartiles": _quartiles([a / b for a, b in zip(own, first, strict=True)]),
            "times_s": own,
        }
        for name, own in times.items()
    ]


def turns_table(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of `summarize_turns` as the cells of a table, with its header."""
    cells: list[tuple[str, ...]] = [
        ("program", "median s", "quartiles s", f"ratio to {rows[0]['name']}", "its quartiles")
    ]
    for row in rows:
        low, high = row["quartiles_s"]
        ratio_low, ratio_high = row["ratio_quartiles"]
        numbers = (f"{row['median_s']:.4f}", f"{low:.4f} to {high:.4f}", f"{row['ratio']:.3f}")
        cells.append((row["name"], *numbers, f"{ratio_low:.3f} to {ratio_high:.3f}"))
    return cells


def _quartiles(values: Sequence[float]) -> list[float]:
    cuts = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return [cuts[0], cuts[2]]
